"""Columns of views traced to tables, and foreign keys as views show them."""

from __future__ import annotations

import orjson

from fluxbase.data.catalog import parse_relationships, view_origins


def entry(number: int, name: str, table: int, column: int, *, inside: str = "") -> str:
    """A target list entry as PostgreSQL writes it."""
    return f"{{TARGETENTRY :expr {{VAR :varno 1 {inside}}} :resno {number} :resname {name} :ressortgroupref 0 :resorigtbl {table} :resorigcol {column} :resjunk false}}"


def rule(*entries: str, before: str = "") -> str:
    """A view's rule with these entries."""
    return f"({{QUERY :commandType 1 {before} :targetList ({' '.join(entries)}) :override 0}})"


def test_top_level_columns_have_their_origin() -> None:
    """Number of the view's column → table and number of the table's column; computed ones have none."""
    assert view_origins(rule(entry(1, "id", 77, 3), entry(2, "total", 0, 0), entry(3, r"odd\ name\}", 78, 1))) == {1: (77, 3), 3: (78, 1)}


def test_entries_of_inner_queries_are_not_the_views() -> None:
    """A subquery in FROM or in an expression has a target list of its own, which says nothing about the view's columns."""
    inner = rule(entry(1, "id", 99, 9))
    subquery = f":rtable ({{RANGETBLENTRY :subquery {inner[1:-1]}}})"
    assert view_origins(rule(entry(1, "max", 0, 0, inside=f":sub {inner[1:-1]}"), before=subquery)) == {}


def catalogue(**changes: object) -> bytes:
    """Two tables, a view of the second and a view of that view."""
    data: dict[str, object] = {
        "attributes": {"1": [[1, "id"]], "2": [[1, "id"], [2, "one"]], "3": [[1, "key"], [2, "a"], [3, "b"]], "4": [[1, "k"], [2, "c"]]},
        "keys": [[1, "p", [1]], [2, "p", [1]]],
        "foreign_keys": [["two_one_fkey", 2, [2], 1, [1]]],
        "views": {
            "3": rule(entry(1, "key", 2, 1), entry(2, "a", 2, 2), entry(3, "b", 2, 2)),
            "4": rule(entry(1, "k", 3, 1), entry(2, "c", 3, 2)),
        },
        "computed": [],
        "types": {},
    }
    return orjson.dumps(data | changes)


def test_foreign_key_relates_views_too() -> None:
    """Each combination of shown columns is a relationship; a view of a view shows the table's."""
    found = parse_relationships(catalogue(), [1, 2, 3, 4])
    assert [(key.source, key.source_columns) for key in found.to_target[1]] == [(2, ("one",)), (3, ("a",)), (3, ("b",)), (4, ("c",))]
    assert found.view_keys == {3: ("key",), 4: ("k",)}


def test_private_tables_relate_their_views() -> None:
    """A table outside the exposed schemas is not served, but its foreign key relates the views that show its columns."""
    found = parse_relationships(catalogue(attributes={"1": [[1, "id"]], "3": [[1, "key"], [2, "a"]]}), [1, 3])
    assert [(key.source, key.target) for key in found.to_target[1]] == [(3, 1)]


def test_unique_foreign_key_is_one_to_one() -> None:
    """A foreign key whose columns are a key themselves has at most one row on its side."""
    found = parse_relationships(catalogue(keys=[[2, "u", [2]]]), [1, 2])
    assert [key.is_unique for key in found.to_target[1]] == [True]

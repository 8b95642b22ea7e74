# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# The values of parsed JSON have no types; each is checked where it is used.
"""How relations are related, read from the catalogue: foreign keys, also as views show them, and functions of one row. Pure.

A view's column comes from a table's column when PostgreSQL's own parse tree of the view says so (``resorigtbl``), through
any number of views. A foreign key relates every relation that shows its columns with every one that shows its target's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TOKEN = re.compile(
    r"\\.|[{}()]|:resno (?P<number>\d+) :resname (?:\\.|[^\\ ])+ :ressortgroupref \d+ "
    r":resorigtbl (?P<table>\d+) :resorigcol (?P<column>\d+)",
    re.DOTALL,
)
_TOP_LEVEL = 4
"""Depth of an entry of the target list of the view's own query: ``({QUERY … :targetList ({TARGETENTRY …``."""
_MAX_COMBINATIONS = 16
"""A view may show a key's columns more than once; every combination is a relationship of its own, up to here."""

SQL_NAMES = {
    "int": "integer", "float": "double precision", "dec": "numeric", "decimal": "numeric", "time": "time", "timestamp": "timestamp",
}  # fmt: skip
"""Types that only PostgreSQL's grammar knows by these names."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key as two served relations show it."""

    name: str
    source: int
    target: int
    source_columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    is_unique: bool = False
    """At most one source row for a target row."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A function of one row: a field, a relationship, or (for a composite that is no set) both."""

    schema: str
    name: str
    target: int
    """The relation whose rows it gives, else 0."""
    is_set: bool
    is_to_one: bool
    roles: frozenset[str]


@dataclass(slots=True)
class Relationships:
    """Everything that relates the served relations."""

    from_source: dict[int, list[ForeignKey]] = field(default_factory=dict[int, list[ForeignKey]])
    to_target: dict[int, list[ForeignKey]] = field(default_factory=dict[int, list[ForeignKey]])
    computed: dict[int, dict[str, Computed]] = field(default_factory=dict[int, dict[str, Computed]])
    types: dict[str, str] = field(default_factory=dict[str, str])
    """Name of a type in a request → the type as SQL writes it."""
    view_keys: dict[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    """Primary key of a view: that of a table whose key it shows whole."""


def parse_relationships(raw: bytes, served: Iterable[int], *, everyone: frozenset[str] | None = None) -> Relationships:
    """Read ``sql/catalog/relationships.sql``'s answer, for the served relations only.

    ``everyone``: who may execute every function, where the roles are not known.
    """
    data = orjson.loads(raw)
    attributes = {int(oid): dict(columns) for oid, columns in data["attributes"].items()}
    names = {oid: attributes[oid] for oid in served if oid in attributes}
    shown = _shown_columns(names, data["views"])
    unique: dict[int, list[frozenset[int]]] = {}
    primary: dict[int, list[int]] = {}
    for oid, kind, columns in data["keys"]:
        unique.setdefault(oid, []).append(frozenset(columns))
        if kind == "p":
            primary[oid] = columns
    found = Relationships(types=data["types"] | SQL_NAMES)
    for name, source, source_columns, target, target_columns in data["foreign_keys"]:
        is_unique = frozenset(source_columns) in unique.get(source, ())
        targets = list(_showing(shown.get(target, {}), target_columns))
        for near, near_columns in _showing(shown.get(source, {}), source_columns):
            for far, far_columns in targets:
                key = ForeignKey(name, near, far, near_columns, far_columns, is_unique)
                found.from_source.setdefault(near, []).append(key)
                found.to_target.setdefault(far, []).append(key)
    for oid in data["views"]:
        view = int(oid)
        for table, columns in primary.items():
            if view in shown.get(table, {}) and view not in found.view_keys:
                whole = next(_combinations(shown[table][view], columns), None)
                if whole is not None:
                    found.view_keys[view] = whole
    for oid, schema, name, rows, target, roles in data["computed"]:
        if oid in names:
            is_to_one = rows is None or rows == 1
            each = Computed(schema, name, target, rows is not None, is_to_one, frozenset(roles) if everyone is None else everyone)
            found.computed.setdefault(oid, {})[name] = each
    return found


Shown = dict[int, dict[int, dict[int, list[str]]]]
"""Table → relation that shows its columns → column's number → names it is shown under."""


def _shown_columns(names: Mapping[int, Mapping[int, str]], actions: Mapping[str, str]) -> Shown:
    origins = {int(oid): view_origins(action) for oid, action in actions.items()}
    shown: Shown = {}
    for oid, columns in names.items():
        for number, name in columns.items():
            table, column = _origin(origins, oid, number)
            shown.setdefault(table, {}).setdefault(oid, {}).setdefault(column, []).append(name)
    return shown


def _origin(origins: Mapping[int, Mapping[int, tuple[int, int]]], oid: int, number: int) -> tuple[int, int]:
    """The table's column behind a column; a computed column of a view is its own origin."""
    seen = 0
    while oid in origins and number in origins[oid] and seen < len(origins):
        oid, number = origins[oid][number]
        seen += 1
    return oid, number


def view_origins(action: str) -> dict[int, tuple[int, int]]:
    """Column number of a view → (relation, column number) it is taken from, of the view's rule as PostgreSQL stores it."""
    found: dict[int, tuple[int, int]] = {}
    depth = 0
    for token in _TOKEN.finditer(action):
        text = token[0]
        if text in ("{", "("):
            depth += 1
        elif text in ("}", ")"):
            depth -= 1
        elif token["number"] is not None and depth == _TOP_LEVEL and token["table"] != "0":
            found[int(token["number"])] = (int(token["table"]), int(token["column"]))
    return found


def _showing(relations: Mapping[int, Mapping[int, list[str]]], columns: list[int]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Relations that show all of a table's columns, with the names."""
    for oid, names in relations.items():
        for combination in _combinations(names, columns):
            yield oid, combination


def _combinations(names: Mapping[int, list[str]], columns: list[int]) -> Iterator[tuple[str, ...]]:
    if all(column in names for column in columns):
        for index, combination in enumerate(product(*(names[column] for column in columns))):
            if index >= _MAX_COMBINATIONS:
                return
            yield combination

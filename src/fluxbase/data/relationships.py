"""Which relationship a name in ``select`` means: foreign keys in both directions, junctions, functions of one row. Pure.

A relationship exists for a role only when the role may read the columns that join it (threat E41).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.data.hints import hint_relationship
from fluxbase.kernel.errors import Ambiguous, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxbase.data.catalog import Computed, ForeignKey
    from fluxbase.data.snapshot import Relation, Snapshot

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Join:
    """How an embed hangs on its parent: column pairs (child, parent), through a junction, or by a function of the parent's row."""

    relation: Relation
    pairs: Pairs
    is_to_one: bool
    constraint: str
    kind: str
    junction: Relation | None = None
    junction_child: Pairs = ()
    """For a junction: (junction column, child column); ``pairs`` are then (junction column, parent column)."""
    function: Computed | None = None
    is_certain: bool = False
    """A to-one that a unique constraint guarantees, so that nothing has to cut it to one row."""


def find_join(snapshot: Snapshot, parent: Relation, target: str, hint: str | None, role: str) -> Join:
    """The one relationship a name means. Raises PGRST200 (none) or PGRST201 (several)."""
    computed = snapshot.computed.get(parent.oid, {}).get(target)
    if computed is not None and role in computed.roles and (rows := snapshot.by_oid.get(computed.target)) is not None:
        return Join(rows, (), computed.is_to_one, computed.name, "computed", function=computed, is_certain=not computed.is_set)
    found = [join for join in _candidates(snapshot, parent, target, hint) if _is_usable(join, parent, role)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise _not_found(snapshot, parent, target, hint, role)
    choices = ", ".join(f"'{target}!{join.junction.name if join.junction else join.constraint}'" for join in found)
    raise Ambiguous(
        f"Could not embed because more than one relationship was found for '{parent.name}' and '{target}'", pgrst="PGRST201",
        details=[
            {"cardinality": join.kind, "embedding": f"{parent.name} with {join.relation.name}", "relationship": _describe(join, parent)}
            for join in found
        ],
        hint=f"Try changing '{target}' to one of the following: {choices}. Find the desired relationship in the 'details' key.",
    )  # fmt: skip


def _not_found(snapshot: Snapshot, parent: Relation, target: str, hint: str | None, role: str) -> InvalidInput:
    using = f" using the hint '{hint}'" if hint else ""
    return InvalidInput(
        f"Could not find a relationship between '{parent.name}' and '{target}' in the schema cache", pgrst="PGRST200",
        details=f"Searched for a foreign key relationship between '{parent.name}' and '{target}'{using} "
        f"in the schema '{parent.schema}', but no matches were found.",
        hint=hint_relationship(snapshot, parent, target, role), code="no_relationship",
    )  # fmt: skip


def _describe(join: Join, parent: Relation) -> str:
    near = f"({', '.join(up for _, up in join.pairs)})"
    if join.junction is None:
        return f"{join.constraint} using {parent.name}{near} and {join.relation.name}({', '.join(child for child, _ in join.pairs)})"
    first, second = join.constraint.split("\0")
    mine, theirs = (", ".join(column for column, _ in pairs) for pairs in (join.pairs, join.junction_child))
    return f"{join.junction.name} using {first}({mine}) and {second}({theirs})"


def _is_usable(join: Join, parent: Relation, role: str) -> bool:
    up, down = {column for _, column in join.pairs}, {column for column, _ in join.pairs}
    if join.junction is not None:
        through = down | {column for column, _ in join.junction_child}
        down = {column for _, column in join.junction_child}
        if not through <= join.junction.visible(role):
            return False
    return down <= join.relation.visible(role) and (up <= parent.visible(role) or not parent.privileges)


def _candidates(snapshot: Snapshot, parent: Relation, target: str, hint: str | None) -> Iterator[Join]:
    for key in snapshot.from_source.get(parent.oid, ()):
        other = snapshot.by_oid[key.target]
        if _means_source(key, parent, other, target, hint):
            kind = "one-to-one" if key.is_unique else "many-to-one"
            pairs = tuple(zip(key.target_columns, key.source_columns, strict=True))
            yield Join(other, pairs, is_to_one=True, constraint=key.name, kind=kind, is_certain=other.kind in "rp")
    for key in snapshot.to_target.get(parent.oid, ()):
        other = snapshot.by_oid[key.source]
        if _means_target(key, parent, other, target, hint):
            pairs = tuple(zip(key.source_columns, key.target_columns, strict=True))
            kind = "one-to-one" if key.is_unique else "one-to-many"
            is_certain = key.is_unique and other.kind in "rp"
            yield Join(other, pairs, is_to_one=key.is_unique, constraint=key.name, kind=kind, is_certain=is_certain)
    for key in snapshot.to_target.get(parent.oid, ()):
        yield from _many_to_many(snapshot, key, parent, target, hint)


def _means_source(key: ForeignKey, parent: Relation, other: Relation, target: str, hint: str | None) -> bool:
    """From the side that has the foreign key."""
    is_table, column = other.kind in "rp", key.source_columns[0] if len(key.source_columns) == 1 else None
    if hint is None:
        is_named = other.name == target and other.schema == parent.schema and other.oid != parent.oid
        return is_named or (is_table and target in (key.name, column))
    return other.name == target and other.schema == parent.schema and other.oid != parent.oid and _is_hinted(key, hint)


def _means_target(key: ForeignKey, parent: Relation, other: Relation, target: str, hint: str | None) -> bool:
    """From the side that the foreign key refers to."""
    is_named = other.name == target and other.schema == parent.schema
    if hint is None:
        return is_named or (key.name == target and other.kind in "rp" and other.oid != parent.oid)
    return is_named and _is_hinted(key, hint)


def _is_hinted(key: ForeignKey, hint: str) -> bool:
    return hint == key.name or (len(key.source_columns) == 1 and hint in (key.source_columns[0], key.target_columns[0]))


def _many_to_many(snapshot: Snapshot, key: ForeignKey, parent: Relation, target: str, hint: str | None) -> Iterator[Join]:
    junction = snapshot.by_oid[key.source]
    if hint is not None and hint != junction.name:
        return
    for second in snapshot.from_source.get(junction.oid, ()):
        other = snapshot.by_oid[second.target]
        if other.name != target or other.schema != parent.schema or other.oid == parent.oid or second is key:
            continue
        if set(key.source_columns) | set(second.source_columns) <= set(junction.primary_key):
            yield Join(
                other, tuple(zip(key.source_columns, key.target_columns, strict=True)), is_to_one=False,
                constraint=f"{key.name}\0{second.name}", kind="many-to-many", junction=junction,
                junction_child=tuple(zip(second.source_columns, second.target_columns, strict=True)),
            )  # fmt: skip

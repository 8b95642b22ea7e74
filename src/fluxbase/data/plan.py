"""From names to catalogue objects: a parsed query against a snapshot, for one role. Pure.

A relation or column the role may not use is answered exactly like one that does not exist (threat E41); hints name
only what the role may use (threat E44).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from fluxbase.data.cost import refuse_depth, refuse_width
from fluxbase.data.grammar import Field, Filter, Logic, Order, Part, Query, SelectColumn, SelectEmbed, SelectItem
from fluxbase.data.snapshot import NOTHING, Relation, Snapshot
from fluxbase.kernel.errors import Ambiguous, InvalidInput, NotFound

if TYPE_CHECKING:
    from fluxbase.data.snapshot import ForeignKey


@dataclass(frozen=True, slots=True)
class Join:
    """How an embed hangs on its parent: column pairs (child, parent), through a junction for many-to-many."""

    relation: Relation
    pairs: tuple[tuple[str, str], ...]
    is_to_one: bool
    constraint: str
    kind: str
    junction: Relation | None = None
    junction_child: tuple[tuple[str, str], ...] = ()
    """For a junction: (junction column, child column); ``pairs`` are then (junction column, parent column)."""


@dataclass(slots=True)
class Node:
    """One relation of a read: the root or an embed."""

    relation: Relation
    visible: frozenset[str]
    alias: str
    name: str = ""
    join: Join | None = None
    is_inner: bool = False
    is_spread: bool = False
    columns: list[SelectColumn] = field(default_factory=list[SelectColumn])
    embeds: list[Node] = field(default_factory=list["Node"])
    part: Part = field(default_factory=Part)
    path: tuple[str, ...] = ()
    outputs: list[str] = field(default_factory=list[str])
    """Names of the columns the node gives, for spreads."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Cost limits of a role's requests."""

    max_depth: int
    max_width: int
    has_aggregates: bool
    max_rows: int
    max_planner_cost: float | None = None


def find_relation(snapshot: Snapshot, schema: str, name: str, role: str) -> Relation:
    """The relation a path names. Raises PGRST205, the same for absent, unprotected and forbidden ones.

    A protected relation without any privilege of the role goes on to PostgreSQL, whose refusal is 42501.
    """
    relation = snapshot.relations.get((schema, name))
    if relation is not None:
        return relation
    usable = [r.name for (s, _), r in snapshot.relations.items() if s == schema and r.privileges.get(role, NOTHING).any]
    close = get_close_matches(name[:64], usable, n=1, cutoff=0.6) if len(usable) <= 2000 else []
    hint = f"Perhaps you meant the table '{schema}.{close[0]}'" if close else None
    raise NotFound(f"Could not find the table '{schema}.{name}' in the schema cache", pgrst="PGRST205", hint=hint, code="unknown_table")


def unknown_column(relation: str, column: str) -> NoReturn:
    """PostgreSQL's own words for a column that is not there."""
    raise InvalidInput(f"column {relation}.{column} does not exist", sqlstate="42703", code="unknown_column")


def plan_read(
    snapshot: Snapshot, relation: Relation, query: Query, role: str, bounds: Bounds, *, visible: frozenset[str] | None = None
) -> Node:
    """The tree of a read."""
    counter = [0]
    shown = relation.visible(role) if visible is None else visible
    root = Node(relation, shown, "t0", relation.name)
    items: tuple[SelectItem, ...] = query.select if query.has_select and query.select else (SelectColumn(Field("*"), None, None),)
    _fill(snapshot, root, items, role, bounds, counter, 0)
    places = {node.path: node for node in _walk(root)}
    for path, part in query.parts.items():
        node = places.get(path)
        if node is None:
            raise InvalidInput(
                f"'{path[0] if len(path) == 1 else '.'.join(path)}' is not an embedded resource in this request",
                pgrst="PGRST108", hint=f"Verify that '{path[-1]}' is included in the 'select' query parameter.", code="not_embedded",
            )  # fmt: skip
        node.part = part
        for item in part.filters:
            _check_filter(node, item)
        for term in part.order:
            _check_order(node, term)
    return root


def _walk(node: Node) -> list[Node]:
    found = [node]
    for embed in node.embeds:
        found += _walk(embed)
    return found


def _fill(snapshot: Snapshot, node: Node, items: tuple[SelectItem, ...], role: str, bounds: Bounds, counter: list[int], depth: int) -> None:
    for item in items:
        if isinstance(item, SelectEmbed):
            if depth + 1 > bounds.max_depth:
                raise refuse_depth(bounds.max_depth)
            counter[0] += 1
            if counter[0] > bounds.max_width:
                raise refuse_width(bounds.max_width)
            _embed(snapshot, node, item, role, bounds, counter, depth)
            continue
        if item.aggregate is not None and not bounds.has_aggregates:
            raise InvalidInput("Use of aggregate functions is not allowed", pgrst="PGRST123", code="aggregates_off")
        if item.field is not None and item.field.name != "*" and item.field.name not in node.visible:
            unknown_column(node.relation.name, item.field.name)
        if item.cast is not None or item.aggregate_cast is not None:
            for cast in (item.cast, item.aggregate_cast):
                if cast is not None and cast.removesuffix("[]").lower() not in snapshot.types and cast not in snapshot.types:
                    raise InvalidInput(f'type "{cast}" does not exist', sqlstate="42704", code="unknown_type")
        node.columns.append(item)
        if item.field is not None and item.field.name == "*":
            node.outputs += [name for name in node.relation.columns if name in node.visible]
        else:
            node.outputs.append(item.alias or (item.aggregate or (item.field.key if item.field else "count")))


def _embed(snapshot: Snapshot, parent: Node, item: SelectEmbed, role: str, bounds: Bounds, counter: list[int], depth: int) -> None:
    join = find_join(snapshot, parent.relation, item.target, item.hint, role)
    if item.is_spread and not join.is_to_one:
        raise InvalidInput("Spreads are available for many-to-one and one-to-one relationships.", pgrst="PGRST127", code="not_implemented")
    name = item.alias or item.target
    child = Node(
        join.relation,
        join.relation.visible(role),
        f"t{counter[0]}",
        name,
        join,
        item.join == "inner",
        item.is_spread,
        path=(*parent.path, name),
    )
    parent.embeds.append(child)
    _fill(snapshot, child, item.items, role, bounds, counter, depth + 1)
    if item.is_spread:
        parent.outputs += child.outputs
    elif item.items:
        parent.outputs.append(name)


def _check_filter(node: Node, item: Filter | Logic) -> None:
    if isinstance(item, Logic):
        for child in item.children:
            _check_filter(node, child)
        return
    if item.field.name in node.visible:
        return
    if any(embed.name == item.field.name for embed in node.embeds) and not item.field.path:
        if item.operator != "is" or item.constant not in ("null", "not null"):
            raise InvalidInput(
                "Only is null or not is null filters are allowed on embedded resources", pgrst="PGRST120", code="bad_embed_filter"
            )
        return
    unknown_column(node.relation.name, item.field.name)


def _check_order(node: Node, term: Order) -> None:
    if term.relation is None:
        if term.field.name not in node.visible:
            unknown_column(node.relation.name, term.field.name)
        return
    embed = next((embed for embed in node.embeds if embed.name == term.relation), None)
    if embed is None:
        raise InvalidInput(
            f"'{term.relation}' is not an embedded resource in this request", pgrst="PGRST108",
            hint=f"Verify that '{term.relation}' is included in the 'select' query parameter.", code="not_embedded",
        )  # fmt: skip
    if embed.join is None or not embed.join.is_to_one:
        raise InvalidInput(
            f"A related order on '{term.relation}' is not possible", pgrst="PGRST118",
            details=f"'{node.relation.name}' and '{term.relation}' do not form a many-to-one or one-to-one relationship",
            code="bad_related_order",
        )  # fmt: skip
    if term.field.name not in embed.visible:
        unknown_column(embed.relation.name, term.field.name)


def find_join(snapshot: Snapshot, parent: Relation, target: str, hint: str | None, role: str) -> Join:
    """The one relationship a name means. Raises PGRST200 (none) or PGRST201 (several)."""
    found = [join for join in _joins(snapshot, parent, target) if join.relation.privileges.get(role, NOTHING).any and _fits(join, hint)]
    if len(found) == 1:
        return found[0]
    if not found:
        detail = f" using the hint '{hint}'" if hint else ""
        raise InvalidInput(
            f"Could not find a relationship between '{parent.name}' and '{target}' in the schema cache", pgrst="PGRST200",
            details=f"Searched for a foreign key relationship between '{parent.name}' and '{target}'{detail} "
            f"in the schema '{parent.schema}', but no matches were found.",
            hint=_join_hint(snapshot, parent, target, role), code="no_relationship",
        )  # fmt: skip
    choices = ", ".join(f"'{target}!{join.junction.name if join.junction else join.constraint}'" for join in found)
    raise Ambiguous(
        f"Could not embed because more than one relationship was found for '{parent.name}' and '{target}'", pgrst="PGRST201",
        details=[
            {"cardinality": join.kind, "embedding": f"{parent.name} with {join.relation.name}", "relationship": _describe(join, parent)}
            for join in found
        ],
        hint=f"Try changing '{target}' to one of the following: {choices}. Find the desired relationship in the 'details' key.",
    )  # fmt: skip


def _describe(join: Join, parent: Relation) -> str:
    if join.junction is not None:
        return f"{join.junction.name} using {join.constraint}"
    near = f"{parent.name}({', '.join(up for _, up in join.pairs)})"
    return f"{join.constraint} using {near} and {join.relation.name}({', '.join(child for child, _ in join.pairs)})"


def _join_hint(snapshot: Snapshot, parent: Relation, target: str, role: str) -> str | None:
    near = {snapshot.by_oid[key.target].name for key in snapshot.from_source.get(parent.oid, ())}
    near |= {snapshot.by_oid[key.source].name for key in snapshot.to_target.get(parent.oid, ())}
    usable = [n for n in near if (r := snapshot.relations.get((parent.schema, n))) is not None and r.privileges.get(role, NOTHING).any]
    close = get_close_matches(target[:64], usable, n=1, cutoff=0.6)
    return f"Perhaps you meant '{close[0]}' instead of '{target}'." if close else None


def _fits(join: Join, hint: str | None) -> bool:
    if hint is None:
        return True
    if join.junction is not None:
        return hint in (join.junction.name, join.constraint) or hint in join.constraint.split(" and ")
    return hint == join.constraint or (len(join.pairs) == 1 and hint in join.pairs[0])


def _is_unique(relation: Relation, columns: tuple[str, ...]) -> bool:
    return any(set(key) == set(columns) for key in relation.uniques)


def _joins(snapshot: Snapshot, parent: Relation, target: str) -> list[Join]:
    found: list[Join] = []
    for key in snapshot.from_source.get(parent.oid, ()):
        other = snapshot.by_oid[key.target]
        is_by_table = other.name == target and other.schema == parent.schema and other.oid != parent.oid
        if is_by_table or key.name == target or key.source_columns == (target,):
            kind = "one-to-one" if _is_unique(parent, key.source_columns) else "many-to-one"
            found.append(
                Join(other, tuple(zip(key.target_columns, key.source_columns, strict=True)), is_to_one=True, constraint=key.name, kind=kind)
            )
    for key in snapshot.to_target.get(parent.oid, ()):
        other = snapshot.by_oid[key.source]
        if (other.name == target and other.schema == parent.schema) or (key.name == target and other.oid != parent.oid):
            is_one = _is_unique(other, key.source_columns)
            pairs = tuple(zip(key.source_columns, key.target_columns, strict=True))
            found.append(Join(other, pairs, is_to_one=is_one, constraint=key.name, kind="one-to-one" if is_one else "one-to-many"))
        found += _many_to_many(snapshot, key, other, target, parent)
    return found


def _many_to_many(snapshot: Snapshot, key: ForeignKey, junction: Relation, target: str, parent: Relation) -> list[Join]:
    found: list[Join] = []
    for second in snapshot.from_source.get(junction.oid, ()):
        other = snapshot.by_oid[second.target]
        if second is key or other.name != target or other.schema != parent.schema:
            continue
        if not set(key.source_columns) | set(second.source_columns) <= set(junction.primary_key):
            continue
        found.append(
            Join(
                other, tuple(zip(key.source_columns, key.target_columns, strict=True)), is_to_one=False,
                constraint=f"{key.name} and {second.name}", kind="many-to-many", junction=junction,
                junction_child=tuple(zip(second.source_columns, second.target_columns, strict=True)),
            )
        )  # fmt: skip
    return found

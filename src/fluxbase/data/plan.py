"""From names to catalogue objects: a parsed query against a snapshot, for one role. Pure.

A relation, column or function the role may not use is answered exactly like one that does not exist (threat E41).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from fluxbase.data.cost import refuse_depth, refuse_width
from fluxbase.data.distance import GEOMETRY_TYPES
from fluxbase.data.grammar import Condition, Field, Filter, Logic, Order, Part, Path, Query, SelectColumn, SelectEmbed, SelectItem
from fluxbase.data.hints import hint_relation
from fluxbase.data.relationships import Join, find_join
from fluxbase.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxbase.data.catalog import Computed
    from fluxbase.data.distance import DistanceOrder, Nearness
    from fluxbase.data.snapshot import Relation, Snapshot

STAR = SelectColumn(Field("*"), None, None)


@dataclass(slots=True)
class Node:
    """One relation of a read: the root or an embed."""

    relation: Relation
    visible: frozenset[str]
    computed: dict[str, Computed]
    """Functions of one row that the role may execute."""
    alias: str
    name: str = ""
    target: str = ""
    """The name that ``select`` has before the parentheses; differs from ``name`` when there is an alias."""
    join: Join | None = None
    is_inner: bool = False
    is_spread: bool = False
    columns: list[SelectColumn] = field(default_factory=list[SelectColumn])
    embeds: list[Node] = field(default_factory=list["Node"])
    part: Part = field(default_factory=Part)
    path: Path = ()
    """How the request names the node where it limits it."""
    is_row: bool = True
    """Whether the alias is a row of the relation's own type (not of a CTE)."""
    warnings: list[str] = field(default_factory=list[str])
    """Of the root: what the answer's Warning header says."""
    is_grouped: bool = False
    truncate_slot: int | None = None
    shows_geojson: bool = False

    @property
    def is_to_one(self) -> bool:
        """At most one row for a row of the parent."""
        return self.join is not None and self.join.is_to_one

    @property
    def is_flat(self) -> bool:
        """A to-one spread: its columns are the parent's, its aggregates too."""
        return self.is_spread and self.is_to_one

    @property
    def is_shown(self) -> bool:
        """Whether anything of it is in the answer; ``rel()`` only joins."""
        return bool(self.columns) or any(embed.is_shown for embed in self.embeds)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Cost limits of a role's requests."""

    max_depth: int
    max_width: int
    has_aggregates: bool
    max_rows: int
    max_planner_cost: float | None = None
    has_target_names: bool = True
    """An embed with an alias may be called by its relation's name too, with a warning."""


def find_relation(snapshot: Snapshot, schema: str, name: str, role: str) -> Relation:
    """The relation a path names. Raises PGRST205, the same for absent, unprotected and forbidden ones.

    A protected relation without any privilege of the role goes on to PostgreSQL, whose refusal is 42501.
    """
    relation = snapshot.relations.get((schema, name))
    if relation is not None:
        return relation
    hint = hint_relation(snapshot, schema, name, role)
    raise NotFound(f"Could not find the table '{schema}.{name}' in the schema cache", pgrst="PGRST205", hint=hint, code="unknown_table")


def unknown_column(relation: str, column: str) -> NoReturn:
    """PostgreSQL's own words for a column that is not there."""
    raise InvalidInput(f"column {relation}.{column} does not exist", sqlstate="42703", code="unknown_column")


def plan_read(
    snapshot: Snapshot, relation: Relation, query: Query, role: str, bounds: Bounds, *, visible: frozenset[str] | None = None
) -> Node:
    """The tree of a read."""
    return _Planner(snapshot, role, bounds).plan(relation, query, visible)


class _Planner:
    """One plan in the making."""

    def __init__(self, snapshot: Snapshot, role: str, bounds: Bounds) -> None:
        self._snapshot = snapshot
        self._role = role
        self._bounds = bounds
        self._embeds = 0

    def plan(self, relation: Relation, query: Query, visible: frozenset[str] | None) -> Node:
        """Select first: it makes the nodes that everything else speaks of."""
        root = Node(relation, relation.visible(self._role) if visible is None else visible, self._computed(relation), "t0", relation.name)
        root.is_grouped, root.truncate_slot = query.is_grouped, query.truncate_slot
        root.shows_geojson = query.shows_geojson and any(each.type_name in GEOMETRY_TYPES for each in relation.columns.values())
        self._fill(root, query.select if query.has_select and query.select else (STAR,), 0)
        _check_spreads(root)
        for path, part in query.parts.items():
            self._apply(root, path, part)
        return root

    def _computed(self, relation: Relation) -> dict[str, Computed]:
        found = self._snapshot.computed.get(relation.oid)
        return {name: each for name, each in found.items() if self._role in each.roles} if found else {}

    def _fill(self, node: Node, items: tuple[SelectItem, ...], depth: int) -> None:
        for item in items:
            if isinstance(item, SelectEmbed):
                self._embed(node, item, depth + 1)
            else:
                node.columns.append(self._column(node, item))

    def _column(self, node: Node, item: SelectColumn) -> SelectColumn:
        if item.aggregate is not None and not self._bounds.has_aggregates:
            raise InvalidInput("Use of aggregate functions is not allowed", pgrst="PGRST123", code="aggregates_off")
        if item.field is not None and item.field.name != "*" and not _knows(node, item.field.name):
            if item.field == Field("count") and item.aggregate is None:  # the old form of count(), which needs no permission
                return SelectColumn(None, item.alias, None, "count", self._type(item.cast))
            unknown_column(node.relation.name, item.field.name)
        if item.cast is None and item.aggregate_cast is None:
            return item
        return SelectColumn(item.field, item.alias, self._type(item.cast), item.aggregate, self._type(item.aggregate_cast))

    def _type(self, cast: str | None) -> str | None:
        """The type as SQL writes it."""
        if cast is None:
            return None
        bare = cast.removesuffix("[]")
        known = self._snapshot.types.get(bare) or self._snapshot.types.get(bare.lower())
        if known is None:
            raise InvalidInput(f'type "{cast}" does not exist', sqlstate="42704", code="unknown_type")
        return known + cast[len(bare) :]

    def _embed(self, parent: Node, item: SelectEmbed, depth: int) -> None:
        if depth > self._bounds.max_depth:
            raise refuse_depth(self._bounds.max_depth)
        self._embeds += 1
        if self._embeds > self._bounds.max_width:
            raise refuse_width(self._bounds.max_width)
        join = find_join(self._snapshot, parent.relation, item.target, item.hint, self._role)
        name = item.alias or item.target
        child = Node(
            join.relation, join.relation.visible(self._role), self._computed(join.relation), f"t{self._embeds}", name, item.target, join,
            item.join == "inner", item.is_spread, path=(*parent.path, name),
        )  # fmt: skip
        parent.embeds.append(child)
        self._fill(child, item.items, depth)

    def _apply(self, root: Node, path: Path, part: Part) -> None:
        node = root
        for step in path:
            node = self._child(root, node, step)
        if part.limit is not None or part.offset is not None:
            node.path = path
        node.part = _merged(node.part, part)
        for item in part.filters:
            self._check_filter(root, node, item)
        for term in part.order:
            self._check_order(root, node, term)

    def _child(self, root: Node, node: Node, name: str) -> Node:
        found = find_embed(node, name)
        if found is not None and found.name == name:
            return found
        details, hint = None, f"Verify that '{name}' is included in the 'select' query parameter."
        if found is not None:
            if self._bounds.has_target_names:
                root.warnings.append(f"'{quote(name)}' is embedded as '{quote(found.name)}'; use that name in filters, orders and limits")
                return found
            details = "Target names are not allowed in filters if they have an alias"
            hint = f"Change '{name}' to '{found.name}' in filters, orders or limits."
        raise InvalidInput(
            f"'{name}' is not an embedded resource in this request", pgrst="PGRST108", details=details, hint=hint, code="not_embedded"
        )

    def _check_filter(self, root: Node, node: Node, item: Condition) -> None:
        if isinstance(item, Logic):
            for child in item.children:
                self._check_filter(root, node, child)
        elif is_embed_filter(node, item):
            self._child(root, node, item.field.name)
        elif not _knows(node, item.field.name):
            if not item.field.path and find_embed(node, item.field.name) is not None:
                raise InvalidInput(
                    f"Bad operator on the '{item.field.name}' embedded resource", pgrst="PGRST120", code="bad_embed_filter",
                    details="Only is null or not is null filters are allowed on embedded resources",
                )  # fmt: skip
            unknown_column(node.relation.name, item.field.name)

    def _check_order(self, root: Node, node: Node, term: Order | DistanceOrder) -> None:
        if term.relation is not None:
            embed = self._child(root, node, term.relation)
            if not embed.is_to_one:
                raise InvalidInput(
                    f"A related order on '{term.relation}' is not possible", pgrst="PGRST118", code="bad_related_order",
                    details=f"'{node.relation.name}' and '{term.relation}' do not form a many-to-one or one-to-one relationship",
                )  # fmt: skip
            node = embed
        if not _knows(node, term.field.name) and not names_aggregate(node, term.field):
            unknown_column(node.relation.name, term.field.name)


def _knows(node: Node, name: str) -> bool:
    return name in node.visible or name in node.computed


def find_embed(node: Node, name: str) -> Node | None:
    """The embed a name means: by its own name, else by the relation's."""
    return next((embed for embed in node.embeds if embed.name == name), None) or next(
        (embed for embed in node.embeds if embed.target == name), None
    )


def names_aggregate(node: Node, wanted: Field) -> bool:
    """Whether a grouped read is ordered by the name of one of its aggregates."""
    return node.is_grouped and not wanted.path and any(each.aggregate and each.alias == wanted.name for each in node.columns)


def is_embed_filter(node: Node, item: Filter | Nearness) -> bool:
    """``rel=is.null``: whether there is a row of the embed, not a column's value."""
    if item.constant not in ("null", "not null") or item.field.path:
        return False
    embed = find_embed(node, item.field.name)
    return embed is not None and (embed.name == item.field.name or not _knows(node, item.field.name))


def _merged(first: Part, second: Part) -> Part:
    if not (first.filters or first.order or first.limit is not None or first.offset is not None):
        return second
    return Part(
        [*first.filters, *second.filters], second.order or first.order,
        second.limit if second.limit is not None else first.limit, second.offset if second.offset is not None else first.offset,
    )  # fmt: skip


def _check_spreads(node: Node) -> None:
    """Aggregates cannot be hoisted out of a to-many spread. Raises PGRST127."""
    for embed in node.embeds:
        if embed.is_spread and not embed.is_to_one and any(column.aggregate for column in hoisted(embed)):
            raise InvalidInput(
                "Feature not implemented", pgrst="PGRST127", code="not_implemented",
                details="Aggregates are not implemented for one-to-many or many-to-many spreads.",
            )  # fmt: skip
        _check_spreads(embed)


def hoisted(node: Node) -> Iterator[SelectColumn]:
    """The node's columns with those of its to-one spreads."""
    yield from node.columns
    for embed in node.embeds:
        if embed.is_flat:
            yield from hoisted(embed)

"""Read plans to SQL. Identifiers come from the catalogue through ``quote_ident``; every value is a parameter.

One statement answers with one row: body, number of rows, total (or null), ``response.headers``, ``response.status``,
and for upserts how many rows were inserted. PostgreSQL builds the JSON; Python never touches a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from fluxbase.data.compile_body import body_sql
from fluxbase.data.compile_filter import (
    Params,
    Slot,
    SlotKind,
    cast_of,
    column_sql,
    join_conditions,
    order_sql,
    related_orders,
    source_sql,
    where_sql,
)
from fluxbase.data.distance import GEOMETRY_TYPES
from fluxbase.data.grammar import Field
from fluxbase.db.sql import quote_ident

if TYPE_CHECKING:
    from fluxbase.data.grammar import SelectColumn
    from fluxbase.data.media import Representation
    from fluxbase.data.plan import Node

__all__ = ["GUCS", "Params", "Slot", "SlotKind", "Statement", "compile_read", "count_sql", "node_sql", "where_sql"]

Count = Literal["exact", "capped"]
GUCS = "current_setting('response.headers',true),current_setting('response.status',true)"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the recipes of its parameters."""

    sql: str
    slots: tuple[Slot, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Output:
    """One expression of a SELECT. An aggregate waits in a to-one spread until the parent's SELECT applies it."""

    sql: str
    name: str
    aggregate: str | None = None
    cast: str | None = None
    is_json: bool = False
    has_own_name: bool = False
    """The expression is a column of this very name (or ``*``)."""


def node_sql(
    node: Node, params: Params, *, source: str | None = None, conditions: tuple[str, ...] = (), is_root: bool = False
) -> str:  # fmt: skip
    """SELECT of one node with its embeds. ``source`` replaces the relation (a CTE or a function call)."""
    node.is_row = node.is_row and source is None
    joins = [_join_sql(node, embed, params) for embed in node.embeds]
    outputs = [*_columns(node, params), *(output for _, lifted in joins for output in lifted)]
    return _select_sql(
        node, params, _named(outputs, is_grouped=node.is_grouped), "".join(text for text, _ in joins), source, conditions, is_root=is_root
    )


def _select_sql(
    node: Node, params: Params, select: tuple[str, str], joins: str, source: str | None, conditions: tuple[str, ...] = (), *,
    is_root: bool = False,
) -> str:  # fmt: skip
    outputs, group = select
    text = f"select {outputs} from {source or source_sql(node)}{joins}{where_sql(node, params, conditions, is_joined=True)}"
    text += group + order_sql(node, params)
    if is_root:
        text += f" limit {params.add('limit', ())}::bigint"
    elif node.part.limit is not None or (node.join is not None and not node.is_to_one):
        text += f" limit {params.add('limit', node.path)}::bigint"
    elif node.is_to_one and node.join is not None and not node.join.is_certain:
        text += " limit 1"
    if node.part.offset is not None:
        text += f" offset {params.add('offset', node.path)}::bigint"
    return text


def _columns(node: Node, params: Params) -> list[_Output]:
    found: list[_Output] = []
    for column in node.columns:
        if column.field is not None and column.field.name == "*" and column.aggregate is None:
            found += _star(node, params)
        else:
            found.append(_column(node, column, params))
    return found


def _star(node: Node, params: Params) -> list[_Output]:
    names = [name for name in node.relation.columns if name in node.visible]
    is_whole = len(names) == len(node.relation.columns) and not any(column.casts for column in node.relation.columns.values())
    is_reshaped = node.truncate_slot is not None or node.shows_geojson
    if is_whole and not node.is_spread and not _is_grouped(node) and not is_reshaped:
        return [_Output(f"{node.alias}.*", "*", has_own_name=True)]
    return [_shown(node, Field(name), f"{node.alias}.{quote_ident(name)}", name, params) for name in names]


def _shown(node: Node, field: Field, text: str, name: str, params: Params) -> _Output:
    """A column as the answer shows it: a domain through its cast to JSON, a geometry as GeoJSON, a text cut when the query wants it."""
    column = None if field.path else node.relation.columns.get(field.name)
    if column is not None and node.shows_geojson and column.type_name in GEOMETRY_TYPES:
        return _Output(f"st_asgeojson({text},9,0)::json", name, is_json=True)
    if column is not None and node.truncate_slot is not None and column.category == "S":
        return _Output(f"left({text}, {params.add('value', node.truncate_slot)}::int)", name)
    to_json = cast_of(node, field, "to_json")
    return _Output(f"{to_json}({text})" if to_json else text, name, is_json=bool(to_json), has_own_name=not to_json)


def _column(node: Node, column: SelectColumn, params: Params) -> _Output:
    if column.field is None:
        return _Output("1" if node.is_flat else "*", column.name, "count", column.aggregate_cast)
    text = column_sql(node, column.field, params)
    is_plain = not column.cast and not column.field.path and column.field.name in node.visible and column.name == column.field.name
    if column.aggregate is None and not column.cast:
        shown = _shown(node, column.field, text, column.name, params)
        return replace(shown, has_own_name=shown.has_own_name and is_plain)
    if column.cast:
        to_json = cast_of(node, column.field, "to_json") if column.aggregate is None else None
        text = f"cast({f'{to_json}({text})' if to_json else text} as {column.cast})"
    return _Output(text, column.name, column.aggregate, column.aggregate_cast)


def _is_grouped(node: Node) -> bool:
    """Whether the node's own SELECT aggregates."""
    return not node.is_flat and (
        any(column.aggregate for column in node.columns) or any(embed.is_flat and _has_aggregate(embed) for embed in node.embeds)
    )


def _has_aggregate(node: Node) -> bool:
    return any(column.aggregate for column in node.columns) or any(embed.is_flat and _has_aggregate(embed) for embed in node.embeds)


def _named(outputs: list[_Output], *, is_grouped: bool = False) -> tuple[str, str]:
    """Expressions under the names of the answer, and GROUP BY: whatever is no aggregate, when there is one."""
    is_grouped = is_grouped or any(output.aggregate for output in outputs)
    texts: list[str] = []
    groups: list[str] = []
    for index, output in enumerate(outputs):
        if output.aggregate is not None:
            text = f"{output.aggregate}({output.sql})"
            text = f"cast({text} as {output.cast})" if output.cast else text
        else:
            text = f"({output.sql})::jsonb" if is_grouped and output.is_json else output.sql
            groups.append(str(index + 1))
        texts.append(text if output.has_own_name and not output.aggregate else f"{text} as {quote_ident(output.name)}")
    return ", ".join(texts), f" group by {', '.join(groups)}" if is_grouped and groups else ""


def _numbered(outputs: list[_Output]) -> str:
    """Expressions under names of our own, for a parent that gives them names."""
    return ", ".join(f"{output.sql} as s{index}" for index, output in enumerate(outputs))


def _join_sql(parent: Node, embed: Node, params: Params) -> tuple[str, list[_Output]]:
    """The lateral join of an embed, and what it gives to the parent's SELECT."""
    joins = [_join_sql(embed, child, params) for child in embed.embeds]
    outputs = [*_columns(embed, params), *(output for _, lifted in joins for output in lifted)]
    inner = "".join(text for text, _ in joins)
    conditions = join_conditions(parent, embed)
    source = source_sql(embed, parent)
    alias = f"{embed.alias}_j"
    kind = " join" if embed.is_inner else " left join"
    if embed.is_to_one:
        select, lifted = _to_one(parent, embed, outputs, params)
        return f"{kind} lateral ({_select_sql(embed, params, select, inner, source, conditions)}) {alias} on true", lifted
    on = f"{alias}.ok" if embed.is_inner else "true"
    if embed.is_spread:
        rows = _select_sql(embed, params, (_numbered(outputs) or "1 as one", ""), inner, source, conditions)
        arrays = "".join(f", json_agg(x.s{index}) as s{index}" for index in range(len(outputs)))
        lifted = [_Output(f"coalesce({alias}.s{index},'[]')", output.name, is_json=True) for index, output in enumerate(outputs)]
        return f"{kind} lateral (select bool_or(true) as ok{arrays} from ({rows}) x) {alias} on {on}", lifted
    rows = _select_sql(embed, params, _named(outputs), inner, source, conditions)
    on = f"{alias}.j is not null" if embed.is_inner else "true"
    text = f"{kind} lateral (select json_agg(x) as j from ({rows}) x) {alias} on {on}"
    return text, [_Output(f"coalesce({alias}.j,'[]')", embed.name, is_json=True)] if embed.is_shown else []


def _to_one(parent: Node, embed: Node, outputs: list[_Output], params: Params) -> tuple[tuple[str, str], list[_Output]]:
    """SELECT and GROUP BY of a to-one embed, and what it gives. Columns that only the parent's order needs are named ``o0``…"""
    alias = f"{embed.alias}_j"
    extra = [(term, name.rpartition(".")[2]) for term, name in related_orders(parent, embed)]
    orders = "".join(f", {column_sql(embed, term.field, params)} as {name}" for term, name in extra if name.startswith("o"))
    if embed.is_spread:
        lifted = [
            _Output(f"{alias}.s{index}", output.name, output.aggregate, output.cast, output.is_json) for index, output in enumerate(outputs)
        ]
        return (f"{_numbered(outputs) or '1 as one'}{orders}", ""), lifted
    named, group = _named(outputs)
    if not embed.is_shown:
        return (f"1 as one{orders}", ""), []
    if not orders:
        return (named, group), [_Output(f"row_to_json({alias})", embed.name, is_json=True)]
    return (f"(select row_to_json(x) from (select {named}) x) as j{orders}", group), [_Output(f"{alias}.j", embed.name, is_json=True)]


def _matching_sql(node: Node, params: Params, source: str | None) -> str:
    """FROM and WHERE of all rows that match, without limits; embeds count only where they decide."""
    return f"from {source or source_sql(node)}{where_sql(node, params, counts_inner=True)}"


def count_sql(node: Node, params: Params, source: str | None = None, *, count: Count = "exact") -> str:
    """The total without limits, as a scalar subquery. ``capped``: nothing is counted beyond one row more than an answer may have."""
    matching = _matching_sql(node, params, source)
    if count == "capped":
        return f"(select count(*) from (select 1 {matching} limit {params.add('rows', 0)}::bigint) _c)"
    return f"(select count(*) {matching})"


def compile_read(node: Node, media: Representation, *, count: Count | None, source: str | None = None) -> Statement:
    """A whole read."""
    params = Params()
    inner = node_sql(node, params, source=source, is_root=True)
    total = "null" if count is None else count_sql(node, params, source, count=count)
    text = f"select {body_sql(media)},count(*)::text,{total}::text,{GUCS},null::text from ({inner}) _t"
    return Statement(text, tuple(params.slots), tuple(dict.fromkeys(node.warnings)))


def compile_estimate(node: Node) -> Statement:
    """The matching rows: what EXPLAIN is asked about for a planned count."""
    params = Params()
    return Statement(f"select 1 {_matching_sql(node, params, None)}", tuple(params.slots))

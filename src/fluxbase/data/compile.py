"""Plans to SQL. Identifiers come from the catalogue through ``quote_ident``; every value is a parameter.

One statement answers with one row: body, number of rows, total (or null), ``response.headers``, ``response.status``,
and for upserts how many rows were inserted. PostgreSQL builds the JSON; Python never touches a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fluxbase.data.compile_body import body_sql
from fluxbase.data.grammar import FULL_TEXT, OPERATORS, Field, Filter, Logic, Order, SelectColumn
from fluxbase.db.sql import qualified, quote_ident

if TYPE_CHECKING:
    from fluxbase.data.media import Representation
    from fluxbase.data.plan import Join, Node

SlotKind = Literal["value", "text", "limit", "offset", "body", "argument"]
Slot = tuple[SlotKind, int | str | tuple[str, ...]]


@dataclass(slots=True)
class Params:
    """The statement's parameters in order, as recipes that a request's values fill."""

    slots: list[Slot] = field(default_factory=list[Slot])

    def add(self, kind: SlotKind, what: int | str | tuple[str, ...]) -> str:
        """``$n`` of a new parameter."""
        self.slots.append((kind, what))
        return f"${len(self.slots)}"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the recipes of its parameters."""

    sql: str
    slots: tuple[Slot, ...]


GUCS = "current_setting('response.headers',true),current_setting('response.status',true)"


def column_sql(node: Node, field_: Field, params: Params) -> str:
    """A column with its JSON path; on columns that are no JSON the path goes through to_jsonb."""
    text = f"{node.alias}.{quote_ident(field_.name)}"
    if not field_.path:
        return text
    column = node.relation.columns.get(field_.name)
    if column is None or column.type_name not in ("json", "jsonb"):
        text = f"to_jsonb({text})"
    for arrow, step in field_.path:
        text += f"{arrow}{params.add('text', str(step))}::{'int' if isinstance(step, int) else 'text'}"
    return f"({text})"


def filter_sql(node: Node, item: Filter | Logic, params: Params) -> str:
    """A condition."""
    if isinstance(item, Logic):
        inside = f" {item.operator} ".join(filter_sql(node, child, params) for child in item.children)
        return f"{'not ' if item.is_negated else ''}({inside})"
    negation = "not " if item.is_negated else ""
    if item.field.name not in node.visible:
        embed = next(embed for embed in node.embeds if embed.name == item.field.name)
        is_null = (item.constant == "null") is not item.is_negated
        present = f"{embed.alias}_j.{'ok' if embed.join and embed.join.is_to_one else 'j'}"
        return f"{present} is {'' if is_null else 'not '}null"
    left = column_sql(node, item.field, params)
    if item.operator == "is":
        return f"{negation}{left} is {item.constant}"
    from_text = _from_text(node, item.field)
    if item.operator == "in":
        right = params.add("value", item.slot)
        right = f"array(select {from_text}(v) from unnest({right}::text[]) v)" if from_text else right
        return f"{negation}{left} = any({right})"
    if item.operator in FULL_TEXT:
        language = f"{params.add('text', item.language)}::regconfig, " if item.language else ""
        column = node.relation.columns.get(item.field.name)
        if item.field.path or column is None or column.type_name != "tsvector":
            left = f"to_tsvector({language}{left})"
        return f"{negation}{left} @@ {OPERATORS[item.operator]}({language}{params.add('value', item.slot)})"
    right = params.add("value", item.slot)
    if from_text and not item.quantifier:
        right = f"{from_text}({right})"
    if item.quantifier:
        right = f"{item.quantifier}({right})"
    return f"{negation}{left} {OPERATORS[item.operator]} {right}"


def _from_text(node: Node, field_: Field) -> str | None:
    """The cast of a domain from text, for values that are compared with it."""
    column = node.relation.columns.get(field_.name)
    return None if column is None or column.casts is None or field_.path else column.casts.from_text


def _to_json(node: Node, field_: Field) -> str | None:
    """The cast of a domain to JSON, for answers."""
    column = node.relation.columns.get(field_.name)
    return None if column is None or column.casts is None or field_.path else column.casts.to_json


def _shown_column(node: Node, name: str) -> str:
    text, to_json = f"{node.alias}.{quote_ident(name)}", _to_json(node, Field(name))
    return f"{to_json}({text}) as {quote_ident(name)}" if to_json else text


def where_sql(node: Node, params: Params, extra: tuple[str, ...] = ()) -> str:
    """The WHERE clause, empty when nothing is asked."""
    conditions = [*extra, *(filter_sql(node, item, params) for item in node.part.filters)]
    return f" where {' and '.join(conditions)}" if conditions else ""


def order_sql(node: Node, params: Params) -> str:
    """The ORDER BY clause."""
    if not node.part.order:
        return ""
    return " order by " + ", ".join(_term_sql(node, term, params) for term in node.part.order)


def _term_sql(node: Node, term: Order, params: Params) -> str:
    if term.relation is None:
        text = column_sql(node, term.field, params)
    else:
        embed = next(embed for embed in node.embeds if embed.name == term.relation)
        text = f"{embed.alias}_j.{quote_ident('o_' + term.field.name)}"
    return f"{text}{' ' + term.direction if term.direction else ''}{term.nulls}"


def select_sql(node: Node, params: Params) -> tuple[list[str], list[str]]:
    """Output expressions and GROUP BY expressions (only with aggregates)."""
    outputs: list[str] = []
    groups: list[str] = []
    has_aggregate = any(column.aggregate for column in node.columns)
    for column in node.columns:
        text, is_plain = _column_output(node, column, params)
        outputs += text
        if has_aggregate and is_plain:
            groups += [str(len(outputs))]
    for embed in node.embeds:
        if embed.is_spread:
            outputs += [f"{embed.alias}_j.{quote_ident(name)} as {quote_ident(name)}" for name in embed.outputs]
        elif embed.columns or embed.embeds:
            is_to_one = embed.join is not None and embed.join.is_to_one
            value = f"{embed.alias}_j.j" if is_to_one else f"coalesce({embed.alias}_j.j,'[]')"
            outputs.append(f"{value} as {quote_ident(embed.name)}")
    return outputs or ['null::int as " "'], groups if has_aggregate else []


def _column_output(node: Node, column: SelectColumn, params: Params) -> tuple[list[str], bool]:
    if column.aggregate is not None:
        inside = "*" if column.field is None else column_sql(node, column.field, params)
        if column.cast:
            inside = f"cast({inside} as {cast_sql(column.cast)})"
        text = f"{column.aggregate}({inside})"
        if column.aggregate_cast:
            text = f"cast({text} as {cast_sql(column.aggregate_cast)})"
        return [f"{text} as {quote_ident(column.alias or column.aggregate)}"], False
    assert column.field is not None  # noqa: S101 - only count() has no field
    if column.field.name == "*":
        if len(node.visible) == len(node.relation.columns) and not node.join and not any(c.casts for c in node.relation.columns.values()):
            return [f"{node.alias}.*"], True
        return [_shown_column(node, name) for name in node.relation.columns if name in node.visible], True
    text = column_sql(node, column.field, params)
    to_json = _to_json(node, column.field)
    if to_json:
        text = f"{to_json}({text})"
    if column.cast:
        text = f"cast({text} as {cast_sql(column.cast)})"
    name = column.alias or column.field.key
    is_plain = name == column.field.name and not (column.cast or column.field.path or to_json)
    return [text if is_plain else f"{text} as {quote_ident(name)}"], True


def cast_sql(name: str) -> str:
    """A type name that planning found in the catalogue, quoted unless SQL knows it by words (``double precision``)."""
    suffix = "[]" if name.endswith("[]") else ""
    bare = name.removesuffix("[]")
    if all(word.isascii() and word.isalpha() and word.islower() for word in bare.split(" ")):
        return bare + suffix
    return quote_ident(bare.lower() if bare.lower() in _LOWER_TYPES else bare) + suffix


_LOWER_TYPES = frozenset({"int2", "int4", "int8", "float4", "float8"})


def joins_sql(node: Node, params: Params) -> str:
    """The lateral joins of a node's embeds."""
    return "".join(_join_sql(node, embed, params) for embed in node.embeds)


def _join_sql(parent: Node, embed: Node, params: Params) -> str:
    join = embed.join
    assert join is not None  # noqa: S101 - every embed has one
    alias = f"{embed.alias}_j"
    orders = sorted({term.field.name for term in parent.part.order if term.relation == embed.name})
    extra = "".join(f",{embed.alias}.{quote_ident(name)} as {quote_ident('o_' + name)}" for name in orders)
    inner = node_sql(embed, params, conditions=_join_conditions(parent, embed, join), extra_outputs=extra)
    if join.is_to_one:
        lifted = "".join(f",x.{quote_ident(name)}" for name in dict.fromkeys(embed.outputs)) if embed.is_spread else ""
        keys = "".join(f",x.{quote_ident('o_' + name)}" for name in orders)
        body = (
            "row_to_json(x)"
            if not orders
            else "(to_jsonb(x) - array[" + ",".join(params.add("text", "o_" + n) + "::text" for n in orders) + "])::json"
        )
        sub = f"select {body} as j,true as ok{lifted}{keys} from ({inner}) x limit 1"
        return f"{' join' if embed.is_inner else ' left join'} lateral ({sub}) {alias} on true"
    sub = f"select json_agg(x) as j from ({inner}) x"
    return f" join lateral ({sub}) {alias} on {alias}.j is not null" if embed.is_inner else f" left join lateral ({sub}) {alias} on true"


def _join_conditions(parent: Node, embed: Node, join: Join) -> tuple[str, ...]:
    if join.junction is None:
        return tuple(f"{embed.alias}.{quote_ident(child)} = {parent.alias}.{quote_ident(up)}" for child, up in join.pairs)
    through = f"{embed.alias}_m"
    up = tuple(f"{through}.{quote_ident(mine)} = {parent.alias}.{quote_ident(theirs)}" for mine, theirs in join.pairs)
    return (*up, *(f"{through}.{quote_ident(mine)} = {embed.alias}.{quote_ident(theirs)}" for mine, theirs in join.junction_child))


def node_sql(
    node: Node,
    params: Params,
    *,
    source: str | None = None,
    conditions: tuple[str, ...] = (),
    is_root: bool = False,
    extra_outputs: str = "",
) -> str:
    """SELECT of one node with its embeds. ``source`` replaces the relation (a CTE or a function call)."""
    outputs, groups = select_sql(node, params)
    from_ = source or f"{qualified(node.relation.schema, node.relation.name)} {node.alias}"
    if node.join is not None and node.join.junction is not None:
        from_ += f", {qualified(node.join.junction.schema, node.join.junction.name)} {node.alias}_m"
        from_ = f"({_cross(node)})" if node.embeds else from_
    text = f"select {', '.join(outputs)}{extra_outputs} from {from_}{joins_sql(node, params)}{where_sql(node, params, conditions)}"
    if groups:
        text += f" group by {', '.join(groups)}"
    text += order_sql(node, params)
    if is_root:
        text += f" limit {params.add('limit', ())}::bigint"
    elif node.part.limit is not None or (node.join is not None and not node.join.is_to_one):
        text += f" limit {params.add('limit', node.path)}::bigint"
    if node.part.offset is not None:
        text += f" offset {params.add('offset', node.path)}::bigint"
    return text


def _cross(node: Node) -> str:
    """Relation and junction as one join item, so that lateral joins behind it may refer to both."""
    assert node.join is not None and node.join.junction is not None  # noqa: S101, PT018 - the caller checked
    junction = qualified(node.join.junction.schema, node.join.junction.name)
    return f"{qualified(node.relation.schema, node.relation.name)} {node.alias} cross join {junction} {node.alias}_m"


def count_sql(node: Node, params: Params, source: str | None = None) -> str:
    """The total without limits, as a scalar subquery."""
    needed = [embed for embed in node.embeds if embed.is_inner or _is_filtered(node, embed)]
    joins = "".join(_join_sql(node, embed, params) for embed in needed)
    from_ = source or f"{qualified(node.relation.schema, node.relation.name)} {node.alias}"
    return f"(select count(*) from {from_}{joins}{where_sql(node, params)})"


def _is_filtered(node: Node, embed: Node) -> bool:
    def names(item: Filter | Logic) -> bool:
        return any(names(child) for child in item.children) if isinstance(item, Logic) else item.field.name == embed.name

    return any(names(item) for item in node.part.filters)


def compile_read(node: Node, media: Representation, *, has_count: bool, source: str | None = None) -> Statement:
    """A whole read."""
    params = Params()
    inner = node_sql(node, params, source=source, is_root=True)
    total = count_sql(node, params, source) if has_count else "null"
    return Statement(f"select {body_sql(media)},count(*)::text,{total}::text,{GUCS},null::text from ({inner}) _t", tuple(params.slots))

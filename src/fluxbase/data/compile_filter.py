"""Columns, conditions and orders of one node as SQL, and the parameters they take.

Identifiers come from the catalogue through ``quote_ident``; every value, language and JSON key is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fluxbase.data.distance import VECTOR_OPERATORS, DistanceOrder, Nearness, nearness_sql
from fluxbase.data.grammar import FULL_TEXT, OPERATORS, Condition, Field, Filter, Logic, Order
from fluxbase.data.plan import find_embed, is_embed_filter, names_aggregate
from fluxbase.db.sql import qualified, quote_ident

if TYPE_CHECKING:
    from fluxbase.data.plan import Node

SlotKind = Literal["value", "text", "limit", "offset", "rows", "body", "argument"]
Slot = tuple[SlotKind, int | str | tuple[str, ...]]


@dataclass(slots=True)
class Params:
    """The statement's parameters in order, as recipes that a request's values fill."""

    slots: list[Slot] = field(default_factory=list[Slot])

    def add(self, kind: SlotKind, what: int | str | tuple[str, ...]) -> str:
        """``$n`` of a new parameter."""
        self.slots.append((kind, what))
        return f"${len(self.slots)}"


def row_sql(node: Node) -> str:
    """A row of the relation's own type, for functions of one row."""
    if node.is_row:
        return node.alias
    values = (f"{node.alias}.{quote_ident(name)}" if name in node.visible else "null" for name in node.relation.columns)
    return f"row({', '.join(values)})::{qualified(node.relation.schema, node.relation.name)}"


def column_sql(node: Node, field_: Field, params: Params) -> str:
    """A column or computed field with its JSON path; on what is no JSON the path goes through to_jsonb."""
    computed = None if field_.name in node.visible else node.computed.get(field_.name)
    if computed is not None:
        text = f"{qualified(computed.schema, computed.name)}({row_sql(node)})"
    else:
        text = f"{node.alias}.{quote_ident(field_.name)}"
    if not field_.path:
        return text
    column = node.relation.columns.get(field_.name)
    if computed is not None or column is None or column.type_name not in ("json", "jsonb"):
        text = f"to_jsonb({text})"
    for arrow, step in field_.path:
        text += f"{arrow}{params.add('text', str(step))}::{'int' if isinstance(step, int) else 'text'}"
    return f"({text})"


def cast_of(node: Node, field_: Field, direction: Literal["to_json", "from_text"]) -> str | None:
    """The function of a domain's cast, for a whole column."""
    column = node.relation.columns.get(field_.name)
    return None if column is None or column.casts is None or field_.path else getattr(column.casts, direction)


def source_sql(node: Node, parent: Node | None = None) -> str:
    """What a node's rows come from, with a junction at its side."""
    if node.join is not None and node.join.function is not None and parent is not None:
        return f"{qualified(node.join.function.schema, node.join.function.name)}({row_sql(parent)}) {node.alias}"
    text = f"{qualified(node.relation.schema, node.relation.name)} {node.alias}"
    if node.join is None or node.join.junction is None:
        return text
    junction = qualified(node.join.junction.schema, node.join.junction.name)
    on = (f"{node.alias}_m.{quote_ident(mine)} = {node.alias}.{quote_ident(theirs)}" for mine, theirs in node.join.junction_child)
    return f"{text} join {junction} {node.alias}_m on {' and '.join(on)}"


def join_conditions(parent: Node, embed: Node) -> tuple[str, ...]:
    """What ties an embed's rows to a row of the parent."""
    if embed.join is None:
        return ()
    near = embed.alias if embed.join.junction is None else f"{embed.alias}_m"
    return tuple(f"{near}.{quote_ident(child)} = {parent.alias}.{quote_ident(up)}" for child, up in embed.join.pairs)


def where_sql(
    node: Node, params: Params, extra: tuple[str, ...] = (), *, is_joined: bool = False, counts_inner: bool = False
) -> str:  # fmt: skip
    """The WHERE clause, empty when nothing is asked.

    ``is_joined``: the embeds are joined in the same SELECT; else a filter on an embed is a subquery of its own.
    ``counts_inner``: inner joins are conditions too.
    """
    conditions = [*extra, *(_condition(node, item, params, is_joined=is_joined) for item in node.part.filters)]
    if counts_inner:
        conditions += [_exists(node, embed, params) for embed in node.embeds if embed.is_inner]
    return f" where {' and '.join(conditions)}" if conditions else ""


def _exists(parent: Node, embed: Node, params: Params) -> str:
    where = where_sql(embed, params, join_conditions(parent, embed), counts_inner=True)
    return f"exists (select from {source_sql(embed, parent)}{where})"


def _condition(node: Node, item: Condition, params: Params, *, is_joined: bool) -> str:
    if isinstance(item, Logic):
        inside = f" {item.operator} ".join(_condition(node, child, params, is_joined=is_joined) for child in item.children)
        return f"{'not ' if item.is_negated else ''}({inside})"
    if isinstance(item, Nearness):
        return _nearness(node, item, params)
    if is_embed_filter(node, item):
        return _presence(node, item, params, is_joined=is_joined)
    return f"{'not ' if item.is_negated else ''}{_comparison(node, item, params)}"


def _nearness(node: Node, item: Nearness, params: Params) -> str:
    column = node.relation.columns.get(item.field.name)
    limit = None if item.limit_slot is None else params.add("value", item.limit_slot)
    left, value = column_sql(node, item.field, params), params.add("value", item.slot)
    return nearness_sql(item, left, "" if column is None else column.type_name, value, limit)


def _presence(node: Node, item: Filter, params: Params, *, is_joined: bool) -> str:
    """Whether there is a row of an embed."""
    embed = find_embed(node, item.field.name)
    assert embed is not None  # noqa: S101 - is_embed_filter found it
    is_null = (item.constant == "null") is not item.is_negated
    if not is_joined:
        return f"{'not ' if is_null else ''}{_exists(node, embed, params)}"
    alias = f"{embed.alias}_j"
    if embed.is_to_one:
        return f"{alias} is {'not ' if is_null else ''}distinct from null"
    return f"{alias}.{'ok' if embed.is_spread else 'j'} is {'' if is_null else 'not '}null"


def _comparison(node: Node, item: Filter, params: Params) -> str:
    left = column_sql(node, item.field, params)
    if item.operator == "is":
        return f"{left} is {item.constant}"
    from_text = cast_of(node, item.field, "from_text")
    if item.operator == "in":
        right = params.add("value", item.slot)
        return f"{left} = any({f'array(select {from_text}(v) from unnest({right}::text[]) v)' if from_text else right})"
    if item.operator in FULL_TEXT:
        language = f"{params.add('text', item.language)}::regconfig, " if item.language else ""
        column = node.relation.columns.get(item.field.name)
        if item.field.path or column is None or column.type_name != "tsvector":
            left = f"to_tsvector({language}{left})"
        return f"{left} @@ {OPERATORS[item.operator]}({language}{params.add('value', item.slot)})"
    right = params.add("value", item.slot)
    if item.quantifier:
        right = f"{item.quantifier}({right})"
    elif from_text:
        right = f"{from_text}({right})"
    return f"{left} {OPERATORS[item.operator]} {right}"


def order_sql(node: Node, params: Params) -> str:
    """The ORDER BY clause."""
    if not node.part.order:
        return ""
    related = {id(term): name for embed in node.embeds for term, name in related_orders(node, embed)}
    terms: list[str] = []
    for term in node.part.order:
        text = related.get(id(term)) or _ordered_by(node, term, params)
        terms.append(f"{text}{' ' + term.direction if term.direction else ''}{term.nulls}")
    return f" order by {', '.join(terms)}"


def _ordered_by(node: Node, term: Order | DistanceOrder, params: Params) -> str:
    if isinstance(term, DistanceOrder):
        return f"{column_sql(node, term.field, params)} {VECTOR_OPERATORS[term.operator]} {params.add('value', term.slot)}"
    return quote_ident(term.field.name) if names_aggregate(node, term.field) else column_sql(node, term.field, params)


def related_orders(parent: Node, embed: Node) -> list[tuple[Order, str]]:
    """The terms that order the parent by an embed, each with the embed's column that holds it.

    A spread's own column serves when it is selected, so that grouped rows can be ordered by it; else there is one more, ``o0``…
    """
    found: list[tuple[Order, str]] = []
    for index, term in enumerate(parent.part.order):
        if isinstance(term, Order) and term.relation is not None and find_embed(parent, term.relation) is embed:
            selected = _selected_at(embed, term.field) if embed.is_flat else None
            found.append((term, f"{embed.alias}_j.{f'o{index}' if selected is None else f's{selected}'}"))
    return found


def _selected_at(node: Node, wanted: Field) -> int | None:
    index = 0
    for column in node.columns:
        if column.field == wanted and column.aggregate is None and column.cast is None:
            return index
        is_star = column.field is not None and column.field.name == "*" and column.aggregate is None
        index += len(node.visible) if is_star else 1
    return None

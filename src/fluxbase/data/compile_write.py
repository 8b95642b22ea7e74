"""Writes as SQL: the change in a CTE, the answer read from what it returned (contract 1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxbase.data.compile import GUCS, Params, Statement, node_sql, where_sql
from fluxbase.data.compile_body import body_sql
from fluxbase.db.sql import qualified, quote_ident

if TYPE_CHECKING:
    from fluxbase.data.media import Representation
    from fluxbase.data.plan import Node
    from fluxbase.data.snapshot import Column, Relation

_COUNTER = "coalesce(nullif(current_setting('fluxbase.inserted',true),''),'0')"
"""Rows an upsert inserted: each row of the body adds one, each conflict takes it back. System columns would tell tables only."""
_ADD = f"set_config('fluxbase.inserted',({_COUNTER}::int+1)::text,true)<>''"
_TAKE = f"set_config('fluxbase.inserted',({_COUNTER}::int-1)::text,true)<>''"


def rows_sql(relation: Relation, columns: tuple[str, ...], params: Params, *, fills_defaults: bool = False, limit: str = "") -> str:
    """The body's rows with the columns' types, as ``_b``: domains through their own cast, left-out keys as null or default."""
    wanted = [relation.columns[name] for name in columns]
    shape = ", ".join(f"{quote_ident(each.name)} {_read_type(each)}" for each in wanted)
    body = params.add("body", 0)
    if not columns:
        return f"json_array_elements({body}::json) as _b(j){limit}"
    if fills_defaults:
        source = f"jsonb_array_elements({body}::jsonb) as _e(j), lateral jsonb_to_record(_e.j) as _r({shape})"
    else:
        source = f"json_to_recordset({body}::json) as _r({shape})"
    if not fills_defaults and not limit and all(_read_type(each) == each.type for each in wanted):
        return f"{source.removesuffix(f' as _r({shape})')} as _b({shape})"
    values = ", ".join(f"{_value(each, params, fills_defaults=fills_defaults)} as {quote_ident(each.name)}" for each in wanted)
    return f"(select {values} from {source}{limit}) as _b"


def _read_type(column: Column) -> str:
    return "json" if column.casts is not None and column.casts.from_json else column.type


def _value(column: Column, params: Params, *, fills_defaults: bool) -> str:
    text = f"_r.{quote_ident(column.name)}"
    if column.casts is not None and column.casts.from_json:
        text = f"{column.casts.from_json}({text})"
    if not fills_defaults:
        return text
    return f"case when _e.j ? {params.add('text', column.name)}::text then {text} else ({column.default or 'null'}) end"


def insert_sql(
    node: Node,
    columns: tuple[str, ...],
    params: Params,
    *,
    resolution: str | None,
    conflict: tuple[str, ...],
    fills_defaults: bool,
    is_put: bool = False,
) -> str:
    """INSERT from the body, with ON CONFLICT when a resolution was preferred. A PUT inserts only the row its filters name."""
    relation = node.relation
    names = f" ({', '.join(map(quote_ident, columns))})" if columns else ""
    values = ", ".join(f"_b.{quote_ident(name)}" for name in columns)
    text = f"insert into {qualified(relation.schema, relation.name)} as {node.alias}{names}"
    text += f" select {values} from {rows_sql(relation, columns, params, fills_defaults=fills_defaults)}"
    if is_put:
        text += where_sql(replace(node, alias="_b"), params, (_ADD,))
    elif resolution == "merge-duplicates":
        text += f" where {_ADD}"
    if resolution is None or not conflict:
        return text
    target = ", ".join(map(quote_ident, conflict))
    if resolution == "ignore-duplicates" or not columns:
        return f"{text} on conflict ({target}) do nothing"
    changed = [name for name in columns if name not in conflict] or columns
    updates = ", ".join(f"{quote_ident(name)} = excluded.{quote_ident(name)}" for name in changed)
    return f"{text} on conflict ({target}) do update set {updates} where {_TAKE}"


def update_sql(node: Node, columns: tuple[str, ...], params: Params, *, fills_defaults: bool, key: tuple[str, ...] = ()) -> str:
    """UPDATE with the first row of the body, or of each row that a row of the body names by ``key``."""
    relation = node.relation
    target = f"{qualified(relation.schema, relation.name)} as {node.alias}"
    sets = ", ".join(f"{quote_ident(name)} = _b.{quote_ident(name)}" for name in columns if name not in key)
    rows = rows_sql(relation, columns, params, fills_defaults=fills_defaults, limit="" if key else " limit 1")
    same = tuple(f"{node.alias}.{quote_ident(name)} = _b.{quote_ident(name)}" for name in key)
    return f"update {target} set {sets} from {rows}{where_sql(node, params, same)}"


def delete_sql(node: Node, params: Params) -> str:
    """DELETE of the rows the filters name."""
    return f"delete from {qualified(node.relation.schema, node.relation.name)} as {node.alias}{where_sql(node, params)}"


def compile_write(node: Node, change: str | None, params: Params, media: Representation, *, answers: str, is_upsert: bool) -> Statement:
    """``change``: None where nothing is to change; the caller must be admitted all the same.

    ``answers``: ``representation``, ``location`` (the key of the row) or ``minimal``.
    """
    extra = f"{_COUNTER}" if is_upsert else "null::text"
    if answers == "representation":
        returning, rows = _returned_rows(node, params)
        body, counter = body_sql(media), "(select count(*) from _w)"
    else:
        key = [name for name in node.relation.columns if name in node.relation.primary_key] if answers == "location" else []
        returning = ", ".join(f"{node.alias}.{quote_ident(name)}" for name in key) or "1 as one"
        pairs = ", ".join(f"json_build_array({params.add('text', name)}::text,_w.{quote_ident(name)}::text)" for name in key)
        body = f"case when count(*) = 1 then (array_agg(json_build_array({pairs})))[1]::text end" if key else "''::text"
        rows, counter = "from _w", "count(*)"
    nothing = f"select {returning} from {qualified(node.relation.schema, node.relation.name)} as {node.alias} where false"
    changed = nothing if change is None else f"{change} returning {returning}"
    return Statement(f"with _w as ({changed}) select {body},{counter}::text,null::text,{GUCS},{extra} {rows}", tuple(params.slots))


def _returned_rows(node: Node, params: Params) -> tuple[str, str]:
    """What RETURNING gives and the FROM clause over it. A role that may read no column is refused by PostgreSQL (42501)."""
    names = [name for name in node.relation.columns if name in node.visible]
    returning = ", ".join(f"{node.alias}.{quote_ident(name)}" for name in names) or f"{node.alias}.*"
    node.part.filters = []
    node.part.limit = node.part.offset = None
    source = f"(select {', '.join(map(quote_ident, names)) or '*'} from _w) {node.alias}"
    return returning, f"from ({node_sql(node, params, source=source)}) _t"

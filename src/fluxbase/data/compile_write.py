"""Writes and function calls as SQL: the change in a CTE, the answer read from what it returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.compile import GUCS, Media, Params, Statement, body_sql, count_sql, node_sql, where_sql
from fluxbase.db.sql import qualified, quote_ident

if TYPE_CHECKING:
    from fluxbase.data.plan import Node
    from fluxbase.data.snapshot import Function, Relation


def recordset_sql(relation: Relation, columns: tuple[str, ...], params: Params) -> str:
    """The body's rows with the columns' types."""
    shape = ", ".join(f"{quote_ident(name)} {relation.columns[name].type}" for name in columns)
    return f"json_to_recordset({params.add('body', 0)}::json) as _b({shape})"


def insert_sql(
    node: Node,
    columns: tuple[str, ...],
    params: Params,
    *,
    resolution: str | None,
    conflict: tuple[str, ...],
    has_rows: bool,
    fills_defaults: bool,
) -> str:
    """INSERT from the body, with ON CONFLICT when a resolution was preferred."""
    relation = node.relation
    table = f"{qualified(relation.schema, relation.name)} as {node.alias}"
    if columns and fills_defaults:
        text = _insert_with_defaults(relation, table, columns, params)
    elif columns:
        names = ", ".join(quote_ident(name) for name in columns)
        values = ", ".join(f"_b.{quote_ident(name)}" for name in columns)
        text = f"insert into {table} ({names}) select {values} from {recordset_sql(relation, columns, params)}"
    elif has_rows:
        text = f"insert into {table} default values"
    else:
        first = quote_ident(next(iter(relation.columns)))
        text = f"insert into {table} ({first}) select null where false and {params.add('body', 0)}::text is null"
    if resolution is None or not conflict:
        return text
    target = ", ".join(quote_ident(name) for name in conflict)
    changed = [name for name in columns if name not in conflict]
    if resolution == "ignore-duplicates" or not columns:
        return f"{text} on conflict ({target}) do nothing"
    updates = ", ".join(f"{quote_ident(name)} = excluded.{quote_ident(name)}" for name in (changed or columns))
    return f"{text} on conflict ({target}) do update set {updates}"


def _insert_with_defaults(relation: Relation, table: str, columns: tuple[str, ...], params: Params) -> str:
    """``Prefer: missing=default``: a key that a row leaves out takes the column's default instead of null."""
    shape = ", ".join(f"{quote_ident(name)} {relation.columns[name].type}" for name in columns)
    values = ", ".join(
        f"case when _e.j ? {params.add('text', name)}::text then _b.{quote_ident(name)} "
        f"else ({relation.columns[name].default or 'null'}) end"
        for name in columns
    )
    names = ", ".join(quote_ident(name) for name in columns)
    rows = f"jsonb_array_elements({params.add('body', 0)}::jsonb) as _e(j), lateral jsonb_to_record(_e.j) as _b({shape})"
    return f"insert into {table} ({names}) select {values} from {rows}"


def update_sql(node: Node, columns: tuple[str, ...], params: Params) -> str:
    """UPDATE with the first row of the body."""
    relation = node.relation
    sets = ", ".join(f"{quote_ident(name)} = _b.{quote_ident(name)}" for name in columns)
    rows = recordset_sql(relation, columns, params)
    target = f"{qualified(relation.schema, relation.name)} as {node.alias}"
    return f"update {target} set {sets} from (select * from {rows} limit 1) _b{where_sql(node, params)}"


def delete_sql(node: Node, params: Params) -> str:
    """DELETE of the rows the filters name."""
    return f"delete from {qualified(node.relation.schema, node.relation.name)} as {node.alias}{where_sql(node, params)}"


def compile_write(node: Node, change: str, params: Params, media: Media, *, answers: str, reports_inserted: bool) -> Statement:
    """``answers``: ``representation``, ``headers-only`` (the primary key for Location) or ``minimal``."""
    names = [name for name in node.relation.columns if name in node.visible]
    inserted = f',({node.alias}.xmax = 0) as " inserted"' if reports_inserted else ""
    if answers == "representation" and names:
        returning = ", ".join(f"{node.alias}.{quote_ident(name)}" for name in names) + inserted
        node.part.filters = []
        node.part.limit = node.part.offset = None
        source = f"(select {', '.join(quote_ident(name) for name in names)} from _w) {node.alias}"
        inner = node_sql(node, params, source=source)
        body, rows, counter = body_sql(media), f"from ({inner}) _t", "(select count(*) from _w)"
    else:
        key = [name for name in node.relation.primary_key if name in node.visible] if answers == "headers-only" else []
        is_key = bool(key) and len(key) == len(node.relation.primary_key)
        returning = (", ".join(f"{node.alias}.{quote_ident(name)}" for name in key) if is_key else "1 as one") + inserted
        body = (
            f"coalesce(json_agg(json_build_array({', '.join(f'_w.{quote_ident(name)}::text' for name in key)})),'[]')::text"
            if is_key
            else "''::text"
        )
        rows, counter = "from _w", "count(*)"
    extra = '(select count(*) filter (where " inserted") from _w)::text' if reports_inserted else "null::text"
    return Statement(
        f"with _w as ({change} returning {returning}) select {body},{counter}::text,null::text,{GUCS},{extra} {rows}", tuple(params.slots)
    )


def call_sql(function: Function, arguments: list[tuple[str, str]], params: Params, *, from_body: bool) -> tuple[str, str]:
    """(FROM item before the call, the call). From a JSON body the arguments are one record; else one parameter each.

    ``arguments`` pairs a name with its SQL type; an empty name is the single unnamed argument.
    """
    name = qualified(function.schema, function.name)
    variadic = {argument.name for argument in function.arguments if argument.is_variadic}
    if not arguments:
        return "", f"{name}()"
    if arguments[0][0] == "":
        return "", f"{name}({params.add('body', 0)}::{arguments[0][1]})"
    if from_body:
        shape = ", ".join(f"{quote_ident(each)} {type_}" for each, type_ in arguments)
        values = ", ".join(
            f"{'variadic ' if each in variadic else ''}{quote_ident(each)} => _a.{quote_ident(each)}" for each, _ in arguments
        )
        return f"json_to_record({params.add('body', 0)}::json) as _a({shape}), lateral ", f"{name}({values})"
    values = ", ".join(
        f"{'variadic ' if each in variadic else ''}{quote_ident(each)} => {params.add('argument', index)}::{type_}"
        for index, (each, type_) in enumerate(arguments)
    )
    return "", f"{name}({values})"


def compile_call(
    function: Function, node: Node | None, arguments: list[tuple[str, str]], media: Media, *, from_body: bool, has_count: bool
) -> Statement:
    """A function call: void, a scalar, a set of scalars, one row, or rows that the query's shape applies to."""
    params = Params()
    before, call = call_sql(function, arguments, params, from_body=from_body)
    if function.is_void:
        return Statement(f"select ''::text,'1',null::text,{GUCS},null::text from {before or ''}{call} _v", tuple(params.slots))
    if node is None:
        if function.is_set:
            text = f"select coalesce(json_agg(_v.v),'[]')::text,count(*)::text,null::text,{GUCS},null::text from {before}{call} as _v(v)"
        else:
            text = f"select to_json(_v.v)::text,'1',null::text,{GUCS},null::text from {before}{call} as _v(v)"
        return Statement(text, tuple(params.slots))
    source = f"{before}{call} as {node.alias}"
    if not function.is_set:
        media = "stripped_object" if media in ("stripped", "stripped_object") else "csv" if media == "csv" else "object"
    # The function runs once: rows and total are both read from its result.
    names = ", ".join(quote_ident(name) for name in node.relation.columns)
    inner = node_sql(node, params, source=f"_f {node.alias}", is_root=True)
    total = count_sql(node, params, f"_f {node.alias}") if has_count else "null"
    body = f"select {body_sql(media)},count(*)::text,{total}::text,{GUCS},null::text from ({inner}) _t"
    columns = f"({names})" if _needs_columns(function) else ""
    return Statement(f"with _f{columns} as materialized (select {node.alias}.* from {source}) {body}", tuple(params.slots))


def _needs_columns(function: Function) -> bool:
    return False if function.rows is None else len(function.rows.columns) == 1 and function.rows.oid == 0

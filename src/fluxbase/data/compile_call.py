"""Function calls as SQL: the arguments, the call, and the answer read from what it returned (contract 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.compile import GUCS, Params, Statement, count_sql, node_sql
from fluxbase.data.compile_body import SCALAR, body_sql
from fluxbase.db.sql import qualified, quote_ident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.data.media import Representation
    from fluxbase.data.plan import Node
    from fluxbase.data.snapshot import Function


def call_sql(function: Function, names: Sequence[str], params: Params, *, form: str) -> tuple[str, str]:
    """(FROM item before the call, the call). ``form``: texts are parameters of their own; a JSON object or array is one record."""
    name = qualified(function.schema, function.name)
    arguments = {argument.name: argument for argument in function.arguments}
    if form == "whole":
        return "", f"{name}({params.add('body', 0)}::{function.arguments[0].type})"
    if not names:
        return "", f"{name}()"
    heads = {each: f"{'variadic ' if arguments[each].is_variadic else ''}{quote_ident(each)} => " for each in names}
    if form == "texts":
        values = (f"{heads[each]}{params.add('argument', index)}::{arguments[each].type}" for index, each in enumerate(names))
        return "", f"{name}({', '.join(values)})"
    shape = ", ".join(f"{quote_ident(each)} {arguments[each].type}" for each in names)
    body = f"{params.add('body', 0)}::json"
    record = f"json_to_record({body}) as _a({shape})"
    if form == "array":
        record = f"(select * from json_to_recordset({body}) as _r({shape}) limit 1) as _a"
    return record, f"{name}({', '.join(f'{heads[each]}_a.{quote_ident(each)}' for each in names)})"


def compile_call(
    function: Function, node: Node | None, names: Sequence[str], media: Representation, *, form: str, has_count: bool
) -> Statement:
    """A function call: void, a scalar, a set of scalars, one row, or rows that the query's shape applies to."""
    params = Params()
    record, call = call_sql(function, names, params, form=form)
    if function.is_void:
        items = f"{record}, lateral {call} _v" if record else f"{call} _v"
        return Statement(f"select ''::text,'1',null::text,{GUCS},null::text from {items}", tuple(params.slots))
    rows = "count(*)" if function.is_set else "1"
    if node is None:
        source = f"select {call} as {SCALAR}{f' from {record}' if record else ''}"
        body = body_sql(media, is_scalar=True, is_single=not function.is_set)
        return Statement(f"select {body},{rows}::text,null::text,{GUCS},null::text from ({source}) _t", tuple(params.slots))
    # The function runs once: rows and total are both read from its result.
    source = f"{record}, lateral {call} as {node.alias}" if record else f"{call} as {node.alias}"
    inner = node_sql(node, params, source=f"_f {node.alias}", is_root=True)
    total = count_sql(node, params, f"_f {node.alias}") if has_count else "null"
    answer = f"select {body_sql(media, is_single=not function.is_set)},{rows}::text,{total}::text,{GUCS},null::text from ({inner}) _t"
    # A row of one OUT argument has PostgreSQL's scalar type: it needs its name.
    is_unnamed = node.relation.oid == 0 and len(node.relation.columns) == 1
    columns = f"({quote_ident(next(iter(node.relation.columns)))})" if is_unnamed else ""
    return Statement(f"with _f{columns} as materialized (select {node.alias}.* from {source}) {answer}", tuple(params.slots))

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# The values of parsed JSON have no types; each is checked where it is used.
"""Calling a function: arguments → choice among overloads → compile → execute → render (contract 1.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fluxbase.data.body import is_raw, load_json, parse_rows, refuse, refuse_type, text_of
from fluxbase.data.compile_call import compile_call
from fluxbase.data.functions import find_function, takes_body
from fluxbase.data.grammar import Part, decode_pairs, parse_query
from fluxbase.data.plan import plan_read
from fluxbase.data.read import rows_reply
from fluxbase.data.render import body_of, content_range, finished
from fluxbase.data.shape import Shape, apply_range, fill, shape_of
from fluxbase.data.write import refuse_too_many, verdict
from fluxbase.db.executor import Mode
from fluxbase.db.sql import array_literal
from fluxbase.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection

    from fluxbase.data.compile import Statement
    from fluxbase.data.engine import Row, Work
    from fluxbase.data.media import Representation
    from fluxbase.data.request import DataReply, DataRequest
    from fluxbase.data.snapshot import Function

ArgumentForm = Literal["texts", "object", "array", "whole"]


@dataclass(slots=True)
class Arguments:
    """What a call brings: texts by name (query string, form), a JSON body, or a raw one."""

    names: Collection[str]
    content_type: str | None
    texts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""
    form: ArgumentForm = "texts"


async def call(work: Work) -> DataReply:
    """GET, HEAD and POST of a function. Raises PGRST202, PGRST203, PGRST128 and what the function raises."""
    request, prefer, role = work.request, work.prefer, work.principal.role
    is_post = request.method == "POST"
    shape = shape_of(request.query, is_rpc_get=not is_post)
    apply_range(shape, request.range_header)
    arguments = _posted(request, shape) if is_post else Arguments({name: None for name, _ in shape.arguments}, None, shape.arguments)
    function = find_function(work.snapshot, work.schema, request.target, arguments.names, role, content_type=arguments.content_type)
    if takes_body(function, arguments.content_type):
        arguments.form = "whole"
    shape.arguments = _texts(function, arguments)
    media = work.representation(shape, function.rows, function.handler)
    if prefer.max_affected is not None and not function.is_set:
        raise InvalidInput(
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            pgrst="PGRST128", code="max_affected",
        )  # fmt: skip
    statement = _statement(work, shape, function, arguments, media)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows, body=arguments.body)
    is_write = is_post and function.volatility == "v"
    mode = Mode.WRITE if is_write else Mode.FUNCTION_READ
    if media.plan is not None:
        return await work.explain(media.plan, media, statement.sql, params, mode=mode)
    judge = verdict(media, prefer.max_affected) if is_write and function.is_set else None
    row = await work.run(statement.sql, params, mode=mode, verdict=judge, function=function)
    if prefer.max_affected is not None:
        refuse_too_many(int(row[1] or b"0"), prefer.max_affected)
    return _reply(work, media, shape, function, row)


def _statement(work: Work, shape: Shape, function: Function, arguments: Arguments, media: Representation) -> Statement:
    role, request = work.principal.role, work.request
    is_get = request.method != "POST"
    has_count, has_offset = work.prefer.count is not None, () in shape.offsets
    names = [name for name, _ in shape.arguments] if arguments.form == "texts" else list(arguments.names)

    def compile_statement() -> Statement:
        query = parse_query(shape.pairs, is_rpc_get=is_get)
        if has_offset:
            query.parts.setdefault((), Part()).offset = 0
        rows, node = function.rows, None
        if rows is not None:
            node = plan_read(work.snapshot, rows, query, role, work.bounds, visible=frozenset(rows.columns))
        return compile_call(function, node, names, media, form=arguments.form, has_count=has_count)

    how = (is_get, arguments.content_type, arguments.form, media, has_count, has_offset)
    key = ("call", role, work.schema, request.target, tuple(names), how, shape.key)
    return work.remembered(key, compile_statement)


def _reply(work: Work, media: Representation, shape: Shape, function: Function, row: Row) -> DataReply:
    if function.is_set:
        reply = rows_reply(work, media, shape, row)
        reply.headers = [pair for pair in reply.headers if pair[0] not in (b"content-location", b"preference-applied")]
        headers = reply.headers
    else:
        body = b"" if function.is_void else body_of(media, row)
        headers = [(b"content-range", content_range(0, 1, None))]
        if not function.is_void:
            headers += [(b"content-type", media.content_type), (b"content-length", b"%d" % len(body))]
        reply = finished(204 if function.is_void else 200, headers, body, row)
    applied = work.prefer.applied("max-affected")
    if applied:
        reply.headers.append((b"preference-applied", applied.encode()))
    return reply


def _texts(function: Function, arguments: Arguments) -> list[tuple[str, str]]:
    """One text a name: all values of a variadic argument as an array, else the last."""
    if arguments.form != "texts":
        return []
    variadic = {argument.name for argument in function.arguments if argument.is_variadic}
    values: dict[str, list[str]] = {}
    for name, value in arguments.texts:
        values.setdefault(name, []).append(value)
    return [(name, array_literal(each) if name in variadic else each[-1]) for name, each in values.items()]


def _posted(request: DataRequest, shape: Shape) -> Arguments:
    """The arguments of a POST. Raises PGRST102."""
    media = request.content_type.split(";", 1)[0].strip().lower() or "application/json"
    if is_raw(media):
        body = b"\\x" + request.body.hex().encode() if media == "application/octet-stream" else text_of(request.body).encode()
        return Arguments((), media, body=body, form="whole")
    if media == "application/x-www-form-urlencoded":
        texts = decode_pairs(text_of(request.body))
        return Arguments({name: None for name, _ in texts}, media, texts)
    if media == "text/csv":
        rows = parse_rows(request.body, media, needs_uniform=True)
        return Arguments(rows.keys, media, body=rows.text, form="array")
    if media != "application/json":
        refuse_type(media)
    body = request.body.strip() or b"{}"
    value = load_json(body)
    columns = next((value for name, value in shape.pairs if name == "columns"), None)
    if isinstance(value, list):
        return _posted_rows(value, body, columns)
    if not isinstance(value, dict):
        return Arguments((), media, body=body, form="object")
    return Arguments(_limited(tuple(value), columns), media, body=body, form="object")


def _posted_rows(rows: list[object], body: bytes, columns: str | None) -> Arguments:
    """An array: the whole of it for a single json argument, else the first object's members."""
    first = rows[0] if rows else {}
    keys: tuple[str, ...] = tuple(first) if isinstance(first, dict) else ()
    if isinstance(first, dict) and any(not isinstance(row, dict) or row.keys() != first.keys() for row in rows):
        refuse("All object keys must match")
    return Arguments(_limited(keys, columns), "application/json", body=body, form="array")


def _limited(keys: tuple[str, ...], columns: str | None) -> tuple[str, ...]:
    """``columns=`` says which members count."""
    return keys if columns is None else tuple(name.strip('"') for name in columns.split(","))

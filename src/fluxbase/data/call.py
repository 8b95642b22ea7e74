# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""Calling a function: arguments → choice among overloads → compile → execute → render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.body import load_json, parse_rows
from fluxbase.data.compile import Media, Statement
from fluxbase.data.compile_write import compile_call
from fluxbase.data.functions import find_function
from fluxbase.data.grammar import Part, parse_query
from fluxbase.data.plan import plan_read
from fluxbase.data.read import rows_reply
from fluxbase.data.render import CONTENT_TYPES, choose_media, with_overrides
from fluxbase.data.request import DataReply, DataRequest
from fluxbase.data.shape import Shape, apply_range, fill, shape_of
from fluxbase.data.write import verdict
from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from fluxbase.data.engine import Row, Work
    from fluxbase.data.prefer import Preferences
    from fluxbase.data.snapshot import Function


async def call(work: Work) -> DataReply:
    """GET, HEAD and POST of a function. Raises PGRST202, PGRST203 and what the function raises."""
    request, prefer, role, schema = work.request, work.prefer, work.principal.role, work.schema
    media = choose_media(request.accept)
    is_post = request.method == "POST"
    shape = shape_of(request.query, is_rpc_get=not is_post)
    apply_range(shape, request.range_header)
    body, names, content_type = _call_body(request) if is_post else (b"", _argument_names(shape), None)
    function, arguments = find_function(work.snapshot, schema, request.target, names, role, content_type=content_type)
    has_count, has_offset = prefer.count is not None, () in shape.offsets

    def compile_statement() -> Statement:
        query = parse_query(shape.pairs, is_rpc_get=not is_post)
        if has_offset:
            query.parts.setdefault((), Part()).offset = 0
        rows, node = function.rows, None
        if rows is not None:
            node = plan_read(work.snapshot, rows, query, role, work.bounds, visible=frozenset(rows.columns))
        return compile_call(function, node, arguments, media, from_body=is_post and content_type == "application/json", has_count=has_count)

    key = ("call", is_post, role, schema, request.target, names, content_type, media, has_count, has_offset, shape.key)
    statement = work.remembered(key, compile_statement)
    is_write = is_post and function.volatility == "v"
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows, body=body)
    judge = verdict(media if function.is_set else "json", _max_affected(prefer, function), is_put=False) if is_write else None
    row = await work.run(statement.sql, params, mode=Mode.WRITE if is_write else Mode.FUNCTION_READ, verdict=judge)
    return _call_reply(work, media, shape, function, row)


def _call_reply(work: Work, media: Media, shape: Shape, function: Function, row: Row) -> DataReply:
    if function.is_void:
        headers: list[tuple[bytes, bytes]] = []
        return DataReply(with_overrides(204, headers, row), headers, b"")
    if function.is_set:
        reply = rows_reply(work, media, shape, row)
        reply.headers = [pair for pair in reply.headers if pair[0] != b"content-location"]
        return reply
    body = row[0] if row[0] is not None else b"null"
    headers = [
        (b"content-type", CONTENT_TYPES[media if media in ("csv", "stripped") else "json"]),
        (b"content-length", b"%d" % len(body)),
    ]
    return DataReply(with_overrides(200, headers, row), headers, body)


def _max_affected(prefer: Preferences, function: Function) -> int | None:
    if prefer.max_affected is not None and not function.is_set:
        raise InvalidInput(
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            pgrst="PGRST128",
            code="max_affected",
        )
    return prefer.max_affected


def _argument_names(shape: Shape) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for name, _ in shape.arguments:
        names[name] = None
    if len(names) != len(shape.arguments):  # a repeated name is a variadic argument
        merged: dict[str, list[str]] = {}
        for name, value in shape.arguments:
            merged.setdefault(name, []).append(value)
        shape.arguments = [
            (
                name,
                values[0]
                if len(values) == 1
                else "{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + "}",
            )
            for name, values in merged.items()
        ]
    return tuple(names)


def _call_body(request: DataRequest) -> tuple[bytes, tuple[str, ...], str]:
    media = request.content_type.split(";", 1)[0].strip().lower() or "application/json"
    if media in ("text/plain", "application/octet-stream", "text/xml"):
        body = b"\\x" + request.body.hex().encode() if media == "application/octet-stream" else request.body
        return body, (), media
    if media == "application/x-www-form-urlencoded" or media == "text/csv":
        payload = parse_rows(request.body, request.content_type, needs_uniform=True)
        return payload.text[1:-1], payload.keys, "application/json"
    if media != "application/json":
        raise InvalidInput(f"Content-Type not acceptable: {media}", pgrst="PGRST102", code="bad_body")
    body = request.body.strip() or b"{}"
    value = load_json(body)
    return body, tuple(value) if isinstance(value, dict) else (), "application/json"

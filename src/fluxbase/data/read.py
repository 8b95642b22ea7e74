# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# An EXPLAIN's JSON has no types.
"""Reading a table or view: shape → plan → compile → execute → render."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from fluxbase.data.compile import Count, Statement, compile_estimate, compile_read
from fluxbase.data.grammar import Part, Query
from fluxbase.data.key_tables import check_verb
from fluxbase.data.plan import Node, find_relation, plan_read
from fluxbase.data.render import body_of, content_range, finished, not_single, range_status
from fluxbase.data.shape import Shape, apply_range, canonical_query, encoded_path, fill, parse_request
from fluxbase.db.executor import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.engine import Row, Work
    from fluxbase.data.media import Representation
    from fluxbase.data.request import DataReply

_COUNTS: dict[str | None, Count | None] = {None: None, "exact": "exact", "planned": None, "estimated": "capped"}


async def read(work: Work) -> DataReply:
    """GET and HEAD. Raises the errors of parsing, planning and PostgreSQL."""
    request = work.request
    shape, parse_query = parse_request(request)
    target = work.snapshot.relations.get((work.schema, request.target))
    if target is not None:
        check_verb(work.principal, target, "select")
    media = work.representation(shape, target)
    apply_range(shape, request.range_header)
    count, has_offset = _COUNTS[work.prefer.count], () in shape.offsets

    def compile_statement() -> Statement:
        return compile_read(_plan(work, parse_query(), has_offset=has_offset), media, count=count)

    key = ("read", work.principal.role, work.schema, request.target, media, count, has_offset, shape.key)
    statement = work.remembered(key, compile_statement)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows)
    if media.plan is not None:
        return await work.explain(media.plan, media, statement.sql, params, mode=Mode.PLAIN_READ)
    row = await work.run(statement.sql, params, mode=Mode.PLAIN_READ)
    total = None if row[2] is None else int(row[2])
    if work.prefer.count == "planned" or (work.prefer.count == "estimated" and total is not None and total > work.bounds.max_rows):
        total = max(total or 0, await _estimate(work, shape, parse_query, has_offset=has_offset))
    return rows_reply(work, media, shape, row, total=total, warnings=statement.warnings)


def _plan(work: Work, query: Query, *, has_offset: bool) -> Node:
    relation = find_relation(work.snapshot, work.schema, work.request.target, work.principal.role)
    if has_offset:
        query.parts.setdefault((), Part()).offset = 0
    return plan_read(work.snapshot, relation, query, work.principal.role, work.bounds)


async def _estimate(work: Work, shape: Shape, parse_query: Callable[[], Query], *, has_offset: bool) -> int:
    """The planner's number of rows, under the caller's own policies."""

    def compile_statement() -> Statement:
        return compile_estimate(_plan(work, parse_query(), has_offset=has_offset))

    key = ("estimate", work.principal.role, work.schema, work.request.target, has_offset, shape.key)
    statement = work.remembered(key, compile_statement)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows)
    row = await work.run(statement.sql, params, mode=Mode.PLAIN_READ, prefix="explain (format json) ")
    return int(orjson.loads(row[0] or b"[]")[0]["Plan"]["Plan Rows"])


def rows_reply(
    work: Work, media: Representation, shape: Shape, row: Row, *, total: int | None = None, warnings: tuple[str, ...] = ()
) -> DataReply:
    """Rows as the answer of a read or of a function that returns a set. Raises PGRST116, PGRST103."""
    request, prefer = work.request, work.prefer
    body, count = body_of(media, row), int(row[1] or b"0")
    if total is None and row[2] is not None:
        total = int(row[2])
    offset = shape.offsets.get((), 0)
    status = range_status(offset, count, total)
    if media.is_object and count != 1:
        raise not_single(count)
    headers = [(b"content-type", media.content_type), (b"content-range", content_range(offset, count, total))]
    if request.method != "HEAD":
        headers.append((b"content-length", b"%d" % len(body)))
    path = encoded_path(request.settings.path)
    headers.append((b"content-location", (f"{path}?{canonical_query(request.query, shape)}" if request.query else path).encode()))
    headers += [(b"warning", f'299 Fluxbase "{text}"'.encode()) for text in warnings]
    applied = prefer.applied("count", "handling", "timezone")
    if applied:
        headers.append((b"preference-applied", applied.encode()))
    return finished(status, headers, body, row)

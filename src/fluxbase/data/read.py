"""Reading a table or view: shape → plan → compile → execute → render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.compile import Statement, compile_read
from fluxbase.data.grammar import Part, parse_query
from fluxbase.data.plan import find_relation, plan_read
from fluxbase.data.render import body_of, content_range, finished, not_single, range_status
from fluxbase.data.shape import Shape, apply_range, fill, shape_of
from fluxbase.db.executor import Mode

if TYPE_CHECKING:
    from fluxbase.data.engine import Row, Work
    from fluxbase.data.media import Representation
    from fluxbase.data.request import DataReply


async def read(work: Work) -> DataReply:
    """GET and HEAD. Raises the errors of parsing, planning and PostgreSQL."""
    request, prefer, role = work.request, work.prefer, work.principal.role
    shape = shape_of(request.query)
    media = work.representation(shape, work.snapshot.relations.get((work.schema, request.target)))
    apply_range(shape, request.range_header)
    has_count, has_offset = prefer.count is not None, () in shape.offsets

    def compile_statement() -> Statement:
        relation = find_relation(work.snapshot, work.schema, request.target, role)
        query = parse_query(shape.pairs)
        if has_offset:
            query.parts.setdefault((), Part()).offset = 0
        return compile_read(plan_read(work.snapshot, relation, query, role, work.bounds), media, has_count=has_count)

    statement = work.remembered(("read", role, work.schema, request.target, media, has_count, has_offset, shape.key), compile_statement)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows)
    if media.plan is not None:
        return await work.explain(media.plan, media, statement.sql, params, mode=Mode.PLAIN_READ)
    return rows_reply(work, media, shape, await work.run(statement.sql, params, mode=Mode.PLAIN_READ))


def rows_reply(work: Work, media: Representation, shape: Shape, row: Row) -> DataReply:
    """Rows as the answer of a read or of a function that returns a set. Raises PGRST116, PGRST103."""
    request, prefer = work.request, work.prefer
    body, count = body_of(media, row), int(row[1] or b"0")
    total = None if row[2] is None else int(row[2])
    offset = shape.offsets.get((), 0)
    status = range_status(offset, count, total)
    if media.is_object and count != 1:
        raise not_single(count)
    headers = [
        (b"content-type", media.content_type),
        (b"content-range", content_range(offset, count, total)),
        (b"content-length", b"%d" % len(body)),
    ]
    path = request.settings.path
    query = "&".join(sorted(request.query.split("&"))) if request.query else ""
    headers.append((b"content-location", (f"{path}?{query}" if query else path).encode("utf-8")))
    applied = prefer.applied("count", "handling", "timezone")
    if applied:
        headers.append((b"preference-applied", applied.encode()))
    return finished(status, headers, body, row)

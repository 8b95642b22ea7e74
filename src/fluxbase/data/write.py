"""Changing a table or view: insert, upsert, update, delete, PUT. Body → shape → plan → compile → execute → render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data import compile_write as writes
from fluxbase.data.body import parse_rows
from fluxbase.data.compile import Params
from fluxbase.data.grammar import Filter, Logic
from fluxbase.data.key_tables import check_scope, check_verb
from fluxbase.data.plan import find_relation, plan_read, unknown_column
from fluxbase.data.render import body_of, finished, location, not_single
from fluxbase.data.shape import fill, parse_request
from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import InvalidInput, MethodNotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.compile import Statement
    from fluxbase.data.engine import Row, Work
    from fluxbase.data.grammar import Condition, Query
    from fluxbase.data.media import Representation
    from fluxbase.data.prefer import Preferences
    from fluxbase.data.request import DataReply
    from fluxbase.data.shape import Shape
    from fluxbase.data.snapshot import Relation

_ECHOED: dict[str, tuple[str, ...]] = {
    "POST": ("resolution", "missing", "return"),
    "PATCH": ("missing", "return", "max-affected"),
    "PUT": ("return",),
    "DELETE": ("return", "max-affected"),
}

_VERBS = {"POST": ("insert",), "PUT": ("insert",), "PATCH": ("update",), "DELETE": ("delete",)}
"""What a key limited to tables must be allowed."""


async def write(work: Work) -> DataReply:
    """POST, PATCH, PUT and DELETE. Raises the errors of parsing, planning and PostgreSQL; nothing is kept then."""
    request, prefer, role, method = work.request, work.prefer, work.principal.role, work.request.method
    shape, parse_query = parse_request(request)
    parsed = request.parsed
    is_by_key = parsed is not None and parsed.is_by_key
    if method == "PUT":
        _refuse_limits(shape)
    check_scope(work.principal, "tables:write")
    relation = find_relation(work.snapshot, work.schema, request.target, role)
    answers = _answers(prefer, method)
    is_upsert = method == "PUT" or (method == "POST" and prefer.resolution == "merge-duplicates")
    check_verb(
        work.principal, relation, *_VERBS[method], *(("update",) if is_upsert else ()), *(() if answers == "minimal" else ("select",))
    )
    query = parse_query()
    if method == "PUT":
        query.columns = None
        _check_put(relation, query)
    payload = None
    if method != "DELETE":
        unites_keys = parsed is not None and parsed.unites_keys
        payload = parse_rows(request.body, request.content_type, needs_uniform=query.columns is None, unites_keys=unites_keys)
        if request.max_batch is not None and payload.rows > request.max_batch:
            raise InvalidInput(f"At most {request.max_batch} rows in one request.", code="batch_too_large")
    columns = () if payload is None else query.columns if query.columns is not None else payload.keys
    _check_columns(relation, columns)
    if is_by_key:
        _check_keys(relation, columns)
    if method == "PUT" and not set(relation.primary_key) <= set(columns):
        raise _put_mismatch()
    media = work.representation(shape, relation)

    def compile_statement() -> Statement:
        node = plan_read(work.snapshot, relation, query, role, work.bounds)
        params = Params()
        for item in node.part.filters if method != "POST" else ():
            _check_filter(relation, item)
        if method == "DELETE":
            change = writes.delete_sql(node, params)
        elif method == "PATCH":
            by = relation.primary_key if is_by_key else ()
            fills = prefer.missing == "default"
            change = writes.update_sql(node, columns, params, fills_defaults=fills, key=by) if columns else None
        else:
            conflict = query.on_conflict if query.on_conflict is not None and method == "POST" else relation.primary_key
            for column in conflict:
                if column not in relation.columns:
                    raise InvalidInput(f'column "{column[:63]}" does not exist', sqlstate="42703", code="unknown_column")
            change = writes.insert_sql(
                node, columns, params, resolution="merge-duplicates" if method == "PUT" else prefer.resolution, conflict=conflict,
                fills_defaults=prefer.missing == "default" and method == "POST", is_put=method == "PUT",
            )  # fmt: skip
        return writes.compile_write(node, change, params, media, answers=answers, is_upsert=is_upsert)

    key = (
        "write",
        method,
        role,
        work.schema,
        request.target,
        media,
        answers,
        prefer.resolution,
        prefer.missing,
        columns,
        is_by_key,
        shape.key,
    )
    statement = work.remembered(key, compile_statement)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows, body=payload.text if payload else b"")
    if media.plan is not None:
        return await work.explain(media.plan, media, statement.sql, params, mode=Mode.WRITE)
    limit = prefer.max_affected if method in ("PATCH", "DELETE") else None
    row = await work.run(statement.sql, params, mode=Mode.WRITE, verdict=verdict(media, limit, is_put=method == "PUT"))
    return _reply(work, media, answers, relation, query, row)


def _answers(prefer: Preferences, method: str) -> str:
    if prefer.return_ == "representation":
        return "representation"
    return "location" if prefer.return_ == "headers-only" and method == "POST" else "minimal"


def _check_columns(relation: Relation, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in relation.columns:
            raise InvalidInput(
                f"Could not find the '{column}' column of '{relation.name}' in the schema cache", pgrst="PGRST204", code="unknown_column"
            )


def _check_keys(relation: Relation, columns: tuple[str, ...]) -> None:
    """An update by key: every row names the whole primary key and something else."""
    key = set(relation.primary_key)
    if not key or not key < set(columns):
        raise InvalidInput(
            "Each row must have its primary key and a column to change.", code="key_missing", hint="Or name the rows by a filter."
        )


def _check_filter(relation: Relation, item: Condition) -> None:
    """A filter on an embed says nothing about the rows of a change."""
    if isinstance(item, Logic):
        for child in item.children:
            _check_filter(relation, child)
    elif item.field.name not in relation.columns:
        unknown_column(relation.name, item.field.name)


def _reply(work: Work, media: Representation, answers: str, relation: Relation, query: Query, row: Row) -> DataReply:
    prefer, method = work.prefer, work.request.method
    count = int(row[1] or b"0")
    is_shown = answers == "representation"
    headers: list[tuple[bytes, bytes]] = []
    if method != "PUT":
        total = str(count) if prefer.count in ("exact", "estimated") else "*"
        span = f"0-{count - 1}" if method == "PATCH" and count else "*"
        headers.append((b"content-range", f"{span}/{total}".encode()))
    inserted = int(row[5] or b"0")
    body = body_of(media, row) if is_shown else b""
    if method == "POST":
        status = 200 if prefer.resolution == "merge-duplicates" and inserted <= 0 else 201
    elif method == "PUT" and is_shown:
        status = 201 if inserted > 0 else 200
    else:
        status = 200 if is_shown else 204
    if is_shown:
        headers.append((b"content-type", media.content_type))
    elif answers == "location":
        place = location(relation.name, row[0] or b"")
        if place is not None:
            headers.append((b"location", place))
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    is_targeted = bool(relation.primary_key) or query.on_conflict is not None
    applied = prefer.applied(*(kind for kind in _ECHOED[method] if kind != "resolution" or is_targeted))
    if applied:
        headers.append((b"preference-applied", applied.encode()))
    return finished(status, headers, body, row)


def verdict(media: Representation, max_affected: int | None, *, is_put: bool = False) -> Callable[[Row], bool] | None:
    """What decides between COMMIT and ROLLBACK; None when nothing can, which saves a round trip."""
    if not media.is_object and max_affected is None and not is_put:
        return None

    def decide(row: Row) -> bool:
        count = int(row[1] or b"0")
        if is_put and count != 1:
            raise _put_mismatch()
        if media.is_object and count != 1:
            raise not_single(count)
        if max_affected is not None:
            refuse_too_many(count, max_affected)
        return True

    return decide


def refuse_too_many(count: int, max_affected: int) -> None:
    """PGRST124 when more rows are affected than preferred."""
    if count > max_affected:
        raise InvalidInput(
            "Query result exceeds max-affected preference constraint",
            pgrst="PGRST124",
            details=f"The query affects {count} rows",
            code="max_affected",
        )


def _put_mismatch() -> InvalidInput:
    return InvalidInput("Payload values do not match URL in primary key column(s)", pgrst="PGRST115", code="put_mismatch")


def _refuse_limits(shape: Shape) -> None:
    if () in shape.limits or () in shape.offsets:
        raise InvalidInput("limit/offset querystring parameters are not allowed for PUT", pgrst="PGRST114", code="put_limit")


def _check_put(relation: Relation, query: Query) -> None:
    """The filters must be the whole key and nothing else, each with a plain ``eq``."""
    filters = query.parts[()].filters if () in query.parts else []
    named = {
        item.field.name
        for item in filters
        if isinstance(item, Filter) and item.operator == "eq" and not item.is_negated and not item.field.path and not item.quantifier
    }
    if not relation.primary_key or len(filters) != len(relation.primary_key) or named != set(relation.primary_key):
        raise MethodNotAllowed(
            "Filters must include all and only primary key columns with 'eq' operators", pgrst="PGRST105", code="put_filters"
        )

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""Changing a table or view: insert, upsert, update, delete, PUT. Body → shape → plan → compile → execute → render."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fluxbase.data import compile_write as writes
from fluxbase.data.body import load_json, parse_rows
from fluxbase.data.compile import Media, Params, Statement
from fluxbase.data.grammar import Filter, Part, parse_query
from fluxbase.data.plan import Node, find_relation, plan_read
from fluxbase.data.render import CONTENT_TYPES, choose_media, location, not_single, with_overrides
from fluxbase.data.request import DataReply
from fluxbase.data.shape import Shape, fill, shape_of
from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import InvalidInput, MethodNotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.body import Payload
    from fluxbase.data.engine import Row, Work
    from fluxbase.data.snapshot import Relation


async def write(work: Work) -> DataReply:
    """POST, PATCH, PUT and DELETE. Raises the errors of parsing, planning and PostgreSQL; nothing is kept then."""
    request, prefer, role, schema = work.request, work.prefer, work.principal.role, work.schema
    media = choose_media(request.accept)
    shape = shape_of(request.query)
    relation = find_relation(work.snapshot, schema, request.target, role)
    query = parse_query(shape.pairs)
    payload = None if request.method == "DELETE" else parse_rows(request.body, request.content_type, needs_uniform=query.columns is None)
    columns = () if payload is None else query.columns if query.columns is not None else payload.keys
    answers = prefer.return_ or "minimal"
    _check_columns(relation, columns)
    if request.method == "PUT":
        _check_put(relation, query.parts, shape, payload)
    if request.method == "PATCH" and not columns:
        nothing: Row = (b"[]" if answers == "representation" else b"", b"0", None, None, None, None)
        return _changed_reply(work, media, answers, relation, nothing)
    has_rows = payload is not None and payload.rows > 0

    def compile_statement() -> Statement:
        node = plan_read(work.snapshot, relation, query, role, work.bounds)
        return _compile(work, media, answers, node, query.on_conflict, columns, has_rows=has_rows)

    key = ("write", request.method, role, schema, request.target, media, answers, prefer.resolution, prefer.missing, columns, has_rows,
           shape.key)  # fmt: skip
    statement = work.remembered(key, compile_statement)
    params = fill(statement.slots, shape, max_rows=work.bounds.max_rows, body=payload.text if payload else b"")
    judge = verdict(
        media if answers == "representation" else "json",
        prefer.max_affected if request.method != "POST" else None,
        is_put=request.method == "PUT",
    )
    row = await work.run(statement.sql, params, mode=Mode.WRITE, verdict=judge)
    return _changed_reply(work, media, answers, relation, row)


def _check_columns(relation: Relation, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in relation.columns:
            raise InvalidInput(
                f"Could not find the '{column}' column of '{relation.name}' in the schema cache", pgrst="PGRST204", code="unknown_column"
            )


def _compile(
    work: Work, media: Media, answers: str, node: Node, on_conflict: tuple[str, ...] | None, columns: tuple[str, ...], *, has_rows: bool
) -> Statement:
    request, prefer, role = work.request, work.prefer, work.principal.role
    params = Params()
    relation = node.relation
    reports = False
    if request.method == "DELETE":
        change = writes.delete_sql(node, params)
    elif request.method == "PATCH":
        change = writes.update_sql(node, columns, params)
    else:
        conflict = on_conflict if on_conflict is not None else relation.primary_key
        for column in conflict:
            if column not in relation.columns:
                raise InvalidInput(f'column "{column[:63]}" does not exist', sqlstate="42703", code="unknown_column")
        resolution = "merge-duplicates" if request.method == "PUT" else prefer.resolution
        if request.method == "PUT":
            node.part.filters = []
        reports = (
            resolution == "merge-duplicates" and bool(conflict) and relation.privileges[role].has_table_select and relation.kind in "rp"
        )
        change = writes.insert_sql(
            node,
            columns,
            params,
            resolution=resolution,
            conflict=conflict,
            has_rows=has_rows,
            fills_defaults=prefer.missing == "default",
        )
    return writes.compile_write(node, change, params, media, answers=answers, reports_inserted=reports)


def _changed_reply(work: Work, media: Media, answers: str, relation: Relation, row: Row) -> DataReply:
    request, prefer, method = work.request, work.prefer, work.request.method
    count = int(row[1] or b"0")
    headers: list[tuple[bytes, bytes]] = []
    total = str(count) if prefer.count is not None else "*"
    span = f"0-{count - 1}" if method == "PATCH" and count else "*"
    headers.append((b"content-range", f"{span}/{total}".encode()))
    body = b""
    status = 201 if method == "POST" else 204
    inserted = None if row[5] is None else int(row[5])
    if method == "POST" and inserted == 0:
        status = 200
    if answers == "representation":
        body = row[0] or b"[]"
        headers.append((b"content-type", CONTENT_TYPES[media]))
        status = status if method == "POST" else 201 if method == "PUT" and inserted else 200
    elif answers == "headers-only" and method == "POST":
        place = location(relation.name, relation.primary_key, row[0] or b"")
        if place is not None:
            headers.append((b"location", place))
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    kinds = {"POST": ("resolution", "missing"), "PATCH": ("missing", "max-affected"), "DELETE": ("max-affected",)}.get(method, ())
    if not relation.primary_key and "on_conflict" not in request.query:
        kinds = tuple(kind for kind in kinds if kind != "resolution")
    applied = prefer.applied(*kinds, "return", "count", "handling", "timezone")
    if applied:
        headers.append((b"preference-applied", applied.encode()))
    return DataReply(with_overrides(status, headers, row), headers, body)


def verdict(media: Media, max_affected: int | None, *, is_put: bool) -> Callable[[Row], bool] | None:
    """What decides between COMMIT and ROLLBACK; None when nothing can, which saves a round trip."""
    is_single = media in ("object", "stripped_object")
    if not is_single and max_affected is None and not is_put:
        return None

    def decide(row: Row) -> bool:
        count = int(row[1] or b"0")
        if is_single and count != 1:
            raise not_single(count)
        if max_affected is not None and count > max_affected:
            raise InvalidInput(
                "Query result exceeds max-affected preference constraint",
                pgrst="PGRST124",
                details=f"The query affects {count} rows",
                code="max_affected",
            )
        return True

    return decide


def _check_put(relation: Relation, parts: dict[tuple[str, ...], Part], shape: Shape, payload: Payload | None) -> None:
    if payload is None or shape.limits or shape.offsets:
        raise InvalidInput("limit/offset querystring parameters are not allowed for PUT", pgrst="PGRST114", code="put_limit")
    filters = parts[()].filters if () in parts else []
    named = {
        item.field.name
        for item in filters
        if isinstance(item, Filter) and item.operator == "eq" and not item.is_negated and not item.field.path and not item.quantifier
    }
    if not relation.primary_key or len(filters) != len(relation.primary_key) or named != set(relation.primary_key):
        raise MethodNotAllowed(
            "Filters must include all and only primary key columns with 'eq' operators", pgrst="PGRST105", code="put_filters"
        )
    rows = load_json(payload.text)
    wanted = {item.field.name: shape.values[item.slot] for item in filters if isinstance(item, Filter)}
    if len(rows) != 1 or any(_as_text(rows[0].get(name)) != value for name, value in wanted.items()):
        _refuse_put()


def _as_text(value: object) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def _refuse_put() -> NoReturn:
    raise InvalidInput("Payload values do not match URL in primary key column(s)", pgrst="PGRST115", code="put_mismatch")

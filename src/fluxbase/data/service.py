# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""The data plane's use cases: read, write, call, and what a resource allows. Five stages, in order, in each of them:
shape → plan → compile → execute → render.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from fluxbase.data import compile_write as writes
from fluxbase.data.body import load_json, parse_rows
from fluxbase.data.compile import Media, Params, Statement, compile_read
from fluxbase.data.functions import find_function
from fluxbase.data.grammar import Filter, Part, parse_query
from fluxbase.data.plan import Bounds, Node, find_relation, plan_read
from fluxbase.data.prefer import Preferences, parse_prefer
from fluxbase.data.render import CONTENT_TYPES, choose_media, content_range, location, not_single, range_status, with_overrides
from fluxbase.data.request import DataReply, DataRequest
from fluxbase.data.shape import Shape, apply_range, fill, shape_of
from fluxbase.db.executor import Mode
from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import FluxbaseError, InvalidInput, MethodNotAllowed, NotAcceptable, StalePlan, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.config import Config
    from fluxbase.data.snapshot import Function, Relation, Snapshot, SnapshotStore
    from fluxbase.kernel.principal import Principal

_ABOUT_THE_SCHEMA = frozenset(
    {"unknown_table", "unknown_column", "unknown_function", "unknown_type", "no_relationship", "ambiguous", "put_filters"}
)
MAX_PLANS = 4096
NO_LIMIT = 2**62
Row = tuple[bytes | None, ...]


class StatementRunner(Protocol):
    """What executes (``db/executor.py``)."""

    async def run(
        self, principal: Principal, settings: Any, sql: str, params: Sequence[bytes | str | None], *, mode: Mode, deadline: float,
        expected_epoch: int = -1, verdict: Callable[[Row], bool] | None = None,
    ) -> Row:  # fmt: skip
        """One round trip."""
        ...


class DataService:
    """Any exposed table, view or function, for any principal."""

    def __init__(self, executor: StatementRunner, snapshots: SnapshotStore, config: Config) -> None:
        self._executor = executor
        self._snapshots = snapshots
        self._data = config.data
        self._bounds = Bounds(config.data.max_embed_depth, config.data.max_embed_width, config.data.aggregates_enabled)
        self._extra_path = [quote_ident(name) for name in config.data.extra_search_path]

    @property
    def exposed_schemas(self) -> tuple[str, ...]:
        """Configured schemas; the first is the default."""
        return tuple(self._data.schemas)

    async def primary_key(self, principal: Principal, schema: str | None, table: str) -> tuple[str, ...]:
        """The primary key's columns of a relation. Raises PGRST205 and PGRST106."""
        snapshot = await self._snapshots.get(principal.tenant)
        return find_relation(snapshot, self._schema(snapshot, schema), table, principal.role).primary_key

    async def handle(self, principal: Principal, request: DataRequest) -> DataReply:
        """Answer a request; one planned on an outdated schema is planned again, once."""
        snapshot = self._snapshots.held(principal.tenant) or await self._snapshots.get(principal.tenant)
        try:
            return await self._dispatch(principal, request, snapshot)
        except StalePlan:
            snapshot = await self._snapshots.reload(principal.tenant)
        except FluxbaseError as error:
            if error.code not in _ABOUT_THE_SCHEMA or await self._is_current(principal, request, snapshot):
                raise
            snapshot = await self._snapshots.reload(principal.tenant)
        try:
            return await self._dispatch(principal, request, snapshot)
        except StalePlan:
            raise Unavailable(
                "Could not query the database for the schema cache. Retrying.", pgrst="PGRST002", code="schema_moving"
            ) from None

    async def _is_current(self, principal: Principal, request: DataRequest, snapshot: Snapshot) -> bool:
        """Whether a "there is no such thing" still holds; also refuses a revoked session before it learns anything."""
        try:
            await self._executor.run(
                principal, request.settings, "select 1", (), mode=Mode.PLAIN_READ, deadline=request.deadline, expected_epoch=snapshot.epoch
            )
        except StalePlan:
            return False
        return True

    async def _dispatch(self, principal: Principal, request: DataRequest, snapshot: Snapshot) -> DataReply:
        schema = self._schema(snapshot, request.schema)
        request.settings = replace(request.settings, search_path=",".join(dict.fromkeys([quote_ident(schema), *self._extra_path])))
        method = request.method
        if request.is_rpc:
            if method not in ("GET", "HEAD", "POST", "OPTIONS"):
                raise MethodNotAllowed(f"Cannot use the {method} method on RPC", pgrst="PGRST101")
            reply = (
                self._call_options(snapshot, schema, request, principal)
                if method == "OPTIONS"
                else await self._call(principal, request, snapshot, schema)
            )
        elif method in ("GET", "HEAD"):
            reply = await self._read(principal, request, snapshot, schema)
        elif method in ("POST", "PATCH", "PUT", "DELETE"):
            reply = await self._write(principal, request, snapshot, schema)
        elif method == "OPTIONS":
            reply = self._table_options(find_relation(snapshot, schema, request.target, principal.role))
        else:
            raise MethodNotAllowed(f"Unsupported HTTP method: {method}", pgrst="PGRST117")
        if request.schema is not None or len(snapshot.schemas) > 1:
            reply.headers.append((b"content-profile", schema.encode()))
        return reply

    def _schema(self, snapshot: Snapshot, wanted: str | None) -> str:
        if wanted is None:
            return snapshot.schemas[0]
        if wanted not in snapshot.schemas:
            raise NotAcceptable(
                f"Invalid schema: {wanted[:100]}",
                pgrst="PGRST106",
                hint=f"Only the following schemas are exposed: {', '.join(snapshot.schemas)}",
            )
        return wanted

    # -- reads ------------------------------------------------------------------------------------------------------

    async def _read(self, principal: Principal, request: DataRequest, snapshot: Snapshot, schema: str) -> DataReply:
        prefer = parse_prefer(request.prefer)
        media = choose_media(request.accept)
        shape = shape_of(request.query)
        apply_range(shape, request.range_header)
        has_offset = () in shape.offsets
        key = ("read", principal.role, schema, request.target, media, prefer.count is not None, has_offset, shape.key)
        statement: Statement | None = snapshot.plans.get(key)
        if statement is None:
            relation = find_relation(snapshot, schema, request.target, principal.role)
            query = parse_query(shape.pairs)
            if has_offset:
                query.parts.setdefault((), Part()).offset = 0
            node = plan_read(snapshot, relation, query, principal.role, self._bounds)
            statement = _remember(snapshot, key, compile_read(node, media, has_count=prefer.count is not None))
        params = fill(statement.slots, shape, max_rows=self._data.max_rows)
        row = await self._executor.run(
            principal,
            self._zoned(request, prefer),
            statement.sql,
            params,
            mode=Mode.PLAIN_READ,
            deadline=request.deadline,
            expected_epoch=snapshot.epoch,
        )
        return self._rows_reply(request, prefer, media, shape, row)

    @staticmethod
    def _zoned(request: DataRequest, prefer: Preferences) -> Any:
        return request.settings if prefer.timezone is None else replace(request.settings, timezone=prefer.timezone)

    def _rows_reply(self, request: DataRequest, prefer: Preferences, media: Media, shape: Shape, row: Row) -> DataReply:
        body, count = row[0] or b"", int(row[1] or b"0")
        total = None if row[2] is None else int(row[2])
        offset = shape.offsets.get((), 0)
        status = range_status(offset, count, total)
        if media in ("object", "stripped_object") and count != 1:
            raise not_single(count)
        headers = [
            (b"content-type", CONTENT_TYPES[media]),
            (b"content-range", content_range(offset, count, total)),
            (b"content-length", b"%d" % len(body)),
        ]
        path = request.settings.path
        query = "&".join(sorted(request.query.split("&"))) if request.query else ""
        headers.append((b"content-location", (f"{path}?{query}" if query else path).encode("utf-8")))
        applied = prefer.applied("count", "handling", "timezone")
        if applied:
            headers.append((b"preference-applied", applied.encode()))
        return DataReply(with_overrides(status, headers, row), headers, body)

    # -- writes -----------------------------------------------------------------------------------------------------

    async def _write(self, principal: Principal, request: DataRequest, snapshot: Snapshot, schema: str) -> DataReply:
        prefer = parse_prefer(request.prefer)
        media = choose_media(request.accept)
        shape = shape_of(request.query)
        relation = find_relation(snapshot, schema, request.target, principal.role)
        query = parse_query(shape.pairs)
        payload = (
            None if request.method == "DELETE" else parse_rows(request.body, request.content_type, needs_uniform=query.columns is None)
        )
        columns = () if payload is None else query.columns if query.columns is not None else payload.keys
        answers = prefer.return_ or "minimal"
        key = ("write", request.method, principal.role, schema, request.target, media, answers, prefer.resolution, prefer.missing, columns,
               payload is not None and payload.rows > 0, shape.key)  # fmt: skip
        for column in columns:
            if column not in relation.columns:
                raise InvalidInput(
                    f"Could not find the '{column}' column of '{relation.name}' in the schema cache",
                    pgrst="PGRST204",
                    code="unknown_column",
                )
        if request.method == "PUT":
            _check_put(relation, query.parts, shape, payload)
        if request.method == "PATCH" and not columns:
            return self._changed_reply(
                request, prefer, media, answers, relation, (b"[]" if answers == "representation" else b"", b"0", None, None, None, None)
            )
        statement: Statement | None = snapshot.plans.get(key)
        if statement is None:
            node = plan_read(snapshot, relation, query, principal.role, self._bounds)
            statement = _remember(
                snapshot,
                key,
                self._compile_write(
                    request,
                    prefer,
                    media,
                    answers,
                    node,
                    query.on_conflict,
                    columns,
                    has_rows=payload is not None and payload.rows > 0,
                    role=principal.role,
                ),
            )
        params = fill(statement.slots, shape, max_rows=self._data.max_rows, body=payload.text if payload else b"")
        row = await self._executor.run(
            principal, self._zoned(request, prefer), statement.sql, params, mode=Mode.WRITE, deadline=request.deadline,
            expected_epoch=snapshot.epoch, verdict=_verdict(
                media if answers == "representation" else "json", prefer.max_affected if request.method != "POST" else None,
                is_put=request.method == "PUT",
            ),
        )  # fmt: skip
        return self._changed_reply(request, prefer, media, answers, relation, row)

    @staticmethod
    def _compile_write(
        request: DataRequest, prefer: Preferences, media: Media, answers: str, node: Node, on_conflict: tuple[str, ...] | None,
        columns: tuple[str, ...], *, has_rows: bool, role: str,
    ) -> Statement:  # fmt: skip
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

    def _changed_reply(
        self, request: DataRequest, prefer: Preferences, media: Media, answers: str, relation: Relation, row: Row
    ) -> DataReply:
        method = request.method
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

    # -- functions --------------------------------------------------------------------------------------------------

    async def _call(self, principal: Principal, request: DataRequest, snapshot: Snapshot, schema: str) -> DataReply:
        prefer = parse_prefer(request.prefer)
        media = choose_media(request.accept)
        is_post = request.method == "POST"
        shape = shape_of(request.query, is_rpc_get=not is_post)
        apply_range(shape, request.range_header)
        body, names, content_type = _call_body(request) if is_post else (b"", _argument_names(shape), None)
        function, arguments = find_function(snapshot, schema, request.target, names, principal.role, content_type=content_type)
        has_offset = () in shape.offsets
        key = (
            "call",
            is_post,
            principal.role,
            schema,
            request.target,
            names,
            content_type,
            media,
            prefer.count is not None,
            has_offset,
            shape.key,
        )
        statement: Statement | None = snapshot.plans.get(key)
        if statement is None:
            query = parse_query(shape.pairs, is_rpc_get=not is_post)
            if has_offset:
                query.parts.setdefault((), Part()).offset = 0
            node = None
            if function.rows is not None:
                node = plan_read(snapshot, function.rows, query, principal.role, self._bounds, visible=frozenset(function.rows.columns))
            statement = _remember(
                snapshot,
                key,
                writes.compile_call(
                    function,
                    node,
                    arguments,
                    media,
                    from_body=is_post and content_type == "application/json",
                    has_count=prefer.count is not None,
                ),
            )
        is_write = is_post and function.volatility == "v"
        row = await self._executor.run(
            principal, self._zoned(request, prefer), statement.sql, fill(statement.slots, shape, max_rows=self._data.max_rows, body=body),
            mode=Mode.WRITE if is_write else Mode.FUNCTION_READ, deadline=request.deadline, expected_epoch=snapshot.epoch,
            verdict=_verdict(media if function.is_set else "json", _max_affected(prefer, function), is_put=False) if is_write else None,
        )  # fmt: skip
        return self._call_reply(request, prefer, media, shape, function, row)

    def _call_reply(self, request: DataRequest, prefer: Preferences, media: Media, shape: Shape, function: Function, row: Row) -> DataReply:
        if function.is_void:
            headers: list[tuple[bytes, bytes]] = []
            return DataReply(with_overrides(204, headers, row), headers, b"")
        if function.is_set:
            reply = self._rows_reply(request, prefer, media, shape, row)
            reply.headers = [pair for pair in reply.headers if pair[0] != b"content-location"]
            return reply
        body = row[0] if row[0] is not None else b"null"
        headers = [
            (b"content-type", CONTENT_TYPES[media if media in ("csv", "stripped") else "json"]),
            (b"content-length", b"%d" % len(body)),
        ]
        return DataReply(with_overrides(200, headers, row), headers, body)

    # -- what a resource allows ----------------------------------------------------------------------------------------

    @staticmethod
    def _table_options(relation: Relation) -> DataReply:
        is_table = relation.kind in "rp"
        verbs = ["OPTIONS", "GET", "HEAD"]
        verbs += ["POST"] if is_table or relation.updatable & 8 else []
        verbs += ["PUT"] if (is_table or relation.updatable & 8) and relation.primary_key else []
        verbs += ["PATCH"] if is_table or relation.updatable & 4 else []
        verbs += ["DELETE"] if is_table or relation.updatable & 16 else []
        return DataReply(200, [(b"allow", ",".join(verbs).encode()), (b"content-length", b"0")], b"")

    @staticmethod
    def _call_options(snapshot: Snapshot, schema: str, request: DataRequest, principal: Principal) -> DataReply:
        found = [each for each in snapshot.functions.get((schema, request.target), ()) if principal.role in each.roles]
        if not found:
            find_function(snapshot, schema, request.target, (), principal.role, content_type=None)
        allow = b"OPTIONS,POST" if found and all(each.volatility == "v" for each in found) else b"OPTIONS,GET,HEAD,POST"
        return DataReply(200, [(b"allow", allow), (b"content-length", b"0")], b"")


def _remember(snapshot: Snapshot, key: Any, statement: Statement) -> Statement:
    if len(snapshot.plans) >= MAX_PLANS:
        del snapshot.plans[next(iter(snapshot.plans))]
    snapshot.plans[key] = statement
    return statement


def _verdict(media: Media, max_affected: int | None, *, is_put: bool) -> Callable[[Row], bool] | None:
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


def _max_affected(prefer: Preferences, function: Function) -> int | None:
    if prefer.max_affected is not None and not function.is_set:
        raise InvalidInput(
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            pgrst="PGRST128",
            code="max_affected",
        )
    return prefer.max_affected


def _check_put(relation: Relation, parts: dict[tuple[str, ...], Part], shape: Shape, payload: Any) -> None:
    if shape.limits or shape.offsets:
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

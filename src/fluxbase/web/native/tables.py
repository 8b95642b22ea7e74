# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""/api/v1/tables and /api/v1/rpc: the native dialect over the same engine (contract-native 2.5).

Differences from REST that are decided here: writes return the rows unless told otherwise, one inserted object
comes back as an object, delete answers ``{affected, records}``, an update or delete without any filter is refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import orjson

from fluxbase.data.request import DataReply, DataRequest
from fluxbase.kernel.errors import Forbidden, InvalidInput, NotAcceptable, NotFound, Unauthenticated
from fluxbase.kernel.ids import ANON
from fluxbase.web.context import context_of
from fluxbase.web.data_plane import data_request, send_reply

if TYPE_CHECKING:
    from fluxbase.data.service import DataService
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.context import Receive, Scope, Send

_OBJECT = "application/vnd.pgrst.object+json"
_RESERVED = frozenset(
    {"select", "order", "limit", "offset", "count", "group_by", "cursor", "cursor_column", "truncate", "on_conflict", "columns"}
)
_COUNT = re.compile(r"^(?:exact|planned|estimated)$")
_OPERATORS = {"nin": "not.in", "isnot": "not.is"}


class NativeTables:
    """The handlers of the native data plane."""

    def __init__(self, service: DataService) -> None:
        self._service = service

    async def collection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/tables/{table}`` in the default schema."""
        await self._collection(scope, receive, send, None, context_of(scope).path_parameters[0])

    async def collection_or_row(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/tables/{schema}/{table}``, or ``/tables/{table}/{id}`` when the first segment is no exposed schema."""
        context = context_of(scope)
        first, second = context.path_parameters
        if second == "query" and scope["method"] == "POST":
            await self._query(scope, receive, send, None, first)
        elif first in self._service.exposed_schemas:
            await self._collection(scope, receive, send, first, second)
        else:
            await self._row(scope, receive, send, None, first, second)

    async def row(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/tables/{schema}/{table}/{id}``."""
        schema, table, row_id = context_of(scope).path_parameters
        await self._row(scope, receive, send, schema, table, row_id)

    async def rpc(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``POST /rpc/{namespace}/{name}``: ``{params, async}`` → ``{execution_id, status, result}``."""
        context = context_of(scope)
        namespace, name = context.path_parameters
        principal = _principal(scope)
        request = await data_request(scope, receive, name, is_rpc=True)
        body = _json_object(request.body) if request.body.strip() else {}
        if body.get("async"):
            raise InvalidInput("Asynchronous procedures are not available.", code="async_rpc", hint="Leave out async or send false.")
        params = body.get("params") or {}
        schema = None if namespace == "default" else namespace
        reply = await self._service.handle(
            principal,
            replace(request, schema=schema, query="", prefer="", accept="", content_type="application/json", body=orjson.dumps(params)),
        )
        result = reply.body or b"null"
        head = orjson.dumps({"execution_id": str(uuid4()), "status": "completed"})
        answer = DataReply(200, [(b"content-type", b"application/json; charset=utf-8")], head[:-1] + b',"result":' + result + b"}")
        await send_reply(answer, scope, send)

    async def _query(self, scope: Scope, receive: Receive, send: Send, schema: str | None, table: str) -> None:
        """``POST …/query``: filters in the body, the same answer as GET."""
        request = await data_request(scope, receive, table, is_rpc=False)
        query = query_from_body(_json_object(request.body))
        request = replace(
            request, method="GET", schema=schema, query=query, body=b"", content_type="", settings=replace(request.settings, method="GET")
        )
        await self._read(scope, send, request)

    async def _collection(self, scope: Scope, receive: Receive, send: Send, schema: str | None, table: str) -> None:
        method: str = scope["method"]
        request = replace(await data_request(scope, receive, table, is_rpc=False), schema=schema)
        if method in {"GET", "HEAD"}:
            await self._read(scope, send, request)
            return
        principal = _principal(scope)
        query, has_filter, _ = translate_query(request.query)
        prefer = request.prefer if "return=" in request.prefer else ", ".join(filter(None, (request.prefer, "return=representation")))
        is_minimal = "return=minimal" in prefer or "return=headers-only" in prefer
        if method in {"PATCH", "DELETE"} and not has_filter:
            raise InvalidInput(
                "Name at least one filter.", code="filter_required", hint="To change every row filter on a column that is never null."
            )
        if method == "POST":
            reply = await self._insert(principal, request, query, prefer, is_minimal=is_minimal)
        else:
            reply = await self._service.handle(principal, replace(request, query=query, prefer=prefer))
            if method == "DELETE" and not is_minimal:
                affected = _count_rows(reply)
                reply = replace(reply, status=200, body=b'{"affected":%d,"records":%s}' % (affected, reply.body or b"[]"))
                reply.headers = [pair for pair in reply.headers if pair[0].lower() != b"content-length"]
        await send_reply(reply, scope, send)

    async def _insert(self, principal: Principal, request: DataRequest, query: str, prefer: str, *, is_minimal: bool) -> DataReply:
        is_one = request.body.lstrip()[:1] == b"{"
        accept = _OBJECT if is_one and not is_minimal and "resolution=ignore" not in prefer else ""
        if not is_one:
            _check_batch(request.body)
            prefer += ", count=exact"
        reply = await self._service.handle(principal, replace(request, query=query, prefer=prefer, accept=accept))
        if accept:
            reply.headers = [pair for pair in reply.headers if pair[0].lower() != b"content-type"]
            reply.headers.append((b"content-type", b"application/json; charset=utf-8"))
        if not is_one:
            for name, value in reply.headers:
                if name.lower() == b"content-range":
                    reply.headers.append((b"x-affected-count", value.rpartition(b"/")[2]))
                    break
        return replace(reply, status=201)

    async def _read(self, scope: Scope, send: Send, request: DataRequest) -> None:
        query, _, count = translate_query(request.query)
        prefer = ", ".join(filter(None, (request.prefer, f"count={count}" if count else "")))
        reply = await self._service.handle(
            _principal(scope), replace(request, query=query, prefer=prefer, accept="" if "json" in request.accept else request.accept)
        )
        if reply.status == 206:
            reply = replace(reply, status=200)
        await send_reply(reply, scope, send)

    async def _row(self, scope: Scope, receive: Receive, send: Send, schema: str | None, table: str, row_id: str) -> None:
        principal = _principal(scope)
        method: str = scope["method"]
        if method == "POST":
            raise InvalidInput("Insert with POST on the table itself.", status=405, code="method_not_allowed")
        request = replace(await data_request(scope, receive, table, is_rpc=False), schema=schema)
        key = await self._service.primary_key(principal, schema, table)
        if len(key) != 1:
            raise InvalidInput("This table has no single-column primary key; use filters.", code="no_single_key")
        selected = [part for part in request.query.split("&") if part.startswith("select=")]
        query = "&".join([f"{quote(key[0])}=eq.{quote(row_id, safe='')}", *selected])
        wanted = replace(
            request,
            query=query,
            accept=_OBJECT,
            method="PATCH" if method == "PUT" else method,
            prefer="" if method in {"GET", "HEAD"} else "return=representation",
        )
        try:
            reply = await self._service.handle(principal, wanted)
        except NotAcceptable as error:
            if error.pgrst != "PGRST116":
                raise
            if method in {"GET", "HEAD"}:
                raise NotFound("No such row.", code="row_not_found") from None
            refused = Unauthenticated if principal.role == ANON else Forbidden
            raise refused("The row does not exist or a policy forbids this.", sqlstate="42501", code="row_refused") from None
        if method == "DELETE":
            reply = DataReply(204, [], b"")
        else:
            reply.headers = [pair for pair in reply.headers if pair[0].lower() != b"content-type"]
            reply.headers.append((b"content-type", b"application/json; charset=utf-8"))
        await send_reply(reply, scope, send)


def _principal(scope: Scope) -> Principal:
    principal = context_of(scope).principal
    if principal is None:
        raise Unauthenticated("No credential was checked for this request.")
    return principal


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput("The body is not valid JSON.", code="bad_json") from None
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.", code="bad_json")
    return value  # pyright: ignore[reportUnknownVariableType] - checked above


BATCH_LIMIT = 1000


def _check_batch(body: bytes) -> None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return  # the data plane answers with its own error
    if isinstance(value, list) and len(value) > BATCH_LIMIT:  # pyright: ignore[reportUnknownArgumentType]
        raise InvalidInput(f"At most {BATCH_LIMIT} rows in one request.", code="batch_too_large")


def _count_rows(reply: DataReply) -> int:
    return len(orjson.loads(reply.body)) if reply.body else 0


def translate_query(query: str) -> tuple[str, bool, str | None]:
    """The native query string as the engine reads it: (query, has a filter, wanted count).

    ``count`` becomes a preference, ``nin``/``isnot`` become negations, ``<column>.<op>=v`` becomes ``<column>=<op>.v``.
    """
    parts: list[str] = []
    has_filter = False
    count: str | None = None
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if name == "count":
            if not _COUNT.match(value):
                raise InvalidInput("count must be exact, planned or estimated.", code="bad_count")
            count = value
            continue
        if name in {"cursor", "cursor_column", "truncate", "group_by"}:
            raise InvalidInput(f"The parameter {name} is not available.", code="unknown_parameter")
        if name not in _RESERVED:
            has_filter = True
            operator, dot, rest = value.partition(".")
            if dot and operator in _OPERATORS:
                part = f"{name}={_OPERATORS[operator]}.{rest}"
        parts.append(part)
    return "&".join(parts), has_filter, count


def query_from_body(body: dict[str, object]) -> str:
    """The query string of a ``POST …/query`` body. Raises InvalidInput for members of the wrong type."""
    parts: list[str] = []

    def add(name: str, value: object) -> None:
        parts.append(f"{quote(name, safe='')}={quote(str(value), safe='')}")

    for name in ("select", "limit", "offset", "count"):
        if body.get(name) is not None:
            add(name, body[name])
    for item in _objects(body, "filters"):
        operator = str(item.get("operator"))
        add(str(item.get("column")), f"{_OPERATORS.get(operator, operator)}.{format_value(operator, item.get('value'))}")
    for name, parameter in (("orFilters", "or"), ("andFilters", "and")):
        texts = body.get(name) or []
        if not isinstance(texts, list):
            raise InvalidInput(f"{name} must be a list of strings.", code="bad_query_body")
        for text in texts:  # pyright: ignore[reportUnknownVariableType]
            add(parameter, text if str(text).startswith("(") else f"({text})")
    for item in _objects(body, "betweenFilters"):
        column, low, high = item.get("column"), format_value("gte", item.get("min")), format_value("lte", item.get("max"))
        if item.get("negated"):
            add("or", f"({column}.lt.{low},{column}.gt.{high})")
        else:
            add(str(column), f"gte.{low}")
            add(str(column), f"lte.{high}")
    orders = [".".join(filter(None, (str(i.get("column")), str(i.get("direction") or ""), _nulls(i)))) for i in _objects(body, "order")]
    if orders:
        add("order", ",".join(orders))
    return "&".join(parts)


def _nulls(item: dict[str, object]) -> str:
    nulls = item.get("nulls")
    return f"nulls{str(nulls).removeprefix('nulls')}" if nulls else ""


def _objects(body: dict[str, object], name: str) -> list[dict[str, object]]:
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidInput(f"{name} must be a list of objects.", code="bad_query_body")
    return value  # pyright: ignore[reportUnknownVariableType] - checked above


def format_value(operator: str, value: object) -> str:
    """A JSON value as filter text: lists as ``(a,b)`` with quoting, null/true/false as words, objects as JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [str(item).replace("\\", "\\\\").replace('"', '\\"') for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return (
            "(" + ",".join(f'"{item}"' for item in items) + ")"
            if operator in {"in", "nin"}
            else "{" + ",".join(f'"{item}"' for item in items) + "}"
        )
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return str(value)

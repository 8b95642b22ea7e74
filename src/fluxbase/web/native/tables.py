"""/api/v1/tables: the native dialect over the same engine (contract-native 1.3, 2.5). Translates only.

What this dialect decides: writes return the rows unless told otherwise, one inserted object comes back as an object,
delete answers ``{affected, records}``, a change without any filter is refused, views are read only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from fluxbase.data.grammar import Field, Filter, Part
from fluxbase.data.request import DataReply, DataRequest
from fluxbase.kernel.errors import (
    FluxbaseError,
    Forbidden,
    InvalidInput,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RangeNotSatisfiable,
    Unauthenticated,
)
from fluxbase.kernel.ids import ANON
from fluxbase.web.context import context_of
from fluxbase.web.data_plane import data_request, send_reply
from fluxbase.web.native import geojson
from fluxbase.web.native.bulk import key_filter, keys_of
from fluxbase.web.native.cursor import next_cursor
from fluxbase.web.native.place import Place, locate, refuse_view
from fluxbase.web.native.query import Asked, read_query_string
from fluxbase.web.native.query_body import json_object, read_query_body

if TYPE_CHECKING:
    from fluxbase.data.service import DataService
    from fluxbase.data.snapshot import Relation, Snapshot
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.context import Receive, Scope, Send

MAX_BATCH = 1000
_OBJECT = "application/vnd.pgrst.object+json"
_JSON: tuple[bytes, bytes] = (b"content-type", b"application/json; charset=utf-8")
_KEPT = frozenset({b"preference-applied", b"content-profile"})


@dataclass(slots=True)
class Call:
    """One request of this dialect: who, what, where."""

    principal: Principal
    request: DataRequest
    relation: Relation
    tail: str | None


class NativeTables:
    """The handlers of tables."""

    def __init__(self, service: DataService) -> None:
        self._service = service

    async def tables(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /tables``: what the role may use."""
        principal = principal_of(scope)
        request = await data_request(scope, receive, "", is_rpc=False)
        snapshot = await self._service.current_snapshot(principal, request.settings, request.deadline)
        await send_reply(json_reply(200, orjson.dumps(list_tables(snapshot, principal.role))), scope, send)

    async def resource(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A table, one of its rows, or one of its services: ``…/query``, ``…/bulk``, ``…/export``."""
        principal = principal_of(scope)
        segments = context_of(scope).path_parameters
        request = await data_request(scope, receive, segments[-1], is_rpc=False)
        place: Place = await self._service.ask(principal, request, lambda snapshot: locate(snapshot, segments, principal.role))
        relation = place.relation
        request = replace(request, schema=relation.schema, target=relation.name, query="", range_header=None, max_batch=MAX_BATCH)
        call = Call(principal, request, relation, place.tail)
        query: str = scope["query_string"].decode("latin-1")
        try:
            reply = await self._answer(call, query)
        except FluxbaseError as error:
            is_spatial = geojson.has_geometry(relation) or "st_" in query or b"st_" in request.body
            if error.sqlstate != "XX000" or not is_spatial:
                raise
            raise InvalidInput("PostGIS cannot use this geometry.", code="bad_geojson") from error  # it has no SQLSTATE of its own for that
        await send_reply(reply, scope, send)

    async def _answer(self, call: Call, query: str) -> DataReply:
        match call.request.method, call.tail:
            case (("GET" | "HEAD"), None):
                return await self._read(call, read_query_string(query, call.relation, call.principal.role))
            case (("GET" | "HEAD"), "export"):
                return await self._export(call, query)
            case "POST", "query":
                call.request = as_read(call.request)
                return await self._read(call, read_query_body(call.request.body, call.relation, call.principal.role))
            case ("POST" | "PATCH" | "DELETE" | "PUT") as method, tail:
                refuse_view(call.relation)
                asked = read_query_string(query, call.relation, call.principal.role)
                if tail is None or (tail == "bulk" and method != "PUT"):
                    return await self._write(call, asked, is_bulk=tail == "bulk")
                return await self._row(call, asked)
            case _:
                return await self._row(call, read_query_string(query, call.relation, call.principal.role))

    # -- reading --------------------------------------------------------------------------------------------------------

    async def _read(self, call: Call, asked: Asked, accept: str = "") -> DataReply:
        """200 and an array; ``Content-Range`` when a count was asked for."""
        request = call.request
        prefer = ", ".join(filter(None, (f"count={asked.count}" if asked.count else "", request.prefer)))
        has_count = "count=" in prefer
        wanted = replace(request, parsed=asked.parsed, prefer=prefer, accept=accept)
        try:
            reply = await self._service.handle(call.principal, wanted)
        except RangeNotSatisfiable as error:  # an offset behind the last row is an empty page here
            shown = [(name.encode(), value.encode()) for name, value in error.headers]
            return DataReply(200, [_JSON, *shown], b"[]", 0)
        headers = [
            pair for pair in reply.headers if pair[0] in _KEPT or pair[0] == b"content-type" or (has_count and pair[0] == b"content-range")
        ]
        if asked.cursor_column is not None and reply.rows:
            cursor = next_cursor(reply.body, call.relation, asked.cursor_column)
            if cursor is not None:
                headers.append((b"x-next-cursor", cursor))
        return DataReply(200, headers, reply.body, reply.rows)

    async def _export(self, call: Call, query: str) -> DataReply:
        """The rows as a file: ``format=csv`` or ``json``."""
        parts = [part for part in query.split("&") if part]
        formats = [part[7:] for part in parts if part.startswith("format=")] or ["csv" if "text/csv" in call.request.accept else "json"]
        if formats[-1] not in ("csv", "json"):
            raise InvalidInput("format is csv or json.", code="bad_format")
        rest = "&".join(part for part in parts if not part.startswith("format="))
        asked = read_query_string(rest, call.relation, call.principal.role)
        reply = await self._read(call, asked, "text/csv" if formats[-1] == "csv" else "")
        name = quote(f"{call.relation.name}.{formats[-1]}", safe="")
        reply.headers.append((b"content-disposition", f"attachment; filename*=UTF-8''{name}".encode()))
        return reply

    # -- writing --------------------------------------------------------------------------------------------------------

    async def _write(self, call: Call, asked: Asked, *, is_bulk: bool) -> DataReply:
        method, request = call.request.method, call.request
        if method == "PUT":
            raise MethodNotAllowed(
                "Replace one row by its id, or upsert with POST.", headers=(("allow", "GET, HEAD, POST, PATCH, DELETE"),)
            )
        is_object = request.body.lstrip()[:1] == b"{"
        if method == "POST":
            if is_bulk and is_object:
                raise InvalidInput("A bulk insert takes a list of rows.", code="bad_body")
            return await self._insert(call, asked, is_one=is_object)
        if is_bulk and not asked.has_filter:
            asked = self._by_keys(call, asked)
        _check_change(asked, is_by_key=asked.parsed.is_by_key)
        if method == "PATCH" and not asked.parsed.is_by_key and not is_object:
            raise InvalidInput("The body of an update is one JSON object.", code="bad_body")
        returns, reply = await self._change(call, asked)
        if returns != "representation":
            return short_reply(returns, 200, reply)
        body = reply.body
        if method == "DELETE":
            body = b'{"affected":%d,"records":%s}' % (reply.rows or 0, body or b"[]")
        return json_reply(200, body, affected=reply.rows or 0)

    def _by_keys(self, call: Call, asked: Asked) -> Asked:
        """A bulk change without a filter names its rows in the body: by their keys, or as rows that have them."""
        if call.request.method == "PATCH":
            return replace(asked, has_filter=True, parsed=replace(asked.parsed, is_by_key=True))
        keys = keys_of(call.request.body, MAX_BATCH)
        asked.parsed.query.parts[()].filters.append(key_filter(call.relation, keys, asked.parsed.shape.values))
        asked.parsed.shape.key = (*asked.parsed.shape.key, "keys")
        return replace(asked, has_filter=True)

    async def _insert(self, call: Call, asked: Asked, *, is_one: bool) -> DataReply:
        """201: the row for an object; the rows with ``X-Affected-Count`` and ``Content-Range: */n`` for a list."""
        returns, reply = await self._change(call, asked)
        count = reply.rows or 0
        if returns != "representation":
            return short_reply(returns, 201, reply)
        if is_one:
            return json_reply(201, reply.body[1:-1] if count == 1 else b"null")
        return json_reply(201, reply.body, affected=count)

    async def _change(self, call: Call, asked: Asked) -> tuple[str, DataReply]:
        """What the client wants back, and the engine's reply."""
        request = call.request
        if geojson.has_geometry(call.relation):
            geojson.check_rows(request.body, call.relation)
        returns = next((kind for kind in ("minimal", "headers-only") if f"return={kind}" in request.prefer), "representation")
        engine_returns = "representation" if returns == "representation" else "minimal"
        prefer = ", ".join(filter(None, (f"return={engine_returns}", request.prefer)))
        return returns, await self._service.handle(call.principal, replace(request, parsed=asked.parsed, prefer=prefer, accept=""))

    # -- one row --------------------------------------------------------------------------------------------------------

    async def _row(self, call: Call, asked: Asked) -> DataReply:
        """``…/{id}``: GET, PUT as PATCH, PATCH, DELETE."""
        request = call.request
        if request.method == "POST":
            raise MethodNotAllowed("Insert with POST on the table itself.", headers=(("allow", "GET, HEAD, PUT, PATCH, DELETE"),))
        key = call.relation.primary_key
        if len(key) != 1:
            raise InvalidInput("This table has no primary key of one column; use filters.", code="no_single_key")
        parsed = asked.parsed
        parsed.query.parts = {(): Part([Filter(Field(key[0]), "eq", is_negated=False, quantifier=None, language=None, slot=0)])}
        parsed.shape.values[:] = [call.tail or ""]
        parsed.shape.limits.clear()
        parsed.shape.offsets.clear()
        parsed.query.truncate_slot, parsed.query.is_grouped = None, False
        parsed.shape.key = ("native row", parsed.query.select, parsed.query.has_select)
        is_read = request.method in ("GET", "HEAD")
        if request.method in ("PUT", "PATCH") and geojson.has_geometry(call.relation):
            geojson.check_rows(request.body, call.relation)
        wanted = replace(
            request, parsed=parsed, accept=_OBJECT, method="PATCH" if request.method == "PUT" else request.method,
            prefer="" if is_read else "return=representation",
        )  # fmt: skip
        if request.method in ("PUT", "PATCH") and not json_object(request.body):  # an update of no column: the row as it is
            wanted = as_read(replace(wanted, prefer=""))
        try:
            reply = await self._service.handle(call.principal, wanted)
        except NotAcceptable as error:
            if error.pgrst != "PGRST116":
                raise
            raise _no_row(call.principal, is_read=is_read) from None
        return DataReply(204, [], b"") if request.method == "DELETE" else json_reply(200, reply.body)


def _no_row(principal: Principal, *, is_read: bool) -> Exception:
    """A row that is hidden and one that is absent are the same answer."""
    if is_read:
        return NotFound("There is no such row.", code="row_not_found")
    refused = Unauthenticated if principal.role == ANON else Forbidden
    return refused("The row does not exist or a policy forbids this.", sqlstate="42501", code="row_refused")


def _check_change(asked: Asked, *, is_by_key: bool) -> None:
    """A change touches what its filters say and no more: nothing of the query string is ignored, and there is a filter."""
    if asked.ignored:
        raise InvalidInput(
            f"The parameter {asked.ignored[0][:63]} is no filter.", code="not_a_filter", hint="A filter is column=operator.value."
        )
    if asked.limit is not None or asked.offset:
        raise InvalidInput("limit and offset do not apply to changes.", code="limited_change", hint="Name the rows by a filter.")
    if not asked.has_filter and not is_by_key:
        raise InvalidInput(
            "Name at least one filter.", code="filter_required", hint="To change every row filter on a column that is never null."
        )


def as_read(request: DataRequest) -> DataRequest:
    """The same request as a GET: what SQL sees as ``request.method`` too."""
    return replace(request, method="GET", content_type="", settings=replace(request.settings, method="GET"))


def principal_of(scope: Scope) -> Principal:
    """Who asks. Raises Unauthenticated when nobody was identified."""
    principal = context_of(scope).principal
    if principal is None:
        raise Unauthenticated("No credential was checked for this request.")
    return principal


def json_reply(status: int, body: bytes, *, affected: int | None = None) -> DataReply:
    """JSON, with the number of changed rows where there is one."""
    headers: list[tuple[bytes, bytes]] = [_JSON]
    if affected is not None:
        headers += affected_headers(affected)
    return DataReply(status, headers, body, affected)


def affected_headers(count: int) -> list[tuple[bytes, bytes]]:
    """How many rows a change touched."""
    return [(b"x-affected-count", b"%d" % count), (b"content-range", b"*/%d" % count)]


def short_reply(returns: str, status: int, reply: DataReply) -> DataReply:
    """``return=minimal``: no body; ``return=headers-only``: only the number."""
    count = reply.rows or 0
    if returns == "minimal":
        return DataReply(status, affected_headers(count), b"", count)
    return json_reply(status, b'{"affected":%d}' % count, affected=count)


def list_tables(snapshot: Snapshot, role: str) -> list[dict[str, object]]:
    """The relations a role may use, and what it may do with each."""
    found: list[dict[str, object]] = []
    for relation in snapshot.relations.values():
        held = relation.privileges.get(role)
        if held is None or not held.any:
            continue
        is_table = relation.kind in "rp"
        rights = {"select": bool(held.select), "insert": held.insert, "update": held.update, "delete": held.delete}
        found.append(
            {
                "schema": relation.schema,
                "name": relation.name,
                "type": "table" if is_table else "view",
                "columns": [name for name in relation.columns if name in held.select],
                "primary_key": [name for name in relation.primary_key if name in held.select],
                "privileges": [name for name, has in rights.items() if has and (is_table or name == "select")],
            }
        )
    return found

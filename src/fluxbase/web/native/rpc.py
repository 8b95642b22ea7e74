# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# The members of a JSON body have no types; each is checked where it is read.
"""/api/v1/rpc: functions in the native dialect (contract-native 1.4, 2.10). Translates only.

``{params, async}`` in, ``{execution_id, status, result}`` out. Only calls in the background are stored: the execution of
one that is answered at once is its answer.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from fluxbase.data.request import DataReply, DataRequest
from fluxbase.kernel.errors import InvalidInput, NotFound
from fluxbase.web.context import context_of
from fluxbase.web.data_plane import data_request, send_reply
from fluxbase.web.errors import native_body
from fluxbase.web.native.query import number, parameter
from fluxbase.web.native.query_body import json_object
from fluxbase.web.native.tables import json_reply, principal_of

if TYPE_CHECKING:
    from fluxbase.data.executions import Executions
    from fluxbase.data.service import DataService
    from fluxbase.data.snapshot import Function, Snapshot
    from fluxbase.web.context import Receive, Scope, Send

DEFAULT = "default"


class NativeRpc:
    """The handlers of functions."""

    def __init__(self, service: DataService, executions: Executions) -> None:
        self._service = service
        self._executions = executions

    async def call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``POST /rpc/{namespace}/{name}``: answered at once, or 202 with the id of the execution when ``async`` is true."""
        principal = principal_of(scope)
        namespace, name = context_of(scope).path_parameters
        request = await data_request(scope, receive, name, is_rpc=True)
        body = json_object(request.body) if request.body.strip() else {}
        params, is_async = body.get("params") or {}, body.get("async") or False
        if not isinstance(params, dict) or not isinstance(is_async, bool):
            raise InvalidInput("params is an object, async is true or false.", code="bad_body")
        request = self._engine_request(request, namespace, params)
        if is_async:
            context = context_of(scope)
            execution = await self._executions.start(principal, request, namespace, lambda error: native_body(error, context.request_id))
            await send_reply(json_reply(202, orjson.dumps({"execution_id": execution, "status": "pending"})), scope, send)
            return
        began = time.monotonic()
        reply = await self._service.handle(principal, request)
        head = orjson.dumps(
            {
                "execution_id": str(uuid4()),
                "status": "completed",
                "rows_returned": (reply.rows or 0) if reply.body else 0,
                "duration_ms": round((time.monotonic() - began) * 1000),
            }
        )
        await send_reply(_wrapped(head, reply), scope, send)

    def _engine_request(self, request: DataRequest, namespace: str, params: dict[str, Any]) -> DataRequest:
        """The same call as the engine takes it. Raises NotFound for a namespace that is no exposed schema."""
        return replace(
            request, schema=self._schema(namespace), query="", prefer="", accept="", content_type="application/json",
            body=orjson.dumps(params),
        )  # fmt: skip

    def _schema(self, namespace: str) -> str | None:
        """The schema that is meant; None: the tenant's first."""
        schemas = self._service.exposed_schemas
        if namespace in (DEFAULT, schemas[0]):
            return None
        if namespace not in schemas:
            raise NotFound("There is no such function.", code="unknown_namespace")
        return namespace

    async def execution(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /rpc/executions/{id}``: the caller's own."""
        found = await self._find(scope, receive)
        found.pop("logs")
        await send_reply(json_reply(200, orjson.dumps(found)), scope, send)

    async def logs(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /rpc/executions/{id}/logs?after=``: lines behind a line number."""
        after = parameter(scope["query_string"], "after")
        behind = 0 if after is None else number("after", after)
        found = await self._find(scope, receive)
        lines = [{**line, "execution_id": found["execution_id"]} for line in found["logs"] if line["line_number"] > behind]
        await send_reply(json_reply(200, orjson.dumps({"logs": lines, "entries": lines, "count": len(lines)})), scope, send)

    async def _find(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        request = await data_request(scope, receive, "executions", is_rpc=True)
        return await self._executions.find(principal_of(scope), request, context_of(scope).path_parameters[0])

    async def procedures(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /rpc/procedures?namespace=``: functions the role may call."""
        principal = principal_of(scope)
        wanted = parameter(scope["query_string"], "namespace")
        schema = None if wanted is None else self._schema(wanted)
        request = await data_request(scope, receive, "", is_rpc=True)
        snapshot = await self._service.current_snapshot(principal, request.settings, request.deadline)
        found = list_procedures(snapshot, principal.role, schema)
        await send_reply(json_reply(200, orjson.dumps({"procedures": found, "count": len(found)})), scope, send)


def _wrapped(head: bytes, reply: DataReply) -> DataReply:
    """The function's own answer as ``result``; headers it set itself are kept."""
    headers = [pair for pair in reply.headers if not pair[0].startswith(b"content-")]
    status = 200 if reply.status in (204, 206) else reply.status
    answer = json_reply(status, head[:-1] + b',"result":' + (reply.body or b"null") + b"}")
    return replace(answer, headers=[*answer.headers, *headers])


def list_procedures(snapshot: Snapshot, role: str, schema: str | None) -> list[dict[str, object]]:
    """What the role may call, in one namespace or all."""
    return [
        _procedure(function, snapshot.schemas[0])
        for each in snapshot.functions.values()
        for function in each
        if role in function.roles and schema in (None, function.schema)
    ]


def _procedure(function: Function, default: str) -> dict[str, object]:
    return {
        "name": function.name,
        "namespace": DEFAULT if function.schema == default else function.schema,
        "schema": function.schema,
        "arguments": [{"name": each.name, "type": each.type, "required": not each.has_default} for each in function.arguments],
        "returns": function.returns,
        "returns_set": function.is_set,
        "is_read_only": function.volatility != "v",
    }

"""Endpoints that are called without FastAPI's machinery, where a request needs none of it.

FastAPI knows every endpoint and writes its documentation, but solving dependencies and three layers of its own middleware cost more than
most endpoints do. An endpoint that takes nothing but the request, one JSON body and plain query parameters is called at once when they are
as declared. Anything else (another content type, JSON or members that do not fit, files, a captcha) is FastAPI's, the body replayed, so
there is one wording for what is wrong with a request.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_type_hints

import orjson
from fastapi.params import Body
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.requests import Request

from fluxbase.kernel.errors import FluxbaseError
from fluxbase.web.middleware.body_limit import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.routing import BaseRoute

    from fluxbase.web.context import App, Message, Receive, Scope, Send

    Declared = Callable[[Request, Exception], Awaitable[Response]]

_JSON = b"application/json"


class JsonResponse(Response):
    """A JSON answer of members whose names are text."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Its bytes."""
        return orjson.dumps(content)


def direct_endpoint(route: BaseRoute, fastapi: App, declared: Declared) -> App | None:
    """How a route is answered without FastAPI; None when it must answer itself."""
    return DirectEndpoint(route, fastapi, declared) if isinstance(route, APIRoute) and _is_direct(route) else None


def _is_direct(route: APIRoute) -> bool:
    """Whether nothing but request, one JSON body and query parameters go in, and a whole response comes out."""
    needs = route.dependant
    others = (
        needs.path_params, needs.header_params, needs.cookie_params, needs.dependencies, needs.http_connection_param_name,
        needs.response_param_name, needs.background_tasks_param_name, needs.websocket_param_name, needs.security_scopes_param_name,
    )  # fmt: skip
    if any(others) or len(needs.body_params) > 1 or not inspect.iscoroutinefunction(route.endpoint):
        return False
    if any(type(field.field_info) is not Body or not field.field_info.is_required() for field in needs.body_params):
        return False
    answer = get_type_hints(route.endpoint).get("return")
    return isinstance(answer, type) and issubclass(answer, Response)


class DirectEndpoint:
    """ASGI: one endpoint of the control plane."""

    def __init__(self, route: APIRoute, fastapi: App, declared: Declared) -> None:
        self._call: Callable[..., Awaitable[Response]] = route.endpoint
        self._fastapi = fastapi
        self._declared = declared
        self._request = route.dependant.request_param_name
        self._body = route.dependant.body_params[0] if route.dependant.body_params else None
        self._query = route.dependant.query_params

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            arguments: dict[str, Any] = {}
            if self._request is not None:
                arguments[self._request] = request
            fits = not self._query or self._read_query(request, arguments)
            if self._body is not None:
                raw = await read_body(receive)
                receive = _replayed(raw, receive)
                fits = fits and self._read_body(request, raw, arguments)
            if fits:
                response = await self._call(**arguments)
            else:
                await self._fastapi(scope, receive, send)
                return
        except FluxbaseError as error:
            response = await self._declared(request, error)
        await response(scope, receive, send)  # pyright: ignore[reportArgumentType] - Starlette's names for the same types

    def _read_query(self, request: Request, arguments: dict[str, Any]) -> bool:
        sent = request.query_params
        for field in self._query:
            if field.alias not in sent:
                if field.field_info.is_required():
                    return False
                arguments[field.name] = field.get_default()
                continue
            arguments[field.name], errors = field.validate(sent[field.alias], arguments, loc=("query", field.alias))
            if errors:
                return False
        return True

    def _read_body(self, request: Request, raw: bytes, arguments: dict[str, Any]) -> bool:
        kind = next((value for name, value in request.scope["headers"] if name == b"content-type"), b"")
        if self._body is None or kind.partition(b";")[0].strip().lower() != _JSON:
            return False
        try:
            content = orjson.loads(raw)
        except ValueError:
            return False
        arguments[self._body.name], errors = self._body.validate(content, arguments, loc=("body",))
        return not errors


def _replayed(raw: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again

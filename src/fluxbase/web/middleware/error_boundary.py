"""ErrorBoundary and Errors: the two places where an exception becomes an answer.

``Errors`` renders declared errors in the dialect of the path. ``ErrorBoundary`` is the last resort for anything
nobody declared: a constant body, the detail only in the log under the request id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from fluxbase.kernel.errors import FluxbaseError, Kind
from fluxbase.web.context import KEY
from fluxbase.web.errors import constant_internal, limit_of, render

if TYPE_CHECKING:
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.errors import Renderer

CLOSE_CODES = {Kind.TOO_LARGE: 1009, Kind.INTERNAL: 1011, Kind.UNAVAILABLE: 1013, Kind.RATE_LIMITED: 1013}
"""RFC 6455 7.4.1; everything else is a policy violation."""
_log = structlog.get_logger("fluxbase.web")


async def send_error(error: FluxbaseError, scope: Scope, send: Send, renderer: Renderer = render) -> None:
    """Answer with a declared error, or close a websocket: before it was accepted the client sees 403."""
    context: RequestContext = scope[KEY]
    context.error_code = error.code
    context.refused_by = limit_of(error)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": CLOSE_CODES.get(error.kind, 1008), "reason": ""})
        return
    if context.has_started:
        return
    status, headers, body = renderer(error, context.dialect, context.principal, context.request_id)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class Errors:
    """FluxbaseError → body in the dialect of the path."""

    def __init__(self, app: App, renderer: Renderer = render) -> None:
        self._app = app
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except FluxbaseError as error:
            await send_error(error, scope, send, self._renderer)


class ErrorBoundary:
    """Last resort: no exception text ever leaves."""

    def __init__(self, app: App, renderer: Renderer = render) -> None:
        self._app = app
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:  # noqa: BLE001 - the one place for exceptions that nobody declared
            context: RequestContext = scope[KEY]
            _log.exception("unexpected_error", request_id=context.request_id, path=context.path)
            await send_error(constant_internal(), scope, send, self._renderer)

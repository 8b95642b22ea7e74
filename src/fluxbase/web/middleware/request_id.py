"""RequestId: our id on every answer; a client's own id is kept beside it, never used (log forging).

Outermost layer. It makes the request's context, and its ``send`` adds the headers that inner layers
collected, so that only one wrapper of ``send`` exists.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from fluxbase.kernel.ids import RequestId as Id
from fluxbase.web.context import KEY, RequestContext, dialect_of

if TYPE_CHECKING:
    from fluxbase.web.context import App, Message, Receive, Scope, Send


class RequestId:
    """Works for ``http`` and ``websocket`` alike; ``lifespan`` passes through."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(12)
        context = RequestContext(Id(request_id), time.monotonic())
        path: str = scope["path"]
        context.path = path
        context.dialect = dialect_of(path)
        context.response_headers.append((b"x-request-id", request_id.encode()))
        scope[KEY] = context

        async def send_with_headers(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                context.status = message["status"]
                context.has_started = True
                own: list[tuple[bytes, bytes]] = message.get("headers") or []
                names = {name for name, _ in own}
                message["headers"] = [*own, *(pair for pair in context.response_headers if pair[0] not in names)]
            elif kind == "http.response.body":
                context.bytes_sent += len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_with_headers)

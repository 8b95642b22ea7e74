"""RequestId: our id on every answer; a client's own id is kept beside it, never used (log forging).

Outermost layer. It makes the request's context, and its ``send`` adds the headers that inner layers
collected, so that only one wrapper of ``send`` exists.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from fluxbase.kernel.ids import RequestId as Id
from fluxbase.web.context import API_VERSION, KEY, Dialect, RequestContext, dialect_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from fluxbase.web.context import App, Message, Receive, Scope, Send

_ID_BYTES, _IDS_A_BLOCK = 12, 256


def _random_ids() -> Generator[str]:
    """Random ids, cut from blocks: one system call for many requests."""
    width = 2 * _ID_BYTES
    while True:
        block = os.urandom(_ID_BYTES * _IDS_A_BLOCK).hex()
        for start in range(0, len(block), width):
            yield block[start : start + width]


_ids = _random_ids()


class RequestId:
    """Works for ``http`` and ``websocket`` alike; ``lifespan`` passes through."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = next(_ids)
        path: str = scope["path"]
        added = {b"x-request-id": request_id.encode()}
        dialect = dialect_of(path, scope["headers"])
        if dialect is Dialect.AUTH_2024:
            added[b"x-supabase-api-version"] = API_VERSION
        context = scope[KEY] = RequestContext(Id(request_id), time.monotonic(), path, dialect, added, {})

        def send_with_headers(message: Message) -> Awaitable[None]:
            kind = message["type"]
            if kind == "http.response.start":
                context.status = message["status"]
                context.has_started = True
                own: list[tuple[bytes, bytes]] = message.get("headers") or []
                for name, _ in own:
                    added.pop(name, None)
                message["headers"] = [*own, *added.items()]
            elif kind == "http.response.body":
                context.bytes_sent += len(message.get("body", b""))
            return send(message)

        await self._app(scope, receive, send_with_headers)

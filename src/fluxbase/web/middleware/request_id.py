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
_AUTH_2024 = Dialect.AUTH_2024
_STARTS = frozenset({"http.response.start", "websocket.accept"})


class RequestId:
    """Works for ``http`` and ``websocket`` alike."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path: str = scope["path"]
        dialect = dialect_of(path, scope["headers"])
        context = scope[KEY] = RequestContext(Id(next(_ids)), time.monotonic(), path, dialect, dict(scope["headers"]))
        if dialect is _AUTH_2024:
            context.response_headers[b"x-supabase-api-version"] = API_VERSION

        def send_with_headers(message: Message) -> Awaitable[None]:
            kind = message["type"]
            if kind == "http.response.body":
                context.bytes_sent += len(message.get("body", b""))
            elif kind == "websocket.close" and not context.has_started:
                context.status = 403
            elif kind in _STARTS:
                context.status = message.get("status", 101)
                context.has_started = True
                message["headers"] = context.complete(message.get("headers") or [])
            return send(message)

        return self._app(scope, receive, send_with_headers)

"""BodyLimit and Deadline: how much a request may send and how long it may take.

Bytes are counted as received, whatever Content-Length claims. A slow body ends with 408; the rest of the time
budget is handed to PostgreSQL as ``statement_timeout``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import InvalidInput, TooLarge, UnsupportedMedia
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.web.context import App, Message, Receive, RequestContext, Scope, Send


class BodyLimit:
    """Refuses a body over the route's limit with 413, before it is read where Content-Length tells."""

    def __init__(self, app: App, body_timeout_seconds: float) -> None:
        self._app = app
        self._body_timeout_seconds = body_timeout_seconds

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope.get("method")
        if method == "GET" or method == "HEAD":
            return self._app(scope, receive, send)
        context: RequestContext = scope[KEY]
        limit = context.route.body_limit_bytes if context.route else 0
        if scope["type"] == "websocket":
            return self._app(scope, _limited_messages(receive, limit), send)
        if b"content-encoding" in context.headers and context.headers[b"content-encoding"] != b"identity":
            raise UnsupportedMedia("Compressed request bodies are not accepted.", code="content_encoding")
        declared = context.headers.get(b"content-length")
        if declared is not None:
            if not declared.isdigit():
                raise InvalidInput("Content-Length is not a number.", code="bad_content_length")
            if len(declared) > 15 or int(declared) > limit:
                raise _over(limit)
        return self._app(scope, _Body(receive, limit, self._body_timeout_seconds).receive, send)


def _over(limit: int) -> TooLarge:
    return TooLarge(f"The body is over the limit of {limit} bytes.", code="body_too_large")


class _Body:
    """One body on its way in: its bytes and its time are counted. Behind its end only the disconnect comes, for which anybody may wait."""

    __slots__ = ("_ends_at", "_is_late", "_is_whole", "_limit", "_receive", "_received")

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._ends_at = time.monotonic() + seconds
        self._is_late = self._is_whole = False

    async def receive(self) -> Message:
        """The next piece. Raises TooLarge, and InvalidInput (408) for a body that is not here in time."""
        if self._is_whole:
            return await self._receive()
        # As asyncio.timeout does it, at a third of its price: every write pays for this.
        task = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(max(0.0, self._ends_at - time.monotonic()), self._expire, task)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not self._is_late or (task is not None and task.uncancel() > 0):
                raise
            raise InvalidInput("The body did not arrive in time.", code="body_timeout", status=408) from None
        finally:
            timer.cancel()
        self._is_whole = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _over(self._limit)
        return message

    def _expire(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None:
            self._is_late = True
            task.cancel()


def _limited_messages(receive: Receive, limit: int) -> Receive:
    """Each message of a socket counts by itself."""

    async def limited() -> Message:
        message = await receive()
        if len(message.get("bytes") or b"") > limit or len((message.get("text") or "").encode()) > limit:
            raise TooLarge(f"The message is over the limit of {limit} bytes.", code="body_too_large")
        return message

    return limited


class Deadline:
    """Sets ``context.deadline`` (``time.monotonic()`` based)."""

    def __init__(self, app: App, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        context.deadline = context.started + self._seconds
        return self._app(scope, receive, send)


async def read_body(receive: Receive) -> bytes:
    """The whole body, already limited by BodyLimit."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise InvalidInput("The client went away.", code="client_disconnected", status=499)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    chunks = [body]
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("The client went away.", code="client_disconnected", status=499)
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)

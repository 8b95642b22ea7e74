"""BodyLimit and Deadline: how much a request may send and how long it may take.

Bytes are counted as received, whatever Content-Length claims. A slow body ends with 408; the rest of the time
budget is handed to PostgreSQL as ``statement_timeout``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import InvalidInput, TooLarge, UnsupportedMedia
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from fluxbase.web.context import App, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses a body over the route's limit with 413, before it is read where Content-Length tells."""

    def __init__(self, app: App, body_timeout_seconds: float) -> None:
        self._app = app
        self._body_timeout_seconds = body_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("method") in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        limit = context.route.body_limit_bytes if context.route else 0
        if scope["type"] == "websocket":
            await self._app(scope, _limited_messages(receive, limit), send)
            return
        if b"content-encoding" in context.headers and context.headers[b"content-encoding"] != b"identity":
            raise UnsupportedMedia("Compressed request bodies are not accepted.", code="content_encoding")
        declared = context.headers.get(b"content-length")
        if declared is not None:
            if not declared.isdigit():
                raise InvalidInput("Content-Length is not a number.", code="bad_content_length")
            if len(declared) > 15 or int(declared) > limit:
                raise TooLarge(f"The body is over the limit of {limit} bytes.", code="body_too_large")
        received = 0
        ends_at = time.monotonic() + self._body_timeout_seconds

        async def limited_receive() -> Message:
            nonlocal received
            try:
                async with asyncio.timeout(max(0.0, ends_at - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise InvalidInput("The body did not arrive in time.", code="body_timeout", status=408) from None
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge(f"The body is over the limit of {limit} bytes.", code="body_too_large")
            return message

        await self._app(scope, limited_receive, send)


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            context.deadline = context.started + self._seconds
        await self._app(scope, receive, send)


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

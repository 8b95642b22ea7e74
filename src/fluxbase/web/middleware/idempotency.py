"""Idempotency: an unsafe request with an ``Idempotency-Key`` is carried out once, however often it is sent (contract-native 4.8).

The key counts for one caller (user, key, or address where nobody is known), tenant and path; another request under it is 422.
Stands behind authentication and limits, so a replay is refused to whoever would be refused now. Routes where nobody is known yet
(sign-in, recovery, callbacks) and those of a session that owes a second factor take no part: what they give out is used once by
itself. Errors are not kept: they changed nothing. WebSockets have no unsafe handshake and pass.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import InvalidInput
from fluxbase.kernel.ids import ANON
from fluxbase.limits.idempotency import MOST_BYTES, Answer
from fluxbase.web.context import KEY
from fluxbase.web.middleware.authorise import check_standing
from fluxbase.web.middleware.body_limit import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.kernel.principal import Principal
    from fluxbase.limits.idempotency import Ledger
    from fluxbase.limits.idempotency_store import Entry
    from fluxbase.web.context import App, Headers, Message, Receive, RequestContext, Scope, Send
    from fluxbase.web.middleware.authorise import Standing

HEADER = b"idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WITHOUT = frozenset({Access.PUBLIC, Access.ENTRY, Access.PENDING})
"""Routes that read no key."""
MOST_CHARACTERS = 256
_KEY = re.compile(rb"[\x21-\x7e]+")
_DECIDING = (b"content-type", b"accept", b"prefer", b"accept-profile", b"content-profile", b"range", b"x-session-mode")
"""Headers that make it another request."""


class Idempotency:
    """Costs one look-up in a dictionary without the header."""

    def __init__(self, app: App, ledger: Ledger | None, standing: Standing | None) -> None:
        self._app = app
        self._ledger = ledger
        self._standing = standing

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._ledger is not None and scope["type"] == "http":
            context: RequestContext = scope[KEY]
            key = context.headers.get(HEADER)
            if key is not None and scope["method"] in UNSAFE and context.route is not None and context.route.access not in WITHOUT:
                return self._once(scope, receive, send, context, key, self._ledger)
        return self._app(scope, receive, send)

    async def _once(self, scope: Scope, receive: Receive, send: Send, context: RequestContext, key: bytes, ledger: Ledger) -> None:
        if len(key) > MOST_CHARACTERS:
            raise InvalidInput("Idempotency-Key is longer than 256 characters.", code="idempotency_key_too_long")
        if not _KEY.fullmatch(key):
            raise InvalidInput("Idempotency-Key must be 1 to 256 visible ASCII characters.", code="bad_idempotency_key")
        principal = context.principal
        if principal is None:
            raise RuntimeError("the Authenticate line is missing from the pipeline")
        body = await read_body(receive)
        request = (
            scope["method"].encode(), scope["query_string"], *(context.headers.get(name, b"\0") for name in _DECIDING), body,
        )  # fmt: skip
        entry = ledger.entry(principal.tenant, owner_of(principal, context), (context.path, key.decode("ascii")), request)
        answer = await self._begun(ledger, entry, context)
        if answer is None:
            await self._carry_out(scope, body, send, context, ledger, entry)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, REPLAYED]})
        await send({"type": "http.response.body", "body": answer.body})

    async def _begun(self, ledger: Ledger, entry: Entry, context: RequestContext) -> Answer | None:
        """The stored answer, for a caller who would be let in now: on the data plane only its transaction asks that otherwise."""
        answer = await ledger.begin(entry)
        if answer is not None and self._standing is not None:
            await check_standing(context, Access.OPTIONAL, self._standing)
        return answer

    async def _carry_out(self, scope: Scope, body: bytes, send: Send, context: RequestContext, ledger: Ledger, entry: Entry) -> None:
        context.idempotency_claim = entry.claim
        kept = _Kept()

        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept.start = message
                return
            kept.add(message)
            if not message.get("more_body", False):
                kept.is_whole = True
                if context.error_code is not None or (kept.status >= 500 and context.route and not context.route.is_data_plane):
                    await ledger.release(entry)
                else:
                    await ledger.complete(entry, kept.answer())
            if kept.start is not None:
                start, kept.start = kept.start, None
                await send(start)
            await send(message)

        try:
            await self._app(scope, _whole(body), forward)
        finally:
            if not kept.is_whole:
                await ledger.release(entry)


class _Kept:
    """A copy of the answer as it passes; no more of it than may be stored."""

    __slots__ = ("_body", "_headers", "_size", "_start", "is_whole", "status")

    def __init__(self) -> None:
        self._body: list[bytes] = []
        self._size = 0
        self._start: Message | None = None
        self._headers: Headers = []
        self.status = 0
        self.is_whole = False

    @property
    def start(self) -> Message | None:
        """The head, while it has not been sent."""
        return self._start

    @start.setter
    def start(self, message: Message | None) -> None:
        self._start = message
        if message is not None:
            self.status = message["status"]
            # Cookies are credentials of one browser: never given again.
            headers: Headers = message.get("headers") or []
            self._headers = [pair for pair in headers if pair[0].lower() != b"set-cookie"]

    def add(self, message: Message) -> None:
        """One piece of the body."""
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        if self._size <= MOST_BYTES:
            self._body.append(chunk)

    def answer(self) -> Answer:
        """The whole; over the limit its length says that it is too long to be kept."""
        body = b"".join(self._body) if self._size <= MOST_BYTES else bytes(MOST_BYTES + 1)
        return Answer(self.status, self._headers, body)


def owner_of(principal: Principal, context: RequestContext) -> tuple[str, ...]:
    """Whose key it is: a user, whoever acts as him, an issued key; an address where the credential is everybody's or none."""
    who = (principal.role, principal.credential, principal.impersonated_by or "", principal.platform_role or "")
    if principal.user_id is not None:
        return "user", principal.user_id, *who
    if principal.role == ANON or principal.credential_id is None:
        return "address", context.address, *who
    return "key", principal.credential_id, *who


def _whole(body: bytes) -> Receive:
    """The body that was read; then nothing any more: a client that leaves does not stop what it may ask for again."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise RuntimeError("never reached")

    return receive

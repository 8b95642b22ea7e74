"""What only a database served as it is does differently on /rest/v1: PostgREST's headers, error bodies and credentials.

Chosen once, in ``fluxbase.peer``; nothing below asks which mode it runs in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.kernel.errors import Unauthenticated
from fluxbase.observe.timing import current_stopwatch, enter_stage, start_stopwatch
from fluxbase.web.context import Dialect
from fluxbase.web.errors import JSON, REST_CODE_OF_KIND, render, status_of
from fluxbase.web.supabase.rest import RestSurface

if TYPE_CHECKING:
    from fluxbase.kernel.errors import FluxbaseError
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.context import Message, Receive, Scope, Send
    from fluxbase.web.middleware.authenticate import Authenticator, Credentials

_BEARER = b'Bearer error="invalid_token", error_description='
_TEXTS = {"PGRST125": "Invalid path specified in request URL"}
"""Where our own text of a code says something else."""


def peer_credentials(*, needs_token: bool) -> Credentials:
    """Bearer, else ``apikey``; other schemes are no token. Without one: anonymous, or PGRST302 when that is off."""

    def find(headers: dict[bytes, bytes]) -> list[str]:
        parts = headers.get(b"authorization", b"").decode("latin-1").split(None, 1)
        if parts and parts[0].lower() == "bearer":
            return [parts[1] if len(parts) > 1 else ""]
        api_key = headers.get(b"apikey")
        if api_key:
            return [api_key.decode("latin-1")]
        if needs_token:
            raise Unauthenticated("Anonymous access is disabled", pgrst="PGRST302", code="anonymous_disabled")
        return []

    return find


class PeerRenderer:
    """Errors as PostgREST writes them: members in its order, its status table, its challenges."""

    def __init__(self, anon_role: str) -> None:
        self._anon_role = anon_role

    def __call__(
        self, error: FluxbaseError, dialect: Dialect, principal: Principal | None, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body."""
        if dialect is not Dialect.REST:
            return render(error, dialect, principal, request_id)
        code = error.pgrst or error.sqlstate or REST_CODE_OF_KIND.get(error.kind, "PGRSTX00")
        status = self._status(error, principal)
        message = _TEXTS.get(code, error.message)
        headers = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in error.headers]
        headers.append((b"content-type", JSON))
        headers.append((b"proxy-status", b"PostgREST; error=" + code.encode("ascii", "replace")))
        if status == 401:
            quoted = b'"' + message.replace("\\", "\\\\").replace('"', '\\"').encode("latin-1", "replace") + b'"'
            headers.append((b"www-authenticate", _BEARER + quoted if code in ("PGRST301", "PGRST303") else b"Bearer"))
        if (stopwatch := current_stopwatch()) is not None:
            stopwatch.enter(None)
            headers.append((b"server-timing", stopwatch.header()))
        return status, headers, orjson.dumps({"code": code, "details": error.details, "hint": error.hint, "message": message})

    def _status(self, error: FluxbaseError, principal: Principal | None) -> int:
        state, message = error.sqlstate, error.message
        if error.status is not None or state is None:
            return status_of(error, principal)
        match state:
            case "42501":
                return 401 if principal is None or principal.role == self._anon_role else 403
            case "22023" if message.startswith("role") and message.endswith("does not exist"):
                return 401
            case "21000" if message.endswith("requires a WHERE clause"):
                return 400
            case "42883" if message.startswith("function xmlagg("):
                return 406
            case "57014":
                return 500
            case _:
                return status_of(error, principal)


class PeerRest(RestSurface):
    """/rest/v1 with the headers PostgREST has; credentials are part of ``request.headers``."""

    vary = b"Accept, Prefer, Range"
    hidden_headers = frozenset({b"cookie"})


class TimedRest(PeerRest):
    """The same with ``Server-Timing``."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send, *, is_rpc: bool) -> None:
        enter_stage("parse")

        async def timed_send(message: Message) -> None:
            stopwatch = current_stopwatch()
            if message["type"] == "http.response.start" and stopwatch is not None:
                stopwatch.enter(None)
                message = {**message, "headers": [*message["headers"], (b"server-timing", stopwatch.header())]}
            await send(message)

        await super()._handle(scope, receive, timed_send, is_rpc=is_rpc)


class TimedAuthenticator:
    """Starts the stopwatch where a request's credential is looked at."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def anonymous(self, tenant: Any) -> Principal:
        """The caller without a credential."""
        start_stopwatch().enter("jwt")
        return self._authenticator.anonymous(tenant)

    def cached(self, tenant: Any, raw_credential: str) -> Principal | None:
        """A verified principal from memory."""
        start_stopwatch().enter("jwt")
        return self._authenticator.cached(tenant, raw_credential)

    async def authenticate(self, tenant: Any, raw_credential: str) -> Principal:
        """Verify a credential."""
        return await self._authenticator.authenticate(tenant, raw_credential)


class TimedService:
    """Marks where parsing the request ends and planning begins."""

    def __init__(self, service: Any) -> None:
        self._service = service

    async def handle(self, principal: Principal, request: Any) -> Any:
        """The data service's own."""
        enter_stage("plan")
        return await self._service.handle(principal, request)


class TimedExecutor:
    """Marks the transaction."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    async def run(self, *arguments: Any, **named: Any) -> Any:
        """The executor's own."""
        enter_stage("transaction")
        try:
            return await self._executor.run(*arguments, **named)
        finally:
            enter_stage("response")

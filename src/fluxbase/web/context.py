"""What the pipeline knows of one request. Lives in ``scope["fluxbase"]``; adding a field needs a decision note."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fluxbase.web.session_cookies import NOTHING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from fluxbase.kernel.ids import RequestId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.routing import Route
    from fluxbase.web.session_cookies import Carried

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]


class Dialect(StrEnum):
    """Whose wire shapes an answer follows; decided by the path alone."""

    NATIVE = "native"
    REST = "rest"
    AUTH = "auth"
    AUTH_2024 = "auth_2024"
    """GoTrue's wire to clients that ask for API version 2024-01-01 or later: other error bodies."""


_NATIVE, _REST = Dialect.NATIVE, Dialect.REST  # Python 3.11 looks an enumeration's member up in Python
KEY = "fluxbase"
API_VERSION = b"2024-01-01"
REQUEST_ID = b"x-request-id"


class ConstantHeaders:
    """Headers that every answer of a surface has, made once."""

    __slots__ = ("names", "pairs")

    def __init__(self, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
        self.pairs = pairs
        self.names = frozenset({REQUEST_ID, *(name for name, _ in pairs)})
        """With that of the id, which every answer has too."""


NO_HEADERS = ConstantHeaders(())


class RequestContext:
    """Filled from the outside in: each middleware states which fields it sets. Slots: one allocation, the cheapest attributes."""

    __slots__ = (
        "address", "bytes_sent", "client_request_id", "constant_headers", "cookies", "deadline", "dialect", "error_code", "has_started",
        "headers", "idempotency_claim", "is_by_cookie", "path", "path_parameters", "principal", "refused_by", "request_id",
        "response_headers", "route", "scheme", "started", "status", "tenant",
    )  # fmt: skip

    def __init__(self, request_id: RequestId, started: float, path: str, dialect: Dialect, headers: dict[bytes, bytes]) -> None:
        self.request_id = request_id
        self.started = started
        """``time.monotonic()`` at arrival."""
        self.path = path
        self.dialect = dialect
        self.headers = headers
        """Lower-case names. Before Normalise the last of a repeated header; after it joined with a comma, or refused."""
        self.response_headers: dict[bytes, bytes] = {}
        """Added to whatever answer leaves, by the outermost layer; a header the answer has itself wins."""
        self.constant_headers: ConstantHeaders = NO_HEADERS
        """Added to whatever answer leaves, by the outermost layer, unless the answer or ``response_headers`` has them."""
        self.client_request_id: str | None = None
        self.address = self.scheme = self.refused_by = ""
        """``scheme`` is what the client used, as far as we know: our own TLS, or what a trusted proxy said. Empty: unknown.
        ``refused_by``: the limit that refused (docs/decisions/0063)."""
        self.route: Route | None = None
        self.path_parameters: tuple[str, ...] = ()
        self.deadline = 0.0
        self.tenant: Tenant | None = None
        """What host name or X-FB-Tenant names; the principal says whose request it is."""
        self.principal: Principal | None = None
        self.cookies: Carried = NOTHING
        """Our session cookies, as sent: unverified."""
        self.is_by_cookie = False
        """Whether the principal was proven by the cookie."""
        self.idempotency_claim: str | None = None
        """The attempt that the data plane's transaction carries out (docs/decisions/0062)."""
        self.status = self.bytes_sent = 0
        self.has_started = False
        self.error_code: str | None = None

    def complete(self, own: Headers) -> Headers:
        """The headers of an answer: its own, then the request's id, what was collected and what is constant, as far as it has them not."""
        taken, ours, constant = dict(own), self.response_headers, self.constant_headers
        identity = (REQUEST_ID, self.request_id.encode())
        if not ours and constant.names.isdisjoint(taken):
            return [*own, identity, *constant.pairs]
        merged = list(own)
        for pair in (identity, *ours.items(), *constant.pairs):
            if pair[0] not in taken:
                taken[pair[0]] = pair[1]
                merged.append(pair)
        return merged


def context_of(scope: Scope) -> RequestContext:
    """The request's context, set by the outermost layer."""
    context: RequestContext = scope[KEY]
    return context


def dialect_of(path: str, raw_headers: Iterable[tuple[bytes, bytes]] = ()) -> Dialect:
    """The dialect a path belongs to, and for GoTrue's the version that the request asks for."""
    if path.startswith("/rest/v1"):
        return _REST
    if path.startswith("/auth/v1"):
        wanted = next((value for name, value in raw_headers if name == b"x-supabase-api-version"), b"")
        return Dialect.AUTH_2024 if wanted >= API_VERSION else Dialect.AUTH
    return _NATIVE

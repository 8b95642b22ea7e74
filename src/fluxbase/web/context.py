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


KEY = "fluxbase"
API_VERSION = b"2024-01-01"


class ConstantHeaders:
    """Headers that every answer of a surface has, made once."""

    __slots__ = ("names", "pairs")

    def __init__(self, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
        self.pairs = pairs
        self.names = frozenset(name for name, _ in pairs)


NO_HEADERS = ConstantHeaders(())


class RequestContext:
    """Filled from the outside in: each middleware states which fields it sets. The defaults stand on the class: cheap to make."""

    client_request_id: str | None = None
    address: str = ""
    scheme: str = ""
    """What the client used, as far as we know: our own TLS, or what a trusted proxy said. Empty: unknown."""
    route: Route | None = None
    path_parameters: tuple[str, ...] = ()
    deadline: float = 0.0
    tenant: Tenant | None = None
    """What host name or X-FB-Tenant names; the principal says whose request it is."""
    principal: Principal | None = None
    cookies: Carried = NOTHING
    """Our session cookies, as sent: unverified."""
    is_by_cookie: bool = False
    """Whether the principal was proven by the cookie."""
    idempotency_claim: str | None = None
    """The attempt that the data plane's transaction carries out (docs/decisions/0062)."""
    status: int = 0
    bytes_sent: int = 0
    has_started: bool = False
    error_code: str | None = None
    refused_by: str = ""
    """The limit that refused (docs/decisions/0063)."""
    constant_headers: ConstantHeaders = NO_HEADERS
    """Added to whatever answer leaves, by the outermost layer, unless the answer or ``response_headers`` has them."""

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

    def complete(self, own: Headers) -> Headers:
        """The headers of an answer: its own, then ours that it does not have."""
        taken, ours, constant = dict(own), self.response_headers, self.constant_headers
        if taken.keys().isdisjoint(ours):
            merged = [*own, *ours.items()]
        else:
            merged = [*own, *(pair for pair in ours.items() if pair[0] not in taken)]
        taken.update(ours)
        if constant.names.isdisjoint(taken):
            merged += constant.pairs
        else:
            merged += [pair for pair in constant.pairs if pair[0] not in taken]
        return merged


def context_of(scope: Scope) -> RequestContext:
    """The request's context, set by the outermost layer."""
    context: RequestContext = scope[KEY]
    return context


def dialect_of(path: str, raw_headers: Iterable[tuple[bytes, bytes]] = ()) -> Dialect:
    """The dialect a path belongs to, and for GoTrue's the version that the request asks for."""
    if path.startswith("/rest/v1"):
        return Dialect.REST
    if path.startswith("/auth/v1"):
        wanted = next((value for name, value in raw_headers if name == b"x-supabase-api-version"), b"")
        return Dialect.AUTH_2024 if wanted >= API_VERSION else Dialect.AUTH
    return Dialect.NATIVE

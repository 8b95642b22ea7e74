"""What the pipeline knows of one request. Lives in ``scope["fluxbase"]``; adding a field needs a decision note."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.ids import RequestId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.routing import Route

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Dialect(StrEnum):
    """Whose wire shapes an answer follows; decided by the path alone."""

    NATIVE = "native"
    REST = "rest"
    AUTH = "auth"
    AUTH_2024 = "auth_2024"
    """GoTrue's wire to clients that ask for API version 2024-01-01 or later: other error bodies."""


KEY = "fluxbase"
API_VERSION = b"2024-01-01"


@dataclass(slots=True)
class RequestContext:
    """Filled from the outside in: each middleware states which fields it sets."""

    request_id: RequestId
    started: float
    """``time.monotonic()`` at arrival."""
    path: str
    dialect: Dialect
    response_headers: dict[bytes, bytes]
    """Added to whatever answer leaves, by the outermost layer; a header the answer has itself wins."""
    headers: dict[bytes, bytes]
    """Lower-case names; a repeated name was joined with a comma or refused (Normalise)."""
    client_request_id: str | None = None
    address: str = ""
    route: Route | None = None
    path_parameters: tuple[str, ...] = ()
    deadline: float = 0.0
    tenant: Tenant | None = None
    """What host name or X-FB-Tenant names; the principal says whose request it is."""
    principal: Principal | None = None
    status: int = 0
    bytes_sent: int = 0
    has_started: bool = False
    error_code: str | None = None


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

"""TenantCandidate, Authenticate and Authorise: who is asking, for which tenant, and may they use this route.

A bad or expired credential is 401, never silently ``anon``. Every credential that is sent must verify, on routes
that read credentials at all; a route with ``access=public`` does not read them. The tenant comes from the
credential, ``X-FB-Tenant`` can only narrow: a valid tenant the credential is not for is 403, an unknown one 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Forbidden, Unauthenticated
from fluxbase.kernel.ids import SERVICE_ROLE
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

    Credentials = Callable[[dict[bytes, bytes]], list[str]]


class Authenticator(Protocol):
    """Turns a raw credential into a principal of that tenant, or raises Unauthenticated."""

    def cached(self, tenant: TenantId, raw_credential: str) -> Principal | None:
        """A verified, unexpired principal from memory, or None."""
        ...

    async def authenticate(self, tenant: TenantId, raw_credential: str) -> Principal:
        """Verify a credential."""
        ...

    def anonymous(self, tenant: TenantId) -> Principal:
        """The principal of a request without credentials."""
        ...


class TenantCandidate:
    """Sets ``context.tenant`` from header or default; unverified until Authenticate agrees."""

    def __init__(self, app: App, registry: TenantRegistry) -> None:
        self._app = app
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            wanted = context.headers.get(b"x-fb-tenant")
            context.tenant = self._registry.default if wanted is None else self._registry.resolve(wanted.decode("latin-1"))
        await self._app(scope, receive, send)


def credentials_of(headers: dict[bytes, bytes]) -> list[str]:
    """All credentials of a request, the deciding one first: service key, Bearer, client key, ``apikey``.

    Raises Unauthenticated for an Authorization header of an unknown scheme.
    """
    found: list[str] = []
    service = headers.get(b"x-service-key")
    if service is not None:
        found.append(service.decode("latin-1"))
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() not in {"bearer", "servicekey"}:
            raise Unauthenticated("Only Bearer tokens are accepted in Authorization.", pgrst="PGRST301", code="unknown_scheme")
        found.append(token.strip())
    for name in (b"x-client-key", b"apikey"):
        value = headers.get(name)
        if value is not None:
            found.append(value.decode("latin-1"))
    return found


class Authenticate:
    """Sets ``context.principal``."""

    def __init__(self, app: App, authenticator: Authenticator, credentials: Credentials = credentials_of) -> None:
        self._app = app
        self._authenticator = authenticator
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            await self._identify(context)
        await self._app(scope, receive, send)

    async def _identify(self, context: RequestContext) -> None:
        tenant: Tenant | None = context.tenant
        if tenant is None:
            raise Unauthenticated("No tenant.", pgrst="PGRST301")
        if context.route is not None and context.route.access is Access.PUBLIC:
            context.principal = self._authenticator.anonymous(tenant.id)
            return
        raw = self._credentials(context.headers)
        if not raw:
            context.principal = self._authenticator.anonymous(tenant.id)
            return
        first: Principal | None = None
        seen: set[str] = set()
        for text in raw:
            if text in seen:
                continue
            seen.add(text)
            principal = self._authenticator.cached(tenant.id, text) or await self._authenticator.authenticate(tenant.id, text)
            if first is None:
                first = principal
            elif principal.tenant != first.tenant:
                raise Forbidden("The credentials belong to different tenants.", code="tenant_mismatch")
        if first is not None and first.tenant != tenant.id:
            raise Forbidden("The credential belongs to another tenant.", code="tenant_mismatch")
        context.principal = first


class Authorise:
    """The route's ``access`` against the principal."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            access = context.route.access if context.route else Access.SERVICE
            if access is not Access.OPTIONAL and access is not Access.PUBLIC:
                self._check(access, context)
        await self._app(scope, receive, send)

    @staticmethod
    def _check(access: Access, context: RequestContext) -> None:
        principal = context.principal
        if access is Access.LOOPBACK:
            if context.address not in {"127.0.0.1", "::1"}:
                raise Forbidden("Only callers on this machine.", code="loopback_only")
            return
        if principal is None or principal.credential is CredentialKind.NONE:
            raise Unauthenticated("A credential is required.", code="missing_credential")
        if access is Access.SERVICE and principal.role != SERVICE_ROLE:
            raise Forbidden("The service key is required.", code="service_role_required")
        if access is Access.USER and principal.user_id is None:
            raise Forbidden("A signed-in user is required.", code="user_required")

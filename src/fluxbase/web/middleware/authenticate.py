"""TenantCandidate and Authenticate: who is asking, for which tenant.

A bad or expired credential is 401, never silently ``anon``. Every credential that is sent must verify, on routes
that read credentials at all; a route with ``access=public`` does not read them. The tenant comes from the
credential; ``X-FB-Tenant`` and host name can only narrow: an unknown tenant and one the credential is not for give the
same 404. Two valid credentials of different tenants are 403 (DESIGN invariant 6, threats A4, A5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Forbidden, Unauthenticated
from fluxbase.kernel.principal import Principal
from fluxbase.tenancy.locator import locator_of
from fluxbase.tenancy.registry import unknown_tenant
from fluxbase.tenancy.shared import narrowed
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

    Credentials = Callable[[dict[bytes, bytes]], list[str]]


_PUBLIC, _ENTRY = Access.PUBLIC, Access.ENTRY  # Python 3.11 looks an enumeration's member up in Python


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


class PlatformEntry(Protocol):
    """What a platform administrator's token is good for at this moment (``auth/platform.py``)."""

    home: Tenant
    """Whose keys sign such tokens."""

    async def enter(self, principal: Principal, named: Tenant | None, address: str) -> Principal:
        """The administrator, in the tenant that is named. Raises Revoked or NotFound."""
        ...


class TenantCandidate:
    """Sets ``context.tenant`` to the tenant that host name or ``X-FB-Tenant`` names, None when neither does.

    Unverified until Authenticate agrees: it can only narrow what the credential allows. Unknown: 404.
    """

    def __init__(self, app: App, registry: TenantRegistry, base_host: str) -> None:
        self._app = app
        self._registry = registry
        self._suffix = f".{base_host.lower()}".encode() if base_host else None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        wanted = context.headers.get(b"x-fb-tenant")
        if wanted is None and self._suffix is None:
            return self._app(scope, receive, send)
        return self._named(scope, receive, send, context, wanted)

    async def _named(self, scope: Scope, receive: Receive, send: Send, context: RequestContext, wanted: bytes | None) -> None:
        named = None if wanted is None else await self._registry.resolve(wanted.decode("latin-1"))
        if self._suffix is not None:
            named = await self._by_host(context.headers.get(b"host", b""), named)
        context.tenant = named
        await self._app(scope, receive, send)

    async def _by_host(self, raw_host: bytes, named: Tenant | None) -> Tenant | None:
        host = raw_host.lower().partition(b":")[0]
        if self._suffix is not None and host.endswith(self._suffix):
            tenant = await self._registry.find("slug", host[: -len(self._suffix)].decode("latin-1"))
        else:
            tenant = await self._registry.find("host", host.decode("latin-1"))
            if tenant is None:
                return named
        if tenant is None or (named is not None and named.id != tenant.id):
            raise unknown_tenant()
        return tenant


def credentials_of(headers: dict[bytes, bytes]) -> list[str]:
    """All credentials of a request, the deciding one first: service key, Bearer, client key, ``apikey``.

    Raises Unauthenticated for an Authorization header of an unknown scheme.
    """
    found: list[str] = []
    service = headers.get(b"x-service-key")
    if service is not None:
        found.append(service.decode("latin-1"))
    authorization = headers.get(b"authorization")
    if authorization is None:
        pass
    elif authorization.startswith(b"Bearer "):
        found.append(authorization[7:].strip().decode("latin-1"))
    else:
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
    """Sets ``context.principal``; the tenant comes from the credential, or without one from TenantCandidate or default."""

    def __init__(
        self, app: App, authenticator: Authenticator, registry: TenantRegistry, credentials: Credentials,
        granted: Callable[[Principal], Principal], platform: PlatformEntry | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._platform = platform
        self._granted = granted
        self._authenticator = authenticator
        self._registry = registry
        self._credentials = credentials

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        raw = self._read(context)
        principal = self._at_hand(raw, context) if raw else self._anonymous(context)
        if principal is None:
            return self._unknown(scope, receive, send, context, raw)
        context.principal = self._granted(principal)
        return self._app(scope, receive, send)

    async def _unknown(self, scope: Scope, receive: Receive, send: Send, context: RequestContext, raw: list[str]) -> None:
        context.principal = self._granted(await self._verify(raw, context))
        await self._app(scope, receive, send)

    def _read(self, context: RequestContext) -> list[str]:
        """What the route reads of the credentials: all, none, or of a way in the key alone."""
        access = None if context.route is None else context.route.access
        if access is _PUBLIC:
            return []
        if access is _ENTRY:
            key = context.headers.get(b"apikey")
            return [] if key is None else [key.decode("latin-1")]
        found = self._credentials(context.headers)
        if not found and context.cookies.access:
            context.is_by_cookie = True
            return [context.cookies.access]
        return found

    def _anonymous(self, context: RequestContext) -> Principal:
        named = context.tenant or self._registry.default
        return _as_seen_by(named, self._authenticator.anonymous(named.id))

    def _at_hand(self, raw: list[str], context: RequestContext) -> Principal | None:
        """The usual case without waiting: one credential, verified before, and no tenant named beside it."""
        if len(raw) != 1 or context.tenant is not None:
            return None
        tenant = self._known_tenant(raw[0], None)
        if tenant is None or (self._platform is not None and tenant.id == self._platform.home.id):
            return None
        principal = self._authenticator.cached(tenant.id, raw[0])
        return narrowed(principal) if principal is not None and tenant.is_shared else principal

    async def _verify(self, raw: list[str], context: RequestContext) -> Principal:
        """Every credential must hold, all for one tenant, and for the one that is named."""
        found: list[Principal] = []
        for text in dict.fromkeys(raw):
            tenant = self._known_tenant(text, context.tenant) or await self._find_tenant(text)
            principal = self._authenticator.cached(tenant.id, text) or await self._authenticator.authenticate(tenant.id, text)
            if self._platform is not None and tenant.id == self._platform.home.id:
                principal = await self._platform.enter(principal, context.tenant, context.address)
                tenant = self._registry.get(principal.tenant)
            found.append(_as_seen_by(tenant, principal))
        if any(principal.tenant != found[0].tenant for principal in found):
            raise Forbidden("The credentials belong to different tenants.", code="tenant_mismatch")
        if context.tenant is not None and found[0].tenant != context.tenant.id:
            raise unknown_tenant()  # the same answer as for a tenant that is not there
        return found[0]

    def _known_tenant(self, text: str, named: Tenant | None) -> Tenant | None:
        """Whose key must verify the credential: the tenant its key prefix or key id names. Says nothing yet about its truth."""
        locator = locator_of(text)
        if locator == self._registry.default.locator:
            return self._registry.default
        if locator is None:
            return named or self._registry.default
        return self._registry.held("locator", locator)

    async def _find_tenant(self, text: str) -> Tenant:
        """The same, looked up. A locator nobody has goes to the default tenant's ring, where no key fits: 401 as any bad key."""
        return await self._registry.find("locator", locator_of(text) or "") or self._registry.default


def _as_seen_by(tenant: Tenant, principal: Principal) -> Principal:
    return narrowed(principal) if tenant.is_shared else principal

"""Admit: what a session that has ended may do on the control plane, which is nothing (invariant 5, threat B20).

The data plane asks in the transaction of the request itself (``fluxbase.admit``); everything else asks here, before the
handler runs. So a sign-out, ban or new password acts on the next request of every route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Revoked, Unavailable
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.context import App, Receive, Scope, Send
    from fluxbase.web.routing import Route


class Admission(Protocol):
    """Implemented by ``auth/sessions.py``."""

    async def denied(self, tenant: Tenant, principal: Principal) -> tuple[str | None, bool]:
        """Which of the caller's deny keys is denied, and whether his database is frozen."""
        ...


class Admit:
    """Refuses a revoked caller with 401 and every caller of a frozen tenant with 503."""

    def __init__(self, app: App, admission: Admission, registry: TenantRegistry) -> None:
        self._app = app
        self._admission = admission
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            route, principal = context.route, context.principal
            if route is not None and principal is not None and _is_asked(route, principal):
                await self._ask(principal)
        await self._app(scope, receive, send)

    async def _ask(self, principal: Principal) -> None:
        denied, is_frozen = await self._admission.denied(self._registry.get(principal.tenant), principal)
        if is_frozen or (denied or "").startswith("frozen:"):
            raise Unavailable("This tenant is frozen.", code="frozen")
        if denied is not None:
            raise Revoked("This token has been revoked", pgrst="PGRST303")


def _is_asked(route: Route, principal: Principal) -> bool:
    return not route.is_data_plane and (bool(principal.deny_keys) or route.access is Access.ENTRY)

"""Authorise: may this caller, with this kind of credential, use this route, and is the credential still good.

The table is in ``kernel/permissions.py``. On the data plane revocation is checked inside the request's own transaction; a
route of the control plane has none as the caller, so it is asked here, before the handler runs (DESIGN invariant 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Unavailable
from fluxbase.kernel.permissions import authorise
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

    Standing = Callable[[Principal, float], Awaitable[Principal]]
    """The principal as it stands now, before the deadline. Raises Revoked, or Unavailable when its tenant is frozen."""


class Authorise:
    """The route's access and permission against the principal."""

    def __init__(self, app: App, registry: TenantRegistry, standing: Standing | None = None) -> None:
        self._app = app
        self._instance = registry.default.id
        self._standing = standing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            route = context.route
            access = Access.SERVICE if route is None else route.access
            if access is not Access.PUBLIC:
                if route is not None and not route.is_data_plane and self._standing is not None:
                    await check_standing(context, access, self._standing)
                permission = None if route is None else route.permissions.get(scope.get("method", "GET"))
                authorise(access, permission, context.principal, address=context.address, instance=self._instance)
        await self._app(scope, receive, send)


async def check_standing(context: RequestContext, access: Access, standing: Standing) -> None:
    """Whether the credential still holds: Revoked when not. Who thaws a tenant may be of the frozen one."""
    if context.principal is None or not (context.principal.deny_keys or access is Access.ENTRY):
        return
    try:
        context.principal = await standing(context.principal, context.deadline)
    except Unavailable as error:
        if error.code != "frozen" or access is not Access.INSTANCE:
            raise

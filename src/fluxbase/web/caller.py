"""Who calls a route of the control plane, and whose tenant it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth.platform import HOME, INSTANCE_ADMIN
from fluxbase.kernel.errors import Forbidden, InvalidInput, Unauthenticated
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from fastapi import Request

    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant, TenantRegistry


def caller_of(request: Request) -> Principal:
    """The verified caller. Raises Unauthenticated when the pipeline set none."""
    principal = context_of(request.scope).principal
    if principal is None:
        raise Unauthenticated("A credential is required.", code="missing_credential")
    return principal


def tenant_of(request: Request, registry: TenantRegistry) -> Tenant:
    """The tenant of the caller's credential."""
    return registry.get(caller_of(request).tenant)


def accounts_of(request: Request, registry: TenantRegistry, kind: str) -> Tenant:
    """Whose accounts ``type=`` means: the application's, or (for an administrator of the instance) the platform's administrators.

    Raises InvalidInput, Forbidden.
    """
    if kind == "app":
        return tenant_of(request, registry)
    if kind != "dashboard":
        raise InvalidInput("type must be app or dashboard.", code="unknown_user_type")
    if caller_of(request).platform_role != INSTANCE_ADMIN:
        raise Forbidden("Only an administrator of the instance administers administrators.", code="instance_required")
    return registry.get(HOME)

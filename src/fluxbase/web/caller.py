"""Who calls a route of the control plane, and whose tenant it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.errors import Unauthenticated
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

"""Which tenants there are. For now one, ``default``; every session must name it all the same (DESIGN invariant 6)."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase.kernel.errors import NotFound
from fluxbase.kernel.ids import DatabaseName, TenantId


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant and its database."""

    id: TenantId
    slug: str
    database: DatabaseName


class TenantRegistry:
    """Looks tenants up. Unknown and forbidden give one and the same answer."""

    def __init__(self, default: Tenant) -> None:
        self.default = default

    def resolve(self, id_or_slug: str) -> Tenant:
        """The tenant of an id or slug. Raises NotFound."""
        if id_or_slug in {self.default.id, self.default.slug}:
            return self.default
        raise NotFound("No such tenant.", code="unknown_tenant")

    def get(self, tenant_id: TenantId) -> Tenant:
        """The tenant of an id that is already verified. Raises NotFound."""
        return self.resolve(tenant_id)

"""Whether a caller administers the tenant that a path names (contract-native 1.10, "A + assigned")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.permissions import OUTSIDE, administers, administers_all, covers
from fluxbase.tenancy.registry import unknown_tenant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.lifecycle import TenantLifecycle
    from fluxbase.tenancy.store import TenantRow


@dataclass(frozen=True, slots=True)
class Administered:
    """``assigned``: ids of the tenants that a platform administrator has; ``instance``: whose service key administers all."""

    tenants: TenantLifecycle
    assigned: Callable[[Principal], Awaitable[list[str]]]
    instance: TenantId

    async def find(self, caller: Principal, tenant: str, permission: str = "") -> TenantRow:
        """The tenant of an id or slug when the caller administers it, or its roles there hold the permission.

        Raises NotFound otherwise, the same as for a tenant that is not there (threat A5).
        """
        row = await self.tenants.get(tenant)
        if administers_all(caller, self.instance):
            return row
        is_own = caller.tenant == row.id
        if is_own and (administers(caller) or (permission and covers(caller.permissions, permission))):
            return row
        if caller.platform_role == OUTSIDE and row.id in await self.assigned(caller):
            return row
        raise unknown_tenant()

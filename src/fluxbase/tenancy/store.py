"""The SQL of tenants."""

from __future__ import annotations

from typing import Any

from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.tenancy.registry import Tenant


async def select_default(tx: Any) -> Tenant:
    """The default tenant of the main database."""
    rows = await tx.fetch("select id::text, slug, db_name from platform.tenants where is_default")
    tenant_id, slug, database = rows[0]
    return Tenant(TenantId(tenant_id), slug, DatabaseName(database))

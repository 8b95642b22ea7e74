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


async def select_identity_key(tx: Any) -> bytes:
    """The key that signs identities of the tenant's database."""
    rows = await tx.fetch("select encode(key, 'hex') from fluxbase.identity_key")
    return bytes.fromhex(rows[0][0])

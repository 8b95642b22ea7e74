"""How the schemas of tenants are read: which ones, when two are certainly equal, and their documentation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import Unavailable

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.data.snapshot import Snapshot
    from fluxbase.kernel.ids import TenantId

LOAD_SECONDS = 60.0


class SchemaReader:
    """Over connections of its own: reading a large schema must not hold key and tenant look-ups."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._catalogues = SystemSessions(program.system_conninfo)

    async def snapshot(self, tenant_id: TenantId) -> Snapshot:
        """What the data plane plans with. Raises Unavailable when it could not be read in time."""
        from fluxbase.data.snapshot import build_snapshot
        from fluxbase.db.catalogue import read_catalogue, read_epoch
        from fluxbase.kernel.ids import CLIENT_ROLES, TENANT_SERVICE

        data = self._program.config.data
        schemas, called = self._schemas_of(tenant_id)
        try:
            async with asyncio.timeout(LOAD_SECONDS), self._catalogues(tenant_id, reason="load the schema") as tx:
                epoch = await read_epoch(tx)
                raw = await read_catalogue(tx, schemas, [*CLIENT_ROLES, TENANT_SERVICE, *data.custom_roles], data.extra_search_path)
        except TimeoutError:
            raise Unavailable("The schema could not be read in time.", pgrst="PGRST002", code="schema_loading") from None
        return await build_snapshot(*raw, schemas=schemas, open_relations=data.open_relations, epoch=epoch, called=called)

    async def lineage(self, tenant_id: TenantId) -> tuple[int, str | None]:
        """The schema's epoch, and what it is certainly equal by: the template it is an unchanged copy of, or the shared database."""
        from fluxbase.db.catalogue import read_lineage

        tenant = self._program.registry.get(tenant_id)
        async with self._program.sessions(tenant, reason="which schema is it", is_single=True) as tx:
            epoch, template, is_watched = await read_lineage(tx)
        if not is_watched or (template is None and not tenant.is_shared):
            return epoch, None
        return epoch, f"{template or tenant.database}/{tenant.schema}/{epoch}"

    async def documentation(self, tenant: TenantId, role: str | None) -> bytes:
        """Comments and columns, for the documents that describe the surface to a role."""
        from fluxbase.db.catalogue import read_documentation

        async with self._program.sessions(tenant, reason="describe the schema") as tx:
            return await read_documentation(tx, self._schemas_of(tenant)[0], role)

    async def close(self) -> None:
        """End its connections."""
        await self._catalogues.close()

    def _schemas_of(self, tenant_id: TenantId) -> tuple[list[str], str]:
        """The schemas a tenant is served from, and the name of the first to clients when it has another."""
        own = self._program.registry.get(tenant_id).schema
        configured = self._program.config.data.schemas
        return (configured, "") if own is None else ([own], configured[0])

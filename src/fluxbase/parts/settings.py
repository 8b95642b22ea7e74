"""Settings and secrets of tenants, put together; and how a worker hears that they changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.db.provision import SYSTEM_LOGIN
from fluxbase.db.session import notifications
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.parts.target import MAIN
from fluxbase.tenancy.settings import MAX_AGE_SECONDS, TenantSettings

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.control import ControlPlane

CHANNEL = "fluxbase_settings"


def tenant_settings(program: Program) -> TenantSettings:
    """Over this program's sessions and master key."""

    def adopt(tenant: Tenant) -> None:
        program.registry.keep(tenant)
        program.rings.forget(tenant.id)

    return TenantSettings(program.config, program.sessions, MAIN, program.master, record, program.keys.secret_mark, adopt)


def register_settings(program: Program, control: ControlPlane) -> None:
    """Their routes."""
    from fluxbase.web.native.tenant_settings import TenantSettingsRoutes

    TenantSettingsRoutes(program.tenant_settings, program.registry).register(control)


class SettingsWatch:
    """Reads again what another worker changed: told in the main database, or by the epoch that a request reported."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._noted: set[TenantId] = set()
        self._is_noted = asyncio.Event()

    def note(self, tenant_id: TenantId) -> None:
        """Something of this tenant has moved: keys, schema or settings."""
        self._noted.add(tenant_id)
        self._is_noted.set()

    async def run(self) -> None:
        """For ever."""
        await asyncio.gather(self._hear(), self._renew())

    async def _hear(self) -> None:
        async for payloads in notifications(self._program.target.login_conninfo(SYSTEM_LOGIN), CHANNEL):
            for payload in payloads:
                for tenant_id in self._program.tenants_in_use() if not payload else [payload]:
                    self.note(tenant_id)  # type: ignore[arg-type]

    async def _renew(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAX_AGE_SECONDS):
                    await self._is_noted.wait()
            self._is_noted.clear()
            noted, self._noted = self._noted or {self._program.registry.default.id}, set()
            for tenant_id in noted:
                with contextlib.suppress(FluxbaseError):
                    await self._read_again(tenant_id)

    async def _read_again(self, tenant_id: TenantId) -> None:
        program = self._program
        tenant = program.registry.known(tenant_id)
        if tenant is None or tenant.id == program.home.id:
            return
        again = await program.tenant_settings.read(tenant)
        program.registry.keep(again)
        if again.settings != tenant.settings:
            program.rings.forget(tenant.id)

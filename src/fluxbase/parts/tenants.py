"""What administrators do with tenants, put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.config.tenants import tenant_config
from fluxbase.crypto.opaque import tenant_locator
from fluxbase.db.tenant_database import TenantDatabases, database_name
from fluxbase.tenancy.lifecycle import TenantLifecycle

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.native.administered import Administered


def tenant_lifecycle(program: Program) -> TenantLifecycle:
    """The steps of a tenant's life, over this program's databases, register and keys."""
    target, config = program.target, program.config
    databases = TenantDatabases(
        target.admin_conninfo, target.database, config.data, target.login_secret,
        target.login_conninfo, Path(config.database.migrations_path),
    )  # fmt: skip
    return TenantLifecycle(
        program.sessions, program.registry, databases, program.keys, record, locator_of=tenant_locator, name_of=database_name,
        settings_of=partial(tenant_config, config), most=config.tenants.max_tenants,
    )  # fmt: skip


def administered_tenants(program: Program) -> Administered:
    """Who administers which tenant, for the routes that ask."""
    from fluxbase.web.native.administered import Administered

    return Administered(program.tenants, program.platform.tenants_of, program.registry.default.id)

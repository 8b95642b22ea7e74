"""Takes back what a proof planted and changed (``journal.py``), whether it came to its end or not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fluxbase.config.tenants import Decider
from fluxbase.db.named_sql import named_sql
from fluxbase.db.provision import OWNER_LOGIN
from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import NotFound
from fluxbase.proof.calls.settings import CHANGED

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.proof.journal import Before, Planted
    from fluxbase.tenancy.registry import Tenant

ACTOR = "cli:prove"


def owner_sessions(program: Program) -> SystemSessions:
    """Transactions of the owner of a tenant's tables."""
    return SystemSessions(lambda tenant: program.target.login_conninfo(OWNER_LOGIN, tenant.database))


async def take_back(program: Program, planted: Planted) -> None:
    """Nothing of the proof stays but marks that keep its credentials refused, and the audit log. May be run twice."""
    owner = owner_sessions(program)
    try:
        for before in planted.tenants:
            with contextlib.suppress(NotFound):  # deleted since
                await _restore(program, owner, before, planted)
    finally:
        await owner.close()
    async with program.sessions(program.registry.default, reason="take the proof's invitations away") as tx:
        await tx.fetch(named_sql("proof", "remove_invitations"))
        await tx.fetch(named_sql("proof", "remove_mails"), program.home.id)
        await tx.fetch(named_sql("proof", "remove_tokens"), program.home.id)
    for row in await program.tenants.list(with_deleted=True):
        if row.slug.startswith(planted.scratch):
            await program.tenants.delete(row.id, is_hard=True, actor=ACTOR)


async def _restore(program: Program, owner: SystemSessions, before: Before, planted: Planted) -> None:
    tenant = await program.registry.resolve(before.tenant)
    schema = tenant.schema or program.config.data.schemas[0]
    async with owner(tenant, reason="take the proof's tables away") as tx:
        await tx.fetch(named_sql("proof", "settings"), schema, "")
        for statement in named_sql("proof", "remove").split("-- then\n"):
            await tx.fetch(statement)
    async with program.sessions(tenant, reason="take the proof's users away") as tx:
        for name in ("remove_mails", "remove_tokens", "remove_executions"):
            await tx.fetch(named_sql("proof", name), tenant.id)
        await tx.fetch(named_sql("proof", "remove_users"), tenant.id, planted.agent)
        await tx.fetch(named_sql("proof", "remove_named"), tenant.id, before.canary)
    now = await own_settings(program, tenant)
    changes = {key: value for key, value in before.settings.items() if now[key] != value}
    if changes:
        await program.tenant_settings.change(tenant, changes, decider=Decider.INSTANCE, actor=ACTOR)
    row = await program.tenants.get(tenant.id)
    if (row.name, row.metadata) != (before.name, before.metadata):
        await program.tenants.update(tenant.id, name=before.name, metadata=before.metadata, actor=ACTOR)


async def own_settings(program: Program, tenant: Tenant) -> dict[str, Any]:
    """What the tenant has otherwise of the settings that calls change; None: nothing."""
    listed = {row["key"]: row for row in await program.tenant_settings.listed(tenant, Decider.INSTANCE)}
    return {key: listed[key]["value"] if listed[key]["is_overridden"] else None for key in CHANGED}

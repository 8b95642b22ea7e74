"""What a worker hears, asks and writes beside the requests, for as long as it lives.

Every loop goes on when the database is away: what it would have learnt it learns at the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fluxbase.db.provision import SYSTEM_LOGIN
from fluxbase.db.session import notifications, role_fingerprint
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.parts.accounts import forget_expired
from fluxbase.parts.limits import forget_answers, watch_blocklist
from fluxbase.parts.target import MAIN
from fluxbase.tenancy.registry import REFRESH_SECONDS
from fluxbase.tenancy.store import notice_changes, select_served_again

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant

ROLE_SECONDS = 5.0
"""How long a changed membership may stay unnoticed; NOTIFY pgrst makes it known at once."""
USES_SECONDS = 2.0


async def watch(program: Program) -> None:
    """All of it, for ever."""
    await asyncio.gather(
        _hear_of_schemas(program),
        _watch_roles(program),
        _refresh_tenants(program),
        _watch_catalogues(program),
        _write_uses(program),
        watch_blocklist(program),
        program.settings_watch.run(),
        _record_refusals(program),
        forget_expired(program),
        forget_answers(program),
        program.mail.run(),
    )


async def _hear_of_schemas(program: Program) -> None:
    """``NOTIFY pgrst`` reloads the schema, as users of PostgREST expect; the epoch does it anyway."""
    async for payloads in notifications(program.target.login_conninfo(SYSTEM_LOGIN), "pgrst"):
        program.pools.forget_plans()
        if payloads != {"reload config"}:
            with contextlib.suppress(FluxbaseError):
                await program.snapshots.reload(program.registry.default.id)


async def _watch_roles(program: Program) -> None:
    """GRANT of a role and ALTER ROLE fire no event trigger, and PostgreSQL keeps plans made for the old memberships."""
    known = ""
    while True:
        with contextlib.suppress(FluxbaseError):
            async with program.sessions(MAIN, reason="have roles changed") as tx:
                found = await role_fingerprint(tx)
            if found != known and known:
                program.pools.forget_plans()
                program.snapshots.forget_all_but(program.registry.default.id)
                await program.snapshots.reload(program.registry.default.id)
            known = found
        await asyncio.sleep(ROLE_SECONDS)


async def _refresh_tenants(program: Program) -> None:
    """One query for all tenants in use, so that a fleet asks the main database no more often than a single one."""

    async def look_up_again(tenants: list[TenantId]) -> dict[TenantId, tuple[Tenant, tuple[str, ...]]]:
        async with program.sessions(MAIN, reason="look tenants up again", is_single=True) as tx:
            return await select_served_again(tx, tenants)

    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        with contextlib.suppress(FluxbaseError):
            await program.registry.refresh(look_up_again)


async def _write_uses(program: Program) -> None:
    """When keys were last used: a batch every few seconds, so that a busy key costs no write a request."""
    while True:
        await asyncio.sleep(USES_SECONDS)
        with contextlib.suppress(FluxbaseError):
            await program.api_keys.write_uses()


async def _watch_catalogues(program: Program) -> None:
    """Where event triggers are forbidden nothing moves the schema epoch: ask every second whether something changed."""
    is_needed = True
    while is_needed:
        for tenant_id in program.tenants_in_use():
            with contextlib.suppress(FluxbaseError):
                async with program.sessions(tenant_id, reason="notice changes of the schema") as tx:
                    is_needed = await notice_changes(tx)
        await asyncio.sleep(1)


async def _record_refusals(program: Program) -> None:
    """Refused requests become rows of the audit, a batch at a time."""
    if program.refusals is not None:
        await program.refusals.run()

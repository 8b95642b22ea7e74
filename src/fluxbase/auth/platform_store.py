"""The SQL of platform administrators: assignments, set-up token, invitations, entries into tenants. Runs as ``fluxbase_system``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId

Row = dict[str, Any]
_TIME = """to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_INVITATION = (
    "json_build_object('id', id, 'email', email, 'role', role, 'tenant_id', for_tenant, 'invited_by', invited_by, "
    f"'created_at', {_TIME.format('created_at')}, 'expires_at', {_TIME.format('expires_at')}, "
    f"'accepted_at', {_TIME.format('accepted_at')}, 'is_expired', expires_at <= now())::text"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an administrator's living session is good for."""

    role: str
    is_assigned: bool
    """To the tenant that was asked about."""
    aal: str
    has_factor: bool


async def select_standing(tx: SystemTx, home: TenantId, user: str, session: str, tenant: TenantId | None) -> Standing | None:
    """An administrator whose session lives; None when it is over."""
    rows = await tx.fetch(
        "select u.role, exists (select from platform.tenant_admins a where a.user_id = u.id and a.tenant_id = $4::text::uuid)::text, "
        "s.aal, exists (select from auth.factors f where f.tenant_id = u.tenant_id and f.user_id = u.id and f.status = 'verified' "
        "and f.factor_type <> 'recovery_code')::text "
        "from auth.users u join auth.sessions s on s.tenant_id = u.tenant_id and s.user_id = u.id "
        "where u.tenant_id = $1::text::uuid and u.id = $2::text::uuid and s.id = $3::text::uuid and s.ended_at is null "
        "and s.expires_at > now() and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())",
        home, user, session, tenant,
    )  # fmt: skip
    return Standing(rows[0][0], rows[0][1] == "true", rows[0][2], rows[0][3] == "true") if rows else None


async def enter(tx: SystemTx, tenant: TenantId, user: str, session: str, address: str) -> str | None:
    """The row of an administrator's session in this tenant's database, made once; None when it was ended there."""
    rows = await tx.fetch(
        "insert into auth.platform_entries as e (tenant_id, user_id, platform_session, address) "
        "values ($1::text::uuid, $2::text::uuid, $3::text::uuid, $4::text) "
        "on conflict (tenant_id, platform_session) do update set address = excluded.address where e.ended_at is null returning e.id::text",
        tenant, user, session, address,
    )  # fmt: skip
    return rows[0][0] if rows else None


async def count_admins(tx: SystemTx, home: TenantId) -> int:
    """Instance administrators there are; those who count take turns."""
    await tx.fetch("select pg_advisory_xact_lock(hashtext('fluxbase.platform'))::text")
    rows = await tx.fetch(
        "select count(*)::text from auth.users where tenant_id = $1::text::uuid and role = 'instance_admin' and deleted_at is null", home
    )
    return int(rows[0][0])


async def put_setup_token(tx: SystemTx, digest: bytes) -> None:
    """The newest is the only one."""
    await tx.fetch(
        "insert into platform.setup_token (token_hash) values (decode($1::text, 'hex')) "
        "on conflict (is_only) do update set token_hash = excluded.token_hash, created_at = now() returning 1",
        digest.hex(),
    )


async def use_setup_token(tx: SystemTx, digest: bytes) -> bool:
    """Consume it: true once."""
    return bool(await tx.fetch("delete from platform.setup_token where token_hash = decode($1::text, 'hex') returning 1", digest.hex()))


async def assign(tx: SystemTx, tenant: TenantId, user: str, actor: str) -> None:
    """Make somebody an administrator of a tenant."""
    await tx.fetch(
        "insert into platform.tenant_admins (tenant_id, user_id, assigned_by) values ($1::text::uuid, $2::text::uuid, $3::text) "
        "on conflict do nothing returning 1",
        tenant, user, actor,
    )  # fmt: skip


async def unassign(tx: SystemTx, tenant: TenantId, user: str) -> bool:
    """He administers it no more."""
    rows = await tx.fetch(
        "delete from platform.tenant_admins where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning 1", tenant, user
    )
    return bool(rows)


async def unassign_all(tx: SystemTx, user: str) -> None:
    """He administers no tenant any more."""
    await tx.fetch("delete from platform.tenant_admins where user_id = $1::text::uuid returning 1", user)


async def select_assigned(tx: SystemTx, tenant: TenantId) -> list[Row]:
    """Administrators of a tenant."""
    rows = await tx.fetch(
        f"select json_build_object('tenant_id', tenant_id, 'user_id', user_id, 'role', 'tenant_admin', 'assigned_by', assigned_by, "  # noqa: S608 - constant
        f"'assigned_at', {_TIME.format('assigned_at')}, 'created_at', {_TIME.format('assigned_at')})::text "
        "from platform.tenant_admins where tenant_id = $1::text::uuid order by assigned_at, user_id",
        tenant,
    )
    return [orjson.loads(row[0]) for row in rows]


async def select_tenants_of(tx: SystemTx, user: str) -> list[str]:
    """Ids of the tenants somebody is assigned to."""
    rows = await tx.fetch("select tenant_id::text from platform.tenant_admins where user_id = $1::text::uuid order by 1", user)
    return [row[0] for row in rows]


async def insert_invitation(tx: SystemTx, digest: bytes, email: str, role: str, tenant: str | None, actor: str, hours: int) -> Row:
    """Only the hash of its token is stored."""
    rows = await tx.fetch(
        "insert into platform.invitations (token_hash, email, role, for_tenant, invited_by, expires_at) "  # noqa: S608 - constant
        "values (decode($1::text, 'hex'), $2::text, $3::text, $4::text::uuid, $5::text, now() + make_interval(hours => $6::text::int)) "
        f"returning {_INVITATION}",
        digest.hex(), email, role, tenant, actor, str(hours),
    )  # fmt: skip
    return orjson.loads(rows[0][0])


async def select_invitations(tx: SystemTx, tenant: TenantId | None) -> list[Row]:
    """All, or those into one tenant."""
    rows = await tx.fetch(
        f"select {_INVITATION} from platform.invitations where $1::text is null or for_tenant = $1::text::uuid "  # noqa: S608 - constant
        "order by created_at desc limit 1000",
        tenant,
    )
    return [orjson.loads(row[0]) for row in rows]


async def select_open_invitation(tx: SystemTx, digest: bytes) -> Row | None:
    """One that can be accepted now."""
    rows = await tx.fetch(
        f"select {_INVITATION} from platform.invitations where token_hash = decode($1::text, 'hex') "  # noqa: S608 - constant
        "and accepted_at is null and expires_at > now()",
        digest.hex(),
    )
    return orjson.loads(rows[0][0]) if rows else None


async def use_invitation(tx: SystemTx, digest: bytes) -> Row | None:
    """Consume it: the row once, None ever after."""
    rows = await tx.fetch(
        "update platform.invitations set accepted_at = now() where token_hash = decode($1::text, 'hex') and accepted_at is null "  # noqa: S608
        f"and expires_at > now() returning {_INVITATION}",
        digest.hex(),
    )
    return orjson.loads(rows[0][0]) if rows else None


async def delete_invitation(tx: SystemTx, digest: bytes | None, invitation: str | None, tenant: TenantId | None) -> bool:
    """By token or by id; with a tenant only one into it."""
    rows = await tx.fetch(
        "delete from platform.invitations where (token_hash = decode($1::text, 'hex') or id = $2::text::uuid) "
        "and ($3::text is null or for_tenant = $3::text::uuid) returning 1",
        None if digest is None else digest.hex(), invitation, tenant,
    )  # fmt: skip
    return bool(rows)

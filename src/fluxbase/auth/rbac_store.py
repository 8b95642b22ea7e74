"""The SQL of roles, organisations and teams. Runs as ``fluxbase_system``; every statement names the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId

Row = dict[str, Any]
_TIME = """to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_CREATED = _TIME.format("created_at")
_ROLE = f"json_build_object('name', name, 'description', description, 'permissions', permissions, 'created_at', {_CREATED})::text"
_ORGANISATION = (
    "json_build_object('id', o.id, 'slug', o.slug, 'name', o.name, 'metadata', o.metadata, 'created_by', o.created_by, "
    f"'created_at', {_TIME.format('o.created_at')}, 'updated_at', {_TIME.format('o.updated_at')})::text"
)
_TEAM = f"json_build_object('id', id, 'organisation_id', organisation_id, 'name', name, 'role', role, 'created_at', {_CREATED})::text"
_MEMBER = f"json_build_object('user_id', user_id, 'role', role, 'created_at', {_CREATED})::text"


async def select_grants(tx: SystemTx, tenant: TenantId, user: str) -> Row:
    """What a user holds, and its epoch."""
    rows = await tx.fetch("select fluxbase.grants_of($1::text::uuid, $2::text::uuid)::text", tenant, user)
    return orjson.loads(rows[0][0])


async def _all(tx: SystemTx, sql: str, *params: object) -> list[Row]:
    return [orjson.loads(row[0]) for row in await tx.fetch(sql, *params)]


async def _one(tx: SystemTx, sql: str, *params: object) -> Row | None:
    found = await _all(tx, sql, *params)
    return found[0] if found else None


# -- roles ----------------------------------------------------------------------------------------------------------------


async def select_roles(tx: SystemTx, tenant: TenantId) -> list[Row]:
    """Every role of the tenant."""
    return await _all(tx, f"select {_ROLE} from auth.roles where tenant_id = $1::text::uuid order by name", tenant)  # noqa: S608 - constant


async def select_role(tx: SystemTx, tenant: TenantId, name: str) -> Row | None:
    """One role."""
    sql = f"select {_ROLE} from auth.roles where tenant_id = $1::text::uuid and name = $2::text"  # noqa: S608 - constant
    return await _one(tx, sql, tenant, name)


async def upsert_role(
    tx: SystemTx, tenant: TenantId, name: str, description: str, permissions: list[str], *, keeps: bool = False
) -> Row | None:
    """Write a role; ``keeps``: leave one that exists as it is, and give None."""
    clash = (
        "do nothing"
        if keeps
        else "do update set description = excluded.description, permissions = excluded.permissions, updated_at = now()"
    )
    return await _one(
        tx,
        "insert into auth.roles (tenant_id, name, description, permissions) "  # noqa: S608 - constants
        "select $1::text::uuid, $2::text, $3::text, coalesce(array_agg(p), '{}') from json_array_elements_text($4::text::json) p "
        f"on conflict (tenant_id, name) {clash} returning {_ROLE}",
        tenant, name, description, orjson.dumps(permissions).decode(),
    )  # fmt: skip


async def delete_role(tx: SystemTx, tenant: TenantId, name: str) -> bool:
    """Take a role away from the tenant and from everybody who has it."""
    return bool(await tx.fetch("delete from auth.roles where tenant_id = $1::text::uuid and name = $2::text returning name", tenant, name))


async def select_assignments(tx: SystemTx, tenant: TenantId, user: str) -> list[str]:
    """Names of a user's tenant-wide roles."""
    rows = await tx.fetch(
        "select role from auth.role_assignments where tenant_id = $1::text::uuid and user_id = $2::text::uuid order by role", tenant, user
    )
    return [row[0] for row in rows]


async def assign_role(tx: SystemTx, tenant: TenantId, user: str, role: str) -> None:
    """Give a role for the whole tenant; given twice it is given once."""
    await tx.fetch(
        "insert into auth.role_assignments (tenant_id, user_id, role) values ($1::text::uuid, $2::text::uuid, $3::text) "
        "on conflict do nothing returning role",
        tenant, user, role,
    )  # fmt: skip


async def unassign_role(tx: SystemTx, tenant: TenantId, user: str, role: str) -> bool:
    """Take it back."""
    rows = await tx.fetch(
        "delete from auth.role_assignments where tenant_id = $1::text::uuid and user_id = $2::text::uuid and role = $3::text "
        "returning role",
        tenant, user, role,
    )  # fmt: skip
    return bool(rows)


async def forget_user(tx: SystemTx, tenant: TenantId, user: str) -> None:
    """Out of every role, organisation and team. An organisation whose last owner he was is the tenant's administrators' to mend."""
    await tx.fetch(
        "with taken as (delete from auth.role_assignments where tenant_id = $1::text::uuid and user_id = $2::text::uuid) "
        "delete from auth.memberships where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning user_id::text",
        tenant, user,
    )  # fmt: skip


# -- organisations --------------------------------------------------------------------------------------------------------


async def select_organisations(tx: SystemTx, tenant: TenantId, user: str | None, *, limit: int, offset: int) -> list[Row]:
    """Those of a user, or with None all of the tenant."""
    return await _all(
        tx,
        f"select {_ORGANISATION} from auth.organisations o where o.tenant_id = $1::text::uuid and ($2::text is null or exists "  # noqa: S608 - constant
        "(select from auth.memberships m where m.tenant_id = o.tenant_id and m.organisation_id = o.id and m.user_id = $2::text::uuid)) "
        "order by o.slug limit $3::text::int offset $4::text::int",
        tenant, user, str(limit), str(offset),
    )  # fmt: skip


async def select_organisation(tx: SystemTx, tenant: TenantId, organisation: str) -> Row | None:
    """One of them, locked against changes of its members: who owns it is decided by one request at a time."""
    return await _one(
        tx,
        f"select {_ORGANISATION} from auth.organisations o where o.tenant_id = $1::text::uuid and o.id = $2::text::uuid for update",  # noqa: S608
        tenant, organisation,
    )  # fmt: skip


async def select_organisation_named(tx: SystemTx, tenant: TenantId, slug: str) -> Row | None:
    """One of them by its slug."""
    return await _one(
        tx,
        f"select {_ORGANISATION} from auth.organisations o where o.tenant_id = $1::text::uuid and o.slug = $2::text",  # noqa: S608 - constant
        tenant, slug,
    )  # fmt: skip


async def insert_organisation(tx: SystemTx, tenant: TenantId, slug: str, name: str, metadata: Row, created_by: str | None) -> Row | None:
    """None: the slug is taken."""
    return await _one(
        tx,
        "insert into auth.organisations as o (tenant_id, slug, name, metadata, created_by) "  # noqa: S608 - constant
        "values ($1::text::uuid, $2::text, $3::text, $4::text::jsonb, $5::text::uuid) "
        f"on conflict (tenant_id, slug) do nothing returning {_ORGANISATION}",
        tenant, slug, name, orjson.dumps(metadata).decode(), created_by,
    )  # fmt: skip


async def count_created(tx: SystemTx, tenant: TenantId, user: str) -> int:
    """How many organisations a user has made that still exist. Makers of the same user take turns."""
    await tx.fetch("select pg_advisory_xact_lock(hashtextextended('organisations ' || $1::text || $2::text, 0))::text", tenant, user)
    rows = await tx.fetch(
        "select count(*)::text from auth.organisations where tenant_id = $1::text::uuid and created_by = $2::text::uuid", tenant, user
    )
    return int(rows[0][0])


async def update_organisation(tx: SystemTx, tenant: TenantId, organisation: str, name: str | None, metadata: Row | None) -> Row | None:
    """Change name and metadata; None leaves a member as it is."""
    return await _one(
        tx,
        "update auth.organisations o set name = coalesce($3::text, name), metadata = coalesce($4::text::jsonb, metadata), "  # noqa: S608 - constant
        f"updated_at = now() where o.tenant_id = $1::text::uuid and o.id = $2::text::uuid returning {_ORGANISATION}",
        tenant, organisation, name, None if metadata is None else orjson.dumps(metadata).decode(),
    )  # fmt: skip


async def delete_organisation(tx: SystemTx, tenant: TenantId, organisation: str) -> None:
    """With its teams and memberships."""
    await tx.fetch(
        "delete from auth.organisations where tenant_id = $1::text::uuid and id = $2::text::uuid returning id::text", tenant, organisation
    )


# -- members and teams ----------------------------------------------------------------------------------------------------


async def select_members(tx: SystemTx, tenant: TenantId, organisation: str) -> list[Row]:
    """Members of an organisation."""
    return await _all(
        tx,
        f"select {_MEMBER} from auth.memberships where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid "  # noqa: S608 - constant
        "order by created_at, user_id limit 1000",
        tenant, organisation,
    )  # fmt: skip


async def upsert_member(tx: SystemTx, tenant: TenantId, organisation: str, user: str, role: str | None) -> Row | None:
    """Make a user a member, or change his role."""
    return await _one(
        tx,
        "insert into auth.memberships (tenant_id, organisation_id, user_id, role) "  # noqa: S608 - constant
        "values ($1::text::uuid, $2::text::uuid, $3::text::uuid, $4::text) "
        f"on conflict (tenant_id, organisation_id, user_id) do update set role = excluded.role returning {_MEMBER}",
        tenant, organisation, user, role,
    )  # fmt: skip


async def delete_member(tx: SystemTx, tenant: TenantId, organisation: str, user: str) -> bool:
    """Out of the organisation and its teams."""
    rows = await tx.fetch(
        "delete from auth.memberships where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid and user_id = $3::text::uuid "
        "returning user_id::text",
        tenant, organisation, user,
    )  # fmt: skip
    return bool(rows)


async def select_teams(tx: SystemTx, tenant: TenantId, organisation: str) -> list[Row]:
    """Teams of an organisation."""
    return await _all(
        tx,
        f"select {_TEAM} from auth.teams where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid order by name",  # noqa: S608
        tenant, organisation,
    )  # fmt: skip


async def insert_team(tx: SystemTx, tenant: TenantId, organisation: str, name: str, role: str | None) -> Row | None:
    """None: the name is taken."""
    return await _one(
        tx,
        "insert into auth.teams (tenant_id, organisation_id, name, role) values ($1::text::uuid, $2::text::uuid, $3::text, $4::text) "  # noqa: S608
        f"on conflict (tenant_id, organisation_id, name) do nothing returning {_TEAM}",
        tenant, organisation, name, role,
    )  # fmt: skip


async def select_team(tx: SystemTx, tenant: TenantId, organisation: str, team: str) -> Row | None:
    """A team of this organisation."""
    return await _one(
        tx,
        f"select {_TEAM} from auth.teams where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid and id = $3::text::uuid",  # noqa: S608
        tenant, organisation, team,
    )  # fmt: skip


async def delete_team(tx: SystemTx, tenant: TenantId, organisation: str, team: str) -> bool:
    """A team of this organisation, with its memberships."""
    rows = await tx.fetch(
        "delete from auth.teams where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid and id = $3::text::uuid "
        "returning id::text",
        tenant, organisation, team,
    )  # fmt: skip
    return bool(rows)


async def insert_team_member(tx: SystemTx, tenant: TenantId, organisation: str, team: str, user: str) -> bool:
    """False when he is no member of the organisation."""
    rows = await tx.fetch(
        "insert into auth.team_members (tenant_id, team_id, organisation_id, user_id) "
        "select m.tenant_id, $3::text::uuid, m.organisation_id, m.user_id from auth.memberships m "
        "where m.tenant_id = $1::text::uuid and m.organisation_id = $2::text::uuid and m.user_id = $4::text::uuid "
        "on conflict (tenant_id, team_id, user_id) do update set user_id = excluded.user_id returning user_id::text",
        tenant, organisation, team, user,
    )  # fmt: skip
    return bool(rows)


async def delete_team_member(tx: SystemTx, tenant: TenantId, organisation: str, team: str, user: str) -> bool:
    """Out of the team."""
    rows = await tx.fetch(
        "delete from auth.team_members where tenant_id = $1::text::uuid and organisation_id = $2::text::uuid and team_id = $3::text::uuid "
        "and user_id = $4::text::uuid returning user_id::text",
        tenant, organisation, team, user,
    )  # fmt: skip
    return bool(rows)

"""The SQL of impersonations. Runs as ``fluxbase_system``; every statement names the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import SessionId, TenantId, UserId

Row = dict[str, Any]
_TIME = """to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_COLUMNS = (
    "json_build_object('id', id, 'tenant_id', tenant_id, 'admin_user_id', admin_user_id, 'target_user_id', target_user_id, "
    "'impersonation_type', impersonation_type, 'target_role', target_role, 'reason', reason, 'ip_address', ip_address, "
    f"'user_agent', user_agent, 'started_at', {_TIME.format('started_at')}, 'ended_at', {_TIME.format('ended_at')}, "
    "'is_active', ended_at is null and expires_at > now())::text"
)


async def insert_impersonation(tx: SystemTx, tenant: TenantId, row: Row, seconds: int) -> Row:
    """Write that it begins."""
    rows = await tx.fetch(
        "insert into auth.impersonations (tenant_id, id, admin_user_id, target_user_id, impersonation_type, target_role, reason, "  # noqa: S608
        "ip_address, user_agent, expires_at) select $1::text::uuid, r.id, r.admin_user_id, r.target_user_id, r.impersonation_type, "
        "r.target_role, r.reason, r.ip_address, r.user_agent, now() + make_interval(secs => $3::text::int) "
        f"from jsonb_populate_record(null::auth.impersonations, $2::text::jsonb) r returning {_COLUMNS}",
        tenant, orjson.dumps(row).decode(), str(seconds),
    )  # fmt: skip
    return orjson.loads(rows[0][0])


async def end_impersonations(tx: SystemTx, tenant: TenantId, admin: str, only: str | None) -> list[tuple[SessionId, UserId | None]]:
    """End those of an administrator that go on, or one of them; their ids, and as whom."""
    rows = await tx.fetch(
        "update auth.impersonations set ended_at = now() where tenant_id = $1::text::uuid and admin_user_id = $2::text::uuid "
        "and ended_at is null and ($3::text is null or id = $3::text::uuid) returning id::text, target_user_id::text",
        tenant, admin, only,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def select_current(tx: SystemTx, tenant: TenantId, admin: str) -> Row | None:
    """What an administrator is at now."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from auth.impersonations where tenant_id = $1::text::uuid and admin_user_id = $2::text::uuid "  # noqa: S608 - constant
        "and ended_at is null and expires_at > now() order by started_at desc limit 1",
        tenant, admin,
    )  # fmt: skip
    return orjson.loads(rows[0][0]) if rows else None


async def select_history(tx: SystemTx, tenant: TenantId, *, limit: int, offset: int) -> list[Row]:
    """All of the tenant, newest first."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from auth.impersonations where tenant_id = $1::text::uuid order by started_at desc, id "  # noqa: S608 - constant
        "limit $2::text::int offset $3::text::int",
        tenant, str(limit), str(offset),
    )  # fmt: skip
    return [orjson.loads(row[0]) for row in rows]

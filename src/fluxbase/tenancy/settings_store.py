"""The SQL of ``platform.tenant_settings``. Runs as ``fluxbase_system`` in the tenant's database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """One row: a value, or a sealed secret."""

    key: str
    value: Any
    sealed: bytes | None
    updated_at: str
    updated_by: str


async def lock(tx: Any, tenant: TenantId) -> None:
    """One change of a tenant's settings at a time: each is judged together with what stands there."""
    await tx.fetch("select pg_advisory_xact_lock(hashtext('fluxbase.settings:' || $1::text))::text", tenant)


async def select_settings(tx: Any, tenant: TenantId) -> list[StoredSetting]:
    """Everything the tenant has otherwise, by key."""
    rows = await tx.fetch(
        "select key, value::text, encode(sealed, 'hex'), "
        "to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), updated_by "
        "from platform.tenant_settings where tenant_id = $1::text::uuid order by key",
        tenant,
    )
    return [
        StoredSetting(key, None if value is None else orjson.loads(value), None if sealed is None else bytes.fromhex(sealed), at, by)
        for key, value, sealed, at, by in rows
    ]


async def put_setting(tx: Any, tenant: TenantId, key: str, *, value: Any = None, sealed: bytes | None = None, actor: str) -> None:
    """Write one."""
    await tx.fetch(
        "insert into platform.tenant_settings (tenant_id, key, value, sealed, updated_by) "
        "values ($1::text::uuid, $2::text, $3::text::jsonb, decode($4::text, 'hex'), $5::text) "
        "on conflict (tenant_id, key) do update set value = excluded.value, sealed = excluded.sealed, updated_by = excluded.updated_by, "
        "updated_at = now() returning key",
        tenant, key, None if sealed is not None else orjson.dumps(value).decode(), None if sealed is None else sealed.hex(), actor,
    )  # fmt: skip


async def delete_setting(tx: Any, tenant: TenantId, key: str) -> bool:
    """Back to what file and variables say; False when it was not there."""
    rows = await tx.fetch(
        "delete from platform.tenant_settings where tenant_id = $1::text::uuid and key = $2::text returning key", tenant, key
    )
    return bool(rows)


async def deny(tx: Any, deny_key: str, reason: str) -> None:
    """Refuse every credential that carries the key from the commit on, on every node."""
    await tx.fetch(
        "insert into auth.denylist (key, reason) values ($1::text, $2::text) on conflict (key) do nothing returning key", deny_key, reason
    )


async def allow(tx: Any, deny_key: str) -> None:
    """Undo it: a secret is in use again."""
    await tx.fetch("delete from auth.denylist where key = $1::text returning key", deny_key)


async def tell(tx: Any, tenant: TenantId) -> None:
    """Tell every worker of the instance, in the main database."""
    await tx.fetch("select pg_notify('fluxbase_settings', $1::text)::text", tenant)

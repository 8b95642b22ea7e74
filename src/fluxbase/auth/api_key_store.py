"""The SQL of issued keys: ``auth.api_keys``. Runs as ``fluxbase_system``; every statement names the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId

Row = dict[str, Any]
_TIMES = ("created_at", "updated_at", "last_used_at", "expires_at", "revoked_at", "deprecated_at", "grace_period_ends_at")
_PLAIN = (
    "id", "kind", "role", "name", "description", "key_prefix", "user_id", "scopes", "tables", "networks", "rate_limit_per_minute",
    "rate_limit_per_hour", "is_enabled", "version", "created_by", "revoked_by", "revocation_reason", "replaced_by",
)  # fmt: skip
_COLUMNS = (
    "json_build_object("
    + ", ".join(f"'{name}', {name}" for name in _PLAIN)
    + ", "
    + ", ".join(f"""'{name}', to_char({name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""" for name in _TIMES)
    + ", 'ends_at', extract(epoch from least(expires_at, grace_period_ends_at)))::text"
)


async def _all(tx: SystemTx, sql: str, *params: object) -> list[Row]:
    return [orjson.loads(row[0]) for row in await tx.fetch(sql, *params)]


async def select_by_hash(tx: SystemTx, tenant: TenantId, digest: bytes) -> Row | None:
    """The key of a presented text, whatever its state."""
    rows = await _all(
        tx,
        f"select {_COLUMNS} from auth.api_keys where tenant_id = $1::text::uuid and key_hash = decode($2::text, 'hex')",  # noqa: S608 - constant
        tenant, digest.hex(),
    )  # fmt: skip
    return rows[0] if rows else None


async def select_keys(tx: SystemTx, tenant: TenantId, kind: str, user: str | None) -> list[Row]:
    """Keys of a kind, newest first: a user's, or with None everybody's."""
    return await _all(
        tx,
        f"select {_COLUMNS} from auth.api_keys where tenant_id = $1::text::uuid and kind = $2::text "  # noqa: S608 - constant
        "and ($3::text is null or user_id = $3::text::uuid) order by created_at desc, id limit 1000",
        tenant, kind, user,
    )  # fmt: skip


async def count_keys(tx: SystemTx, tenant: TenantId, user: str) -> int:
    """How many client keys a user has. Makers of the same user's keys take turns until their transactions end."""
    await tx.fetch("select pg_advisory_xact_lock(hashtextextended('client keys ' || $1::text || $2::text, 0))::text", tenant, user)
    rows = await tx.fetch(
        "select count(*)::text from auth.api_keys where tenant_id = $1::text::uuid and kind = 'client' and user_id = $2::text::uuid",
        tenant, user,
    )  # fmt: skip
    return int(rows[0][0])


async def select_key(tx: SystemTx, tenant: TenantId, kind: str, key: str) -> Row | None:
    """One key, locked until the transaction ends."""
    rows = await _all(
        tx,
        f"select {_COLUMNS} from auth.api_keys where tenant_id = $1::text::uuid and kind = $2::text and id = $3::text::uuid for update",  # noqa: S608
        tenant, kind, key,
    )  # fmt: skip
    return rows[0] if rows else None


async def insert_key(tx: SystemTx, tenant: TenantId, row: Row, digest: bytes) -> Row:
    """Write a new key; only its hash."""
    rows = await _all(
        tx,
        "insert into auth.api_keys (tenant_id, key_hash, kind, role, name, description, key_prefix, user_id, scopes, tables, networks, "  # noqa: S608
        "rate_limit_per_minute, rate_limit_per_hour, created_by, expires_at) "
        "select $1::text::uuid, decode($2::text, 'hex'), r.kind, r.role, r.name, r.description, r.key_prefix, r.user_id, r.scopes, "
        "nullif(r.tables, 'null'::jsonb), r.networks, r.rate_limit_per_minute, r.rate_limit_per_hour, r.created_by, r.expires_at "
        f"from jsonb_populate_record(null::auth.api_keys, $3::text::jsonb) r returning {_COLUMNS}",
        tenant, digest.hex(), orjson.dumps(row).decode(),
    )  # fmt: skip
    return rows[0]


async def update_key(tx: SystemTx, tenant: TenantId, key: str, change: Row, *, moves_version: bool) -> Row:
    """Write the named members; ``moves_version`` when what the key may do changes."""
    await tx.fetch(
        "update auth.api_keys k set name = r.name, description = r.description, scopes = r.scopes, "
        "tables = nullif(r.tables, 'null'::jsonb), networks = r.networks, rate_limit_per_minute = r.rate_limit_per_minute, "
        "rate_limit_per_hour = r.rate_limit_per_hour, expires_at = r.expires_at, is_enabled = r.is_enabled, "
        "version = k.version + $4::text::int, updated_at = now() "
        "from auth.api_keys old, jsonb_populate_record(old, $3::text::jsonb) r "
        "where k.id = $2::text::uuid and old.id = k.id and k.tenant_id = $1::text::uuid returning k.id::text",
        tenant, key, orjson.dumps(change).decode(), "1" if moves_version else "0",
    )  # fmt: skip
    sql = f"select {_COLUMNS} from auth.api_keys where tenant_id = $1::text::uuid and id = $2::text::uuid"  # noqa: S608 - constant
    return (await _all(tx, sql, tenant, key))[0]


async def revoke_key(tx: SystemTx, tenant: TenantId, key: str, actor: str, reason: str) -> bool:
    """Refuse it from the commit on; once."""
    rows = await tx.fetch(
        "update auth.api_keys set revoked_at = now(), revoked_by = $3::text, revocation_reason = $4::text, updated_at = now() "
        "where tenant_id = $1::text::uuid and id = $2::text::uuid and revoked_at is null returning id::text",
        tenant, key, actor, reason,
    )  # fmt: skip
    return bool(rows)


async def deprecate_key(tx: SystemTx, tenant: TenantId, key: str, hours: int, replaced_by: str | None) -> None:
    """Valid for some hours more."""
    await tx.fetch(
        "update auth.api_keys set deprecated_at = coalesce(deprecated_at, now()), replaced_by = coalesce($4::text::uuid, replaced_by), "
        "grace_period_ends_at = now() + make_interval(hours => $3::text::int), updated_at = now() "
        "where tenant_id = $1::text::uuid and id = $2::text::uuid returning id::text",
        tenant, key, str(hours), replaced_by,
    )  # fmt: skip


async def delete_key(tx: SystemTx, tenant: TenantId, key: str) -> None:
    """Take the row away; the key stays denied."""
    await tx.fetch("delete from auth.api_keys where tenant_id = $1::text::uuid and id = $2::text::uuid returning id::text", tenant, key)


async def delete_keys_of(tx: SystemTx, tenant: TenantId, user: str) -> None:
    """A user's client keys; they stay denied."""
    await tx.fetch("delete from auth.api_keys where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning 1", tenant, user)


async def touch_keys(tx: SystemTx, tenant: TenantId, uses: dict[str, tuple[float, str]]) -> None:
    """When and from where keys were last used, many in one statement."""
    await tx.fetch(
        "update auth.api_keys k set last_used_at = greatest(k.last_used_at, to_timestamp(u.at)), last_used_address = u.address "
        "from json_to_recordset($2::text::json) u(id uuid, at float8, address text) "
        "where k.tenant_id = $1::text::uuid and k.id = u.id returning k.id::text",
        tenant, orjson.dumps([{"id": key, "at": at, "address": address} for key, (at, address) in uses.items()]).decode(),
    )  # fmt: skip

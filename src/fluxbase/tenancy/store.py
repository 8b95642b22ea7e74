"""The SQL of tenants. The register stands in the main database; freezing is a row of the tenant's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.tenancy.registry import Tenant

if TYPE_CHECKING:
    from fluxbase.tenancy.registry import Isolation, Key


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A line of the register, as administrators see it."""

    id: TenantId
    slug: str
    name: str
    database: DatabaseName
    status: str
    is_default: bool
    metadata: dict[str, object]
    hosts: tuple[str, ...]
    step: str | None
    failure: str | None
    isolation: Isolation
    created_at: str
    updated_at: str
    deleted_at: str | None

    def public(self) -> dict[str, object]:
        """The members of contract-native 2.9."""
        row: dict[str, object] = {
            "id": self.id, "slug": self.slug, "name": self.name, "db_name": self.database, "status": self.status,
            "isolation": self.isolation, "is_default": self.is_default, "metadata": self.metadata, "hosts": list(self.hosts),
            "created_at": self.created_at,            "updated_at": self.updated_at, "deleted_at": self.deleted_at,
        }  # fmt: skip
        if self.status == "error":
            row |= {"failed_step": self.step, "failure": self.failure}
        return row


_COLUMNS = (
    "id::text, slug, name, db_name, status, is_default, metadata::text, array_to_json(hosts)::text, step, failure, isolation, "
    "to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "to_char(deleted_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
)
_WHERE = {"id": "id = $1::text::uuid", "slug": "slug = $1::text", "locator": "locator = $1::text", "host": "hosts @> array[$1::text]"}


def _row(values: tuple[Any, ...]) -> TenantRow:
    id_, slug, name, database, status, is_default, metadata, hosts, step, failure, isolation, *times = values
    created_at, updated_at, deleted_at = times
    return TenantRow(
        TenantId(id_), slug, name, DatabaseName(database), status, bool(is_default), orjson.loads(metadata), tuple(orjson.loads(hosts)),
        step, failure, isolation, created_at, updated_at, deleted_at,
    )  # fmt: skip


async def select_default(tx: Any) -> Tenant:
    """The default tenant of the main database."""
    rows = await tx.fetch("select id::text, slug, db_name, coalesce(locator, '') from platform.tenants where is_default")
    tenant_id, slug, database, locator = rows[0]
    return Tenant(TenantId(tenant_id), slug, DatabaseName(database), locator, is_default=True)


async def select_served(tx: Any, key: Key, value: str) -> Tenant | None:
    """The tenant of a key when it may be served: active and not deleted."""
    rows = await tx.fetch(
        f"select id::text, slug, db_name, coalesce(locator, ''), is_default, isolation from platform.tenants "  # noqa: S608 - one of four constants
        f"where {_WHERE[key]} and status = 'active' and deleted_at is null",
        value,
    )
    if not rows:
        return None
    tenant_id, slug, database, locator, is_default, isolation = rows[0]
    return Tenant(TenantId(tenant_id), slug, DatabaseName(database), locator, bool(is_default), isolation)


async def select_served_again(tx: Any, tenants: list[TenantId]) -> dict[TenantId, tuple[Tenant, tuple[str, ...]]]:
    """Those of the tenants that may still be served, with their hosts."""
    rows = await tx.fetch(
        "select id::text, slug, db_name, coalesce(locator, ''), is_default, isolation, array_to_json(hosts)::text from platform.tenants "
        "where id = any($1::text[]::uuid[]) and status = 'active' and deleted_at is null",
        list(tenants),
    )
    return {
        TenantId(id_): (
            Tenant(TenantId(id_), slug, DatabaseName(database), locator, bool(is_default), isolation),
            tuple(orjson.loads(hosts)),
        )
        for id_, slug, database, locator, is_default, isolation, hosts in rows
    }


async def select_tenants(tx: Any, *, with_deleted: bool = False) -> list[TenantRow]:
    """The register, in order of slugs."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from platform.tenants where $1::text = 'all' or deleted_at is null order by slug",  # noqa: S608 - constant columns
        "all" if with_deleted else "live",
    )
    return [_row(values) for values in rows]


async def select_tenant(tx: Any, key: Key, value: str) -> TenantRow | None:
    """One line of the register, whatever its status."""
    rows = await tx.fetch(f"select {_COLUMNS} from platform.tenants where {_WHERE[key]}", value)  # noqa: S608 - constants
    return _row(rows[0]) if rows else None


async def insert_tenant(tx: Any, row: TenantRow, locator: str, *, most: int) -> bool | None:
    """Write a line with status ``creating``. False: the slug is taken; None: there are ``most`` tenants already.

    The lock makes two makers of the same slug take turns: one wins, the other is told.
    """
    await tx.fetch("select pg_advisory_xact_lock(hashtext('fluxbase.tenants'))::text")
    count = await tx.fetch("select count(*)::text from platform.tenants where deleted_at is null and not is_default")
    if int(count[0][0]) >= most:
        return None
    rows = await tx.fetch(
        "insert into platform.tenants (id, slug, name, db_name, status, metadata, hosts, locator, isolation) "
        "values ($1::text::uuid, $2::text, $3::text, $4::text, 'creating', $5::text::jsonb, "
        "(select coalesce(array_agg(h), '{}') from json_array_elements_text($6::text::json) h), $7::text, $8::text) "
        "on conflict (slug) do nothing returning id::text",
        row.id, row.slug, row.name, row.database, orjson.dumps(row.metadata).decode(), orjson.dumps(list(row.hosts)).decode(), locator,
        row.isolation,
    )  # fmt: skip
    return bool(rows)


async def mark(tx: Any, tenant: TenantId, *, status: str, step: str | None, failure: str | None = None, is_durable: bool = True) -> None:
    """Note how far the lifecycle has come. Not durable: a crash may lose it, where ``repair`` begins at the first step anyway."""
    if not is_durable:
        await tx.fetch("set local synchronous_commit = off")
    await tx.fetch(
        "update platform.tenants set status = $2::text, step = $3::text, failure = $4::text, updated_at = now() where id = $1::text::uuid "
        "returning id::text",
        tenant, status, step, failure,
    )  # fmt: skip


async def mark_deleted(tx: Any, tenant: TenantId, *, is_deleted: bool) -> None:
    """Soft delete, or its undoing."""
    await tx.fetch(
        "update platform.tenants set deleted_at = case when $2::text = 'yes' then now() end, updated_at = now() "
        "where id = $1::text::uuid returning id::text",
        tenant, "yes" if is_deleted else "no",
    )  # fmt: skip


async def update_tenant(tx: Any, tenant: TenantId, *, name: str | None, metadata: dict[str, object] | None) -> None:
    """Change what an administrator may change."""
    await tx.fetch(
        "update platform.tenants set name = coalesce($2::text, name), metadata = coalesce($3::text::jsonb, metadata), updated_at = now() "
        "where id = $1::text::uuid returning id::text",
        tenant, name, None if metadata is None else orjson.dumps(metadata).decode(),
    )  # fmt: skip


async def delete_tenant(tx: Any, tenant: TenantId) -> None:
    """Take the line out of the register."""
    await tx.fetch("delete from platform.tenants where id = $1::text::uuid and not is_default returning id::text", tenant)


async def set_locator(tx: Any, tenant: TenantId, locator: str) -> None:
    """The default tenant is made by SQL, which does not know how locators are computed."""
    await tx.fetch(
        "update platform.tenants set locator = $2::text where id = $1::text::uuid and locator is null returning id::text", tenant, locator
    )


async def set_frozen(tx: Any, *, is_frozen: bool) -> None:
    """In the tenant's own database: refuse every request from the commit on, or serve again."""
    await tx.fetch(
        "update fluxbase.epoch set is_frozen = ($1::text = 'yes'), freeze_epoch = freeze_epoch + 1 returning freeze_epoch::text",
        "yes" if is_frozen else "no",
    )


async def freeze_in_shared(tx: Any, tenant: TenantId, *, is_frozen: bool) -> None:
    """In a shared database: freeze this tenant alone (``fluxbase.admit`` looks for the key in the denylist)."""
    if is_frozen:
        await tx.fetch(
            "insert into auth.denylist (key, reason) values ($1::text, 'tenant frozen') on conflict (key) do nothing returning key",
            frozen_key(tenant),
        )
    else:
        await tx.fetch("delete from auth.denylist where key = $1::text returning key", frozen_key(tenant))


def frozen_key(tenant: TenantId) -> str:
    """The deny key that every principal of a tenant in a shared database carries."""
    return f"frozen:{tenant}"


async def select_identity_key(tx: Any) -> bytes:
    """The key that signs identities of the tenant's database."""
    rows = await tx.fetch("select encode(key, 'hex') from fluxbase.identity_key")
    return bytes.fromhex(rows[0][0])


async def notice_changes(tx: Any) -> bool:
    """Move the schema epoch when the catalogue changed; false where event triggers do that, so that nobody need ask again."""
    rows = await tx.fetch(
        "select fluxbase.notice_changes() "
        "where not exists (select from pg_event_trigger where evtname = 'fluxbase_ddl' and evtenabled <> 'D')"
    )
    return bool(rows)

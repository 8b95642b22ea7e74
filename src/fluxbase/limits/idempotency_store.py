"""SQL of the idempotency ledger: ``platform.idempotency`` in the tenant's own database."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fluxbase.db.session import SystemTx
    from fluxbase.kernel.ids import TenantId


class Entry(NamedTuple):
    """One attempt to carry out a request under a key."""

    tenant: TenantId
    owner: bytes
    key: bytes
    request: bytes
    claim: str


class Held(NamedTuple):
    """What stands under the key."""

    is_ours: bool
    """This attempt may carry the request out."""
    request: bytes
    answer: bytes | None
    is_overdue: bool
    """Committed, but its answer was never stored."""


_CLAIM = """
with held as materialized (
  select i.request, i.answer, i.answer is null and i.lease_ends_at < clock_timestamp() as is_overdue
    from platform.idempotency i
   where i.tenant_id = $1::text::uuid and i.owner = $2::bytea and i.key = $3::bytea and i.expires_at > clock_timestamp()
     and (i.answer is not null or i.lease_ends_at > clock_timestamp()
          or exists (select from platform.idempotency_done d where d.tenant_id = i.tenant_id and d.claim = i.claim))
), taken as (
  insert into platform.idempotency as old (tenant_id, owner, key, request, claim, lease_ends_at, expires_at)
  select $1::text::uuid, $2::bytea, $3::bytea, $4::bytea, $5::text::uuid,
         clock_timestamp() + make_interval(secs => $6::float8), clock_timestamp() + make_interval(secs => $7::float8)
   where not exists (select from held)
  on conflict (tenant_id, owner, key) do update
    set (request, claim, answer, lease_ends_at, expires_at)
      = (excluded.request, excluded.claim, null, excluded.lease_ends_at, excluded.expires_at)
    where old.expires_at <= clock_timestamp()
       or (old.answer is null and old.lease_ends_at <= clock_timestamp()
           and not exists (select from platform.idempotency_done d where d.tenant_id = old.tenant_id and d.claim = old.claim))
  returning request
)
select true, request, null::bytea, false from taken union all select false, request, answer, is_overdue from held"""


async def claim(tx: SystemTx, entry: Entry, *, lease_seconds: float, keep_seconds: float) -> Held | None:
    """Take the key, or say what stands under it; None: another took it at this very moment."""
    rows = await tx.fetch(_CLAIM, entry.tenant, entry.owner, entry.key, entry.request, entry.claim, lease_seconds, keep_seconds)
    return Held(*rows[0]) if rows else None


async def complete(tx: SystemTx, entry: Entry, answer: bytes) -> None:
    """Store the answer of this attempt."""
    await tx.fetch(
        "update platform.idempotency set answer = $5::bytea"
        " where tenant_id = $1::text::uuid and owner = $2::bytea and key = $3::bytea and claim = $4::text::uuid",
        entry.tenant, entry.owner, entry.key, entry.claim, answer,
    )  # fmt: skip


async def release(tx: SystemTx, entry: Entry) -> None:
    """Give the key back, unless something was committed under it."""
    await tx.fetch(
        "delete from platform.idempotency i"
        " where i.tenant_id = $1::text::uuid and i.owner = $2::bytea and i.key = $3::bytea and i.claim = $4::text::uuid"
        "   and not exists (select from platform.idempotency_done d where d.tenant_id = i.tenant_id and d.claim = i.claim)",
        entry.tenant, entry.owner, entry.key, entry.claim,
    )  # fmt: skip


async def forget_expired(tx: SystemTx) -> None:
    """Of every tenant in this database, those included that are gone."""
    await tx.fetch("delete from platform.idempotency where expires_at < clock_timestamp()")
    await tx.fetch(
        "delete from platform.idempotency_done d"
        " where not exists (select from platform.idempotency i where i.tenant_id = d.tenant_id and i.claim = d.claim)"
    )

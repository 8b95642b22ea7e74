"""The SQL of used proof-of-work challenges."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId


async def spend(tx: SystemTx, tenant: TenantId, digest: bytes, ends_at: int) -> bool:
    """Remember a challenge as used, once. Those that have ended go."""
    await tx.fetch("delete from auth.captcha_spent where expires_at < now() - interval '1 minute'")
    rows = await tx.fetch(
        """insert into auth.captcha_spent (tenant_id, digest, expires_at)
           values ($1::text::uuid, decode($2::text, 'hex'), to_timestamp($3::text::bigint))
           on conflict do nothing returning tenant_id::text""",
        tenant, digest.hex(), str(ends_at),
    )  # fmt: skip
    return bool(rows)

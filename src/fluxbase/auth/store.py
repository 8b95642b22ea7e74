"""The SQL of keys: ``auth.keys``, ``auth.signing_keys``, ``auth.denylist``. Runs as ``fluxbase_system`` in one tenant's database.

Values travel as text and are cast in SQL (bytea as hex, times as Unix seconds), so it does not matter to which types the
driver would turn them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An anon or service key: its JWT form and its opaque twin are both made from this row."""

    id: str
    kind: str
    role: str
    created_at: int
    expires_at: int
    revoked_at: int | None
    opaque_hash: bytes


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """A signing key; the private part is sealed with the master key, bound to the key id."""

    kid: str
    algorithm: str
    public_jwk: bytes
    private_encrypted: bytes
    created_at: int
    retired_at: int | None


async def lock_keys(tx: SystemTx) -> None:
    """Serialise makers of keys in this database until the transaction ends (two nodes starting at once)."""
    await tx.fetch("select pg_advisory_xact_lock(hashtext('fluxbase.keys'))::text")


async def select_keys(tx: SystemTx, tenant: TenantId) -> list[KeyRow]:
    """Every key that has not expired, newest first."""
    rows = await tx.fetch(
        """select id::text, kind, role, floor(extract(epoch from created_at))::bigint::text,
                  floor(extract(epoch from expires_at))::bigint::text, floor(extract(epoch from revoked_at))::bigint::text,
                  encode(opaque_hash, 'hex')
             from auth.keys where tenant_id = $1::text::uuid and expires_at > now() order by created_at desc, id""",
        tenant,
    )
    return [
        KeyRow(_text(row[0]), _text(row[1]), _text(row[2]), int(row[3]), int(row[4]), _seconds(row[5]), bytes.fromhex(_text(row[6])))
        for row in rows
    ]


async def insert_key(tx: SystemTx, tenant: TenantId, row: KeyRow, label: str) -> None:
    """Write a new key; only the hash of the opaque twin is stored."""
    await tx.fetch(
        """insert into auth.keys (id, kind, role, created_at, expires_at, opaque_hash, label, tenant_id)
           values ($1::text::uuid, $2::text, $3::text, to_timestamp($4::text::bigint), to_timestamp($5::text::bigint),
                   decode($6::text, 'hex'), $7::text, $8::text::uuid)
           returning id::text""",
        row.id,
        row.kind,
        row.role,
        str(row.created_at),
        str(row.expires_at),
        row.opaque_hash.hex(),
        label,
        tenant,
    )


async def revoke_key(tx: SystemTx, key_id: str) -> bool:
    """Mark a key revoked, once: false when it was already."""
    rows = await tx.fetch(
        "update auth.keys set revoked_at = now() where id = $1::text::uuid and revoked_at is null returning id::text", key_id
    )
    return bool(rows)


async def select_signing_keys(tx: SystemTx, tenant: TenantId) -> list[SigningKeyRow]:
    """Every signing key that is not retired, newest first."""
    rows = await tx.fetch(
        """select kid, algorithm, public_jwk::text, encode(private_encrypted, 'hex'),
                  floor(extract(epoch from created_at))::bigint::text, floor(extract(epoch from retired_at))::bigint::text
             from auth.signing_keys where tenant_id = $1::text::uuid and retired_at is null order by created_at desc, kid""",
        tenant,
    )
    return [
        SigningKeyRow(_text(row[0]), _text(row[1]), _text(row[2]).encode(), bytes.fromhex(_text(row[3])), int(row[4]), _seconds(row[5]))
        for row in rows
    ]


async def insert_signing_key(tx: SystemTx, tenant: TenantId, row: SigningKeyRow) -> None:
    """Write a new signing key."""
    await tx.fetch(
        """insert into auth.signing_keys (kid, algorithm, public_jwk, private_encrypted, tenant_id)
           values ($1::text, $2::text, $3::text::jsonb, decode($4::text, 'hex'), $5::text::uuid) returning kid""",
        row.kid,
        row.algorithm,
        row.public_jwk.decode(),
        row.private_encrypted.hex(),
        tenant,
    )


async def retire_signing_key(tx: SystemTx, kid: str) -> bool:
    """Take a signing key out of use, once."""
    rows = await tx.fetch("update auth.signing_keys set retired_at = now() where kid = $1::text and retired_at is null returning kid", kid)
    return bool(rows)


async def deny(tx: SystemTx, deny_key: str, reason: str, expires_at: int) -> None:
    """Refuse every credential that carries ``deny_key`` from the commit on, on every node."""
    await tx.fetch(
        """insert into auth.denylist (key, reason, expires_at) values ($1::text, $2::text, to_timestamp($3::text::bigint))
           on conflict (key) do update set expires_at = greatest(auth.denylist.expires_at, excluded.expires_at)
           returning key""",
        deny_key,
        reason,
        str(expires_at),
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _seconds(value: object) -> int | None:
    return None if value is None else int(_text(value))

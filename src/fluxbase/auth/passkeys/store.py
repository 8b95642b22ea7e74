"""The SQL of passkeys and their challenges. Runs as ``fluxbase_system`` in the tenant's database; every statement names the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from fluxbase.auth.passkeys.ceremony import Registered
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class Passkey:
    """A stored credential."""

    id: str
    user_id: str
    factor_id: str | None
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    friendly_name: str
    created_at: str
    last_used_at: str | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that was just consumed."""

    challenge: bytes
    user_id: str | None
    factor_id: str | None


_PASSKEY = """id::text, user_id::text, factor_id::text, encode(credential_id, 'hex'), encode(public_key, 'hex'), sign_count::text,
              array_to_json(transports)::text, friendly_name, to_json(created_at)#>>'{}', to_json(last_used_at)#>>'{}'"""


async def insert_challenge(
    tx: SystemTx, tenant: TenantId, purpose: str, challenge: bytes, seconds: int, *, user_id: str | None = None,
    session_id: str | None = None, factor_id: str | None = None,
) -> tuple[str, int]:  # fmt: skip
    """Write a challenge; its id and when it ends (Unix seconds). Those that have ended go."""
    await tx.fetch("delete from auth.webauthn_challenges where expires_at < now()")
    rows = await tx.fetch(
        """insert into auth.webauthn_challenges (tenant_id, purpose, challenge, user_id, session_id, factor_id, expires_at)
           values ($1::text::uuid, $2::text, decode($3::text, 'hex'), $4::text::uuid, $5::text::uuid, $6::text::uuid,
                   now() + make_interval(secs => $7::text::int))
           returning id::text, floor(extract(epoch from expires_at))::bigint::text""",
        tenant, purpose, challenge.hex(), user_id, session_id, factor_id, str(seconds),
    )  # fmt: skip
    return str(rows[0][0]), int(rows[0][1])


async def consume_challenge(tx: SystemTx, tenant: TenantId, purpose: str, challenge_id: str, session_id: str | None) -> Challenge | None:
    """Take a challenge, once, for the session it was made for; right or wrong, the answer to it was the only one."""
    rows = await tx.fetch(
        """delete from auth.webauthn_challenges
            where tenant_id = $1::text::uuid and purpose = $2::text and id::text = $3::text
              and session_id::text is not distinct from $4::text and expires_at > now()
        returning encode(challenge, 'hex'), user_id::text, factor_id::text""",
        tenant, purpose, challenge_id, session_id,
    )  # fmt: skip
    return Challenge(bytes.fromhex(rows[0][0]), rows[0][1], rows[0][2]) if rows else None


async def insert_passkey(
    tx: SystemTx, tenant: TenantId, user_id: str, made: Registered, *, friendly_name: str, factor_id: str | None = None
) -> Passkey | None:
    """Write a credential; None when it is somebody's already."""
    rows = await tx.fetch(
        f"""insert into auth.passkeys
              (tenant_id, user_id, factor_id, credential_id, public_key, sign_count, transports, is_backed_up, friendly_name)
            values ($1::text::uuid, $2::text::uuid, $3::text::uuid, decode($4::text, 'hex'), decode($5::text, 'hex'), $6::text::bigint,
                    $7::text::text[], $8::text::boolean, $9::text)
            on conflict (tenant_id, credential_id) do nothing returning {_PASSKEY}""",  # noqa: S608 - constants
        tenant, user_id, factor_id, made.credential_id.hex(), made.public_key.hex(), str(made.sign_count),
        "{" + ",".join(made.transports) + "}", str(made.is_backed_up).lower(), friendly_name,
    )  # fmt: skip
    return _passkey(rows[0]) if rows else None


async def select_passkeys(tx: SystemTx, tenant: TenantId, user_id: str, *, factor_id: str | None = None) -> list[Passkey]:
    """A user's passkeys, or the keys of one of his factors; oldest first."""
    rows = await tx.fetch(
        f"""select {_PASSKEY} from auth.passkeys where tenant_id = $1::text::uuid and user_id = $2::text::uuid
               and factor_id::text is not distinct from $3::text order by created_at, id""",  # noqa: S608
        tenant, user_id, factor_id,
    )  # fmt: skip
    return [_passkey(row) for row in rows]


async def select_credentials(tx: SystemTx, tenant: TenantId, user_id: str) -> list[bytes]:
    """Every credential of a user, so that an authenticator is not registered twice."""
    rows = await tx.fetch(
        "select encode(credential_id, 'hex') from auth.passkeys where tenant_id = $1::text::uuid and user_id = $2::text::uuid",
        tenant,
        user_id,
    )
    return [bytes.fromhex(row[0]) for row in rows]


async def select_by_credential(tx: SystemTx, tenant: TenantId, credential_id: bytes) -> Passkey | None:
    """Whose credential this is."""
    rows = await tx.fetch(
        f"select {_PASSKEY} from auth.passkeys where tenant_id = $1::text::uuid and credential_id = decode($2::text, 'hex')",  # noqa: S608
        tenant, credential_id.hex(),
    )  # fmt: skip
    return _passkey(rows[0]) if rows else None


async def advance_counter(tx: SystemTx, tenant: TenantId, passkey_id: str, sign_count: int) -> bool:
    """Note a use; false when the counter did not grow (authenticators without one always say 0)."""
    rows = await tx.fetch(
        """update auth.passkeys set sign_count = $3::text::bigint, last_used_at = now()
            where tenant_id = $1::text::uuid and id = $2::text::uuid
              and (sign_count < $3::text::bigint or (sign_count = 0 and $3::text::bigint = 0)) returning id::text""",
        tenant, passkey_id, str(sign_count),
    )  # fmt: skip
    return bool(rows)


async def rename_passkey(tx: SystemTx, tenant: TenantId, user_id: str, passkey_id: str, friendly_name: str) -> Passkey | None:
    """Another name; None when the user has no such passkey."""
    rows = await tx.fetch(
        f"""update auth.passkeys set friendly_name = $4::text, updated_at = now()
             where tenant_id = $1::text::uuid and user_id = $2::text::uuid and id::text = $3::text and factor_id is null
         returning {_PASSKEY}""",  # noqa: S608
        tenant, user_id, passkey_id, friendly_name,
    )  # fmt: skip
    return _passkey(rows[0]) if rows else None


async def delete_passkey(tx: SystemTx, tenant: TenantId, user_id: str, passkey_id: str) -> bool:
    """Remove it; false when the user has no such passkey."""
    rows = await tx.fetch(
        """delete from auth.passkeys where tenant_id = $1::text::uuid and user_id = $2::text::uuid and id::text = $3::text
              and factor_id is null returning id::text""",
        tenant, user_id, passkey_id,
    )  # fmt: skip
    return bool(rows)


def _passkey(row: tuple[Any, ...]) -> Passkey:
    identifier, user_id, factor_id, credential, key, count, transports, name, created_at, used_at = row
    return Passkey(
        identifier, user_id, factor_id, bytes.fromhex(credential), bytes.fromhex(key), int(count), tuple(orjson.loads(transports)), name,
        created_at, used_at,
    )  # fmt: skip

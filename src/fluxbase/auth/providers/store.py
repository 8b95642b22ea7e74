"""The SQL of flows, codes and provider tokens. Runs as ``fluxbase_system`` in one tenant's database; every query names the tenant.

What may be used once is taken by one DELETE … RETURNING, or by one INSERT that a second one cannot repeat (invariant 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth.providers.profiles import ProvenIdentity

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId, UserId


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in or link under way."""

    purpose: str
    user_id: UserId | None
    provider: str
    redirect_to: str
    scopes: str
    code_challenge: str | None
    browser_hash: bytes | None = None
    nonce: str = ""
    verifier_sealed: bytes = b""


@dataclass(frozen=True, slots=True)
class FlowCode:
    """What ``?code=`` stands for."""

    purpose: str
    user_id: UserId | None
    identity: ProvenIdentity
    method: str
    tokens_sealed: bytes | None
    code_challenge: str | None
    device_hash: bytes


async def insert_flow(tx: SystemTx, tenant: TenantId, state_hash: bytes, flow: Flow, *, seconds: int) -> None:
    """Begin; what has expired goes."""
    await tx.fetch("delete from auth.oauth_states where expires_at < now() returning 1")
    await tx.fetch(
        """insert into auth.oauth_states (tenant_id, state_hash, purpose, user_id, provider, redirect_to, scopes, code_challenge,
                                          browser_hash, nonce, verifier_sealed, expires_at)
           values ($1::text::uuid, $2::bytea, $3::text, $4::text::uuid, $5::text, $6::text, $7::text, $8::text, $9::bytea, $10::text,
                   $11::bytea, now() + make_interval(secs => $12::text::integer)) returning 1""",
        tenant, state_hash, flow.purpose, flow.user_id, flow.provider, flow.redirect_to, flow.scopes, flow.code_challenge,
        flow.browser_hash, flow.nonce, flow.verifier_sealed, str(seconds),
    )  # fmt: skip


async def take_flow(tx: SystemTx, tenant: TenantId, state_hash: bytes, *, is_started: bool) -> Flow | None:
    """Once, before it expires."""
    rows = await tx.fetch(
        """delete from auth.oauth_states
            where tenant_id = $1::text::uuid and state_hash = $2::bytea and expires_at > now()
              and (browser_hash is not null) = $3::text::boolean
           returning purpose, user_id::text, provider, redirect_to, scopes, code_challenge, browser_hash, nonce, verifier_sealed""",
        tenant, state_hash, str(is_started).lower(),
    )  # fmt: skip
    return Flow(*rows[0]) if rows else None


async def insert_code(tx: SystemTx, tenant: TenantId, code_hash: bytes, code: FlowCode, *, seconds: int) -> None:
    """A code for the app; what has expired goes."""
    await tx.fetch("delete from auth.flow_codes where expires_at < now() returning 1")
    await tx.fetch(
        """insert into auth.flow_codes (tenant_id, code_hash, purpose, user_id, identity, method, tokens_sealed, code_challenge,
                                        device_hash, expires_at)
           values ($1::text::uuid, $2::bytea, $3::text, $4::text::uuid, $5::text::jsonb, $6::text, $7::bytea, $8::text, $9::bytea,
                   now() + make_interval(secs => $10::text::integer)) returning 1""",
        tenant, code_hash, code.purpose, code.user_id, orjson.dumps(code.identity.as_json()).decode(), code.method,
        code.tokens_sealed, code.code_challenge, code.device_hash, str(seconds),
    )  # fmt: skip


async def take_code(tx: SystemTx, tenant: TenantId, code_hash: bytes) -> FlowCode | None:
    """Once, before it expires."""
    rows = await tx.fetch(
        """delete from auth.flow_codes where tenant_id = $1::text::uuid and code_hash = $2::bytea and expires_at > now()
           returning purpose, user_id::text, identity::text, method, tokens_sealed, code_challenge, device_hash""",
        tenant, code_hash,
    )  # fmt: skip
    if not rows:
        return None
    purpose, user, identity, method, tokens, challenge, device = rows[0]
    return FlowCode(purpose, user, ProvenIdentity(**orjson.loads(identity)), method, tokens, challenge, device)


async def note_assertion(tx: SystemTx, tenant: TenantId, assertion_hash: bytes, *, expires_at: int) -> bool:
    """False when this assertion was used before."""
    await tx.fetch("delete from auth.used_assertions where expires_at < now() returning 1")
    rows = await tx.fetch(
        """insert into auth.used_assertions (tenant_id, assertion_hash, expires_at)
           values ($1::text::uuid, $2::bytea, to_timestamp($3::text::bigint)) on conflict do nothing returning 1""",
        tenant, assertion_hash, str(expires_at),
    )  # fmt: skip
    return bool(rows)


async def select_owner(tx: SystemTx, tenant: TenantId, issuer: str, subject: str) -> tuple[str, UserId] | None:
    """Identity and user of (issuer, subject); locked until the transaction ends."""
    rows = await tx.fetch(
        """select i.id::text, i.user_id::text from auth.identities i
            where i.tenant_id = $1::text::uuid and i.issuer = $2::text and i.subject = $3::text for update""",
        tenant, issuer, subject,
    )  # fmt: skip
    return (rows[0][0], rows[0][1]) if rows else None


async def select_subject(tx: SystemTx, tenant: TenantId, user: UserId, issuer: str) -> tuple[str, str | None] | None:
    """Who a user is at an issuer, and his session there."""
    rows = await tx.fetch(
        """select subject, identity_data ->> 'session_index' from auth.identities
            where tenant_id = $1::text::uuid and user_id = $2::text::uuid and issuer = $3::text order by updated_at desc limit 1""",
        tenant, user, issuer,
    )  # fmt: skip
    return (rows[0][0], rows[0][1]) if rows else None


async def note_identity(tx: SystemTx, tenant: TenantId, identity: str, data: dict[str, Any]) -> None:
    """What the provider says today."""
    await tx.fetch(
        """update auth.identities set identity_data = $3::text::jsonb, last_sign_in_at = now(), updated_at = now()
            where tenant_id = $1::text::uuid and id = $2::text::uuid returning 1""",
        tenant, identity, orjson.dumps(data).decode(),
    )  # fmt: skip


async def delete_identity(tx: SystemTx, tenant: TenantId, user: UserId, identity: str) -> str | None:
    """Its provider; None when the user has no such identity."""
    rows = await tx.fetch(
        """delete from auth.identities where tenant_id = $1::text::uuid and user_id = $2::text::uuid and id = $3::text::uuid
           returning provider""",
        tenant, user, identity,
    )  # fmt: skip
    return str(rows[0][0]) if rows else None


async def put_tokens(
    tx: SystemTx, tenant: TenantId, user: UserId, identity: str, provider: str, sealed: bytes, expires_at: int | None
) -> None:
    """The newest tokens of an identity."""
    await tx.fetch(
        """insert into auth.provider_tokens (tenant_id, identity_id, user_id, provider, tokens_sealed, expires_at)
           values ($1::text::uuid, $2::text::uuid, $3::text::uuid, $4::text, $5::bytea, to_timestamp($6::text::bigint))
           on conflict (identity_id) do update
             set tokens_sealed = excluded.tokens_sealed, expires_at = excluded.expires_at, updated_at = now() returning 1""",
        tenant, identity, user, provider, sealed, None if expires_at is None else str(expires_at),
    )  # fmt: skip


async def select_tokens(tx: SystemTx, tenant: TenantId, user: UserId, provider: str) -> tuple[str, bytes] | None:
    """Identity and sealed tokens; locked, so that two refreshes do not race."""
    rows = await tx.fetch(
        """select identity_id::text, tokens_sealed from auth.provider_tokens
            where tenant_id = $1::text::uuid and user_id = $2::text::uuid and provider = $3::text
            order by updated_at desc limit 1""",
        tenant, user, provider,
    )  # fmt: skip
    return (rows[0][0], rows[0][1]) if rows else None


async def delete_tokens(tx: SystemTx, tenant: TenantId, user: UserId, provider: str) -> int:
    """How many."""
    rows = await tx.fetch(
        """delete from auth.provider_tokens
            where tenant_id = $1::text::uuid and user_id = $2::text::uuid and provider = $3::text returning 1""",
        tenant, user, provider,
    )  # fmt: skip
    return len(rows)


async def lock(tx: SystemTx, name: str) -> None:
    """One at a time under this name, until the transaction ends."""
    await tx.fetch("select pg_advisory_xact_lock(hashtextextended($1::text, 0))::text", name)

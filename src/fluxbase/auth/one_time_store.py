"""The SQL of ``auth.one_time_tokens``. Consuming is one conditional UPDATE (invariant 12); every query names the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId, UserId


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be stored. ``user`` None: nobody has the address."""

    purpose: str
    email: str
    token_hash: bytes
    code_hash: bytes
    lives_seconds: int
    max_attempts: int
    user: UserId | None = None
    epoch: int | None = None
    payload: dict[str, Any] | None = None
    redirect_to: str | None = None
    code_challenge: str | None = None


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A token that was good, and is used now."""

    purpose: str
    user: UserId | None
    email: str
    payload: dict[str, Any]
    redirect_to: str | None
    code_challenge: str | None


NORMALISED = "lower(normalize({}, nfkc))"
# The account is as it was when the token was made: its epoch, and the address that the mail went to.
_IS_CURRENT = f"""case when t.user_id is null then t.payload ? 'create' else exists (
    select from auth.users u where u.tenant_id = t.tenant_id and u.id = t.user_id and u.deleted_at is null and u.epoch = t.epoch
       and case t.purpose when 'email_change_new' then {NORMALISED.format("u.pending_email")} = t.email
                          when 'email_change_current' then u.email_normalised = t.email and u.pending_email = t.payload ->> 'new_email'
                          when 'pkce_code' then true
                          else u.email_normalised = t.email end) end"""
_WAYS_IN = (
    "auth.passkeys", "auth.factors", "auth.recovery_codes", "auth.factor_tickets", "auth.webauthn_challenges",
    "auth.oauth_states", "auth.flow_codes",
)  # fmt: skip
_RETURNING = " returning t.purpose, t.user_id::text, t.email, t.payload::text, t.redirect_to, t.code_challenge"


async def seconds_to_wait(tx: SystemTx, tenant: TenantId, email: str, purpose: str, *, interval_seconds: int) -> int:
    """How long until the next mail of this kind to this address may be asked for; 0: now. Takes turns with others who ask."""
    await tx.fetch("select pg_advisory_xact_lock(hashtextextended($1::text, 0))::text", f"one-time {tenant} {purpose} {email}")
    rows = await tx.fetch(
        "select ceil(extract(epoch from max(created_at) + make_interval(secs => $4::text::int) - now()))::text from auth.one_time_tokens "
        "where tenant_id = $1::text::uuid and email = $2::text and purpose = $3::text "
        "and created_at > now() - make_interval(secs => $4::text::int)",
        tenant, email, purpose, str(interval_seconds),
    )  # fmt: skip
    return 0 if rows[0][0] is None else max(1, int(rows[0][0]))


async def insert_token(tx: SystemTx, tenant: TenantId, new: NewToken) -> None:
    """Store it; the address has one of a purpose at a time, and what expired is forgotten."""
    if new.purpose != "pkce_code":
        await tx.fetch(
            "delete from auth.one_time_tokens where tenant_id = $1::text::uuid and email = $2::text and purpose = $3::text returning 1",
            tenant, new.email, new.purpose,
        )  # fmt: skip
    await tx.fetch(
        """delete from auth.one_time_tokens where id in (
             select id from auth.one_time_tokens where expires_at < now() - interval '1 hour' limit 20 for update skip locked)
           returning 1"""
    )
    await tx.fetch(
        """insert into auth.one_time_tokens (tenant_id, purpose, email, token_hash, code_hash, expires_at, max_attempts, user_id, epoch,
                                             payload, redirect_to, code_challenge)
           values ($1::text::uuid, $2::text, $3::text, decode($4::text, 'hex'), decode($5::text, 'hex'),
                   now() + make_interval(secs => $6::text::int), $7::text::int, $8::text::uuid, $9::text::int, $10::text::jsonb, $11::text,
                   $12::text) returning 1""",
        tenant, new.purpose, new.email, new.token_hash.hex(), new.code_hash.hex(), str(new.lives_seconds), str(new.max_attempts), new.user,
        None if new.epoch is None else str(new.epoch), orjson.dumps(new.payload or {}).decode(), new.redirect_to, new.code_challenge,
    )  # fmt: skip


async def redeem_token(tx: SystemTx, tenant: TenantId, token_hash: bytes, purposes: Sequence[str]) -> Redeemed | None:
    """Use a link's token, once."""
    rows = await tx.fetch(
        "update auth.one_time_tokens t set used_at = clock_timestamp() where t.tenant_id = $1::text::uuid "  # noqa: S608 - constants
        "and t.token_hash = decode($2::text, 'hex') and t.purpose = any($3::text[]) and t.used_at is null and t.expires_at > now() and "
        + _IS_CURRENT + _RETURNING,
        tenant, token_hash.hex(), list(purposes),
    )  # fmt: skip
    return _redeemed(rows[0]) if rows else None


async def redeem_code(tx: SystemTx, tenant: TenantId, email: str, code_hash: bytes, purposes: Sequence[str]) -> Redeemed | None:
    """Use a code, once; a wrong one is counted, and after ``max_attempts`` the right one is refused too."""
    rows = await tx.fetch(
        "update auth.one_time_tokens t set attempts = t.attempts + 1, "  # noqa: S608 - constants
        f"used_at = case when t.code_hash = decode($4::text, 'hex') and {_IS_CURRENT} then clock_timestamp() end "
        "where t.tenant_id = $1::text::uuid and t.email = $2::text and t.purpose = any($3::text[]) and t.used_at is null "
        "and t.expires_at > now() and t.attempts < t.max_attempts" + _RETURNING + ", (t.used_at is not null)::text",
        tenant, email, list(purposes), code_hash.hex(),
    )  # fmt: skip
    return next((_redeemed(row) for row in rows if row[-1] == "true"), None)


async def state_of(tx: SystemTx, tenant: TenantId, token_hash: bytes, purposes: Sequence[str]) -> str:
    """``good``, ``used``, ``expired`` or ``unknown``; changes nothing."""
    rows = await tx.fetch(
        "select case when t.used_at is not null then 'used' when t.expires_at <= now() then 'expired' "  # noqa: S608 - constants
        f"when {_IS_CURRENT} then 'good' else 'unknown' end "
        "from auth.one_time_tokens t where t.tenant_id = $1::text::uuid and t.token_hash = decode($2::text, 'hex') "
        "and t.purpose = any($3::text[])",
        tenant, token_hash.hex(), list(purposes),
    )  # fmt: skip
    return rows[0][0] if rows else "unknown"


async def is_other_half_confirmed(tx: SystemTx, tenant: TenantId, user: UserId, change: str) -> bool:
    """Whether both links of a change of address were followed. Ask with the user's row locked."""
    rows = await tx.fetch(
        "select count(*)::text from auth.one_time_tokens where tenant_id = $1::text::uuid and user_id = $2::text::uuid "
        "and payload ->> 'change' = $3::text and used_at is not null",
        tenant, user, change,
    )  # fmt: skip
    return rows[0][0] == "2"


async def forget_tokens(tx: SystemTx, tenant: TenantId, user: UserId) -> None:
    """End every link and code of an account."""
    await tx.fetch(
        "delete from auth.one_time_tokens where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning 1", tenant, user
    )


async def note_mail(tx: SystemTx, tenant: TenantId, email: str, purpose: str) -> None:
    """When the last mail of a kind went out, where GoTrue's user object shows it. For an address nobody has: no row, the same statement."""
    await tx.fetch(
        f"""update auth.users set
              confirmation_sent_at = case when $3::text = 'signup' then now() else confirmation_sent_at end,
              recovery_sent_at = case when $3::text in ('recovery', 'magiclink') then now() else recovery_sent_at end,
              reauthentication_sent_at = case when $3::text = 'reauthentication' then now() else reauthentication_sent_at end
            where tenant_id = $1::text::uuid and email_normalised = {NORMALISED.format("$2::text")} and deleted_at is null
              and $3::text in ('signup', 'recovery', 'magiclink', 'reauthentication') returning 1""",  # noqa: S608 - constants
        tenant, email, purpose,
    )  # fmt: skip


async def drop_unproven(tx: SystemTx, tenant: TenantId, user: UserId) -> None:
    """Every way in that was made, or was being made, before anybody proved that the address is his. The password is the caller's."""
    await tx.fetch(
        "delete from auth.identities where tenant_id = $1::text::uuid and user_id = $2::text::uuid and provider <> 'email' returning 1",
        tenant, user,
    )  # fmt: skip
    for table in _WAYS_IN:
        await tx.fetch(f"delete from {table} where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning 1", tenant, user)  # noqa: S608 - constant


def _redeemed(row: tuple[Any, ...]) -> Redeemed:
    purpose, user, email, payload, redirect_to, challenge = row[:6]
    return Redeemed(purpose, user, email, orjson.loads(payload), redirect_to, challenge)

"""The SQL of second factors. Runs as ``fluxbase_system`` in the tenant's database; every statement names the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId


AAL1 = "aal1"
AAL2 = "aal2"


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor; the secret stays sealed."""

    id: str
    user_id: str
    factor_type: str
    status: str
    friendly_name: str
    secret_encrypted: bytes | None
    created_at: str
    updated_at: str
    last_challenged_at: str | None

    @property
    def is_verified(self) -> bool:
        """Confirmed with a first code, so it counts."""
        return self.status == "verified"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A row of ``auth.factor_tickets`` that is alive and was earned by this device; reading it has counted a try."""

    id: str
    purpose: str
    user_id: str
    session_id: str | None
    factor_id: str | None
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewTicket:
    """What a ticket is bound to."""

    purpose: str
    user_id: str
    device_hash: bytes
    token_hash: bytes | None = None
    session_id: str | None = None
    factor_id: str | None = None
    methods: tuple[str, ...] = ()


_FACTOR = """id::text, user_id::text, factor_type, status, friendly_name, encode(secret_encrypted, 'hex'), to_json(created_at)#>>'{}',
             to_json(updated_at)#>>'{}', to_json(last_challenged_at)#>>'{}'"""


async def select_now(tx: SystemTx) -> float:
    """The database's clock as Unix seconds."""
    return float((await tx.fetch("select extract(epoch from clock_timestamp())::text"))[0][0])


async def select_factors(tx: SystemTx, tenant: TenantId, user_id: str) -> list[Factor]:
    """A user's factors, oldest first."""
    rows = await tx.fetch(
        f"select {_FACTOR} from auth.factors where tenant_id = $1::text::uuid and user_id = $2::text::uuid order by created_at, id",  # noqa: S608 - constants
        tenant, user_id,
    )  # fmt: skip
    return [_factor(row) for row in rows]


async def select_factor(tx: SystemTx, tenant: TenantId, user_id: str, factor_id: str) -> Factor | None:
    """One factor of this user, locked until the transaction ends; another's is not there."""
    rows = await tx.fetch(
        f"""select {_FACTOR} from auth.factors
             where tenant_id = $1::text::uuid and user_id = $2::text::uuid and id::text = $3::text for update""",  # noqa: S608
        tenant, user_id, factor_id,
    )  # fmt: skip
    return _factor(rows[0]) if rows else None


async def insert_factor(
    tx: SystemTx, tenant: TenantId, factor_id: str, user_id: str, factor_type: str, friendly_name: str, secret: bytes | None, *,
    status: str = "unverified",
) -> Factor:  # fmt: skip
    """Write a new factor."""
    rows = await tx.fetch(
        f"""insert into auth.factors (tenant_id, id, user_id, factor_type, friendly_name, secret_encrypted, status)
            values ($1::text::uuid, $2::text::uuid, $3::text::uuid, $4::text, $5::text, decode($6::text, 'hex'), $7::text)
            returning {_FACTOR}""",  # noqa: S608
        tenant, factor_id, user_id, factor_type, friendly_name, None if secret is None else secret.hex(), status,
    )  # fmt: skip
    return _factor(rows[0])


async def lock_user(tx: SystemTx, tenant: TenantId, user_id: str) -> None:
    """Serialise changes to one user's factors until the transaction ends."""
    await tx.fetch("select pg_advisory_xact_lock(hashtextextended('factors ' || $1::text || $2::text, 0))::text", tenant, user_id)


async def delete_abandoned(tx: SystemTx, tenant: TenantId, user_id: str, seconds: int) -> None:
    """Factors of the user that were not confirmed in time."""
    await tx.fetch(
        """delete from auth.factors where tenant_id = $1::text::uuid and user_id = $2::text::uuid and status = 'unverified'
              and created_at < now() - make_interval(secs => $3::text::int)""",
        tenant, user_id, str(seconds),
    )  # fmt: skip


async def accept_step(tx: SystemTx, tenant: TenantId, factor_id: str, step: int) -> bool:
    """Remember the accepted step, once: false when it, or a later one, was accepted before."""
    rows = await tx.fetch(
        """update auth.factors set last_step = $3::text::bigint, updated_at = now()
            where tenant_id = $1::text::uuid and id = $2::text::uuid and last_step < $3::text::bigint returning id::text""",
        tenant, factor_id, str(step),
    )  # fmt: skip
    return bool(rows)


async def confirm_factor(tx: SystemTx, tenant: TenantId, factor_id: str) -> None:
    """From now on the factor counts. Others of its user that wait are forgotten: whoever set them up may have been somebody else."""
    await tx.fetch(
        """with confirmed as (update auth.factors set status = 'verified', updated_at = now()
                               where tenant_id = $1::text::uuid and id = $2::text::uuid returning user_id)
           delete from auth.factors f using confirmed c
            where f.tenant_id = $1::text::uuid and f.user_id = c.user_id and f.status = 'unverified' and f.id <> $2::text::uuid""",
        tenant, factor_id,
    )  # fmt: skip


async def rename_factor(tx: SystemTx, tenant: TenantId, factor_id: str, friendly_name: str) -> None:
    """Another name."""
    await tx.fetch(
        "update auth.factors set friendly_name = $3::text, updated_at = now() where tenant_id = $1::text::uuid and id = $2::text::uuid",
        tenant, factor_id, friendly_name,
    )  # fmt: skip


async def note_challenge(tx: SystemTx, tenant: TenantId, factor_id: str) -> None:
    """When the factor was last asked for."""
    await tx.fetch(
        "update auth.factors set last_challenged_at = now() where tenant_id = $1::text::uuid and id = $2::text::uuid", tenant, factor_id
    )


async def delete_factors(tx: SystemTx, tenant: TenantId, user_id: str, factor_ids: Sequence[str]) -> list[str]:
    """Remove them; the ids that were there."""
    rows = await tx.fetch(
        """delete from auth.factors where tenant_id = $1::text::uuid and user_id = $2::text::uuid and id::text = any ($3::text::text[])
           returning id::text""",
        tenant, user_id, _array(factor_ids),
    )  # fmt: skip
    return [row[0] for row in rows]


async def replace_recovery_codes(tx: SystemTx, tenant: TenantId, user_id: str, hashes: Sequence[bytes]) -> None:
    """Take every old code back and write the new ones; none: only take back."""
    await tx.fetch("delete from auth.recovery_codes where tenant_id = $1::text::uuid and user_id = $2::text::uuid", tenant, user_id)
    for each in hashes:
        await tx.fetch(
            """insert into auth.recovery_codes (tenant_id, user_id, code_hash)
               values ($1::text::uuid, $2::text::uuid, decode($3::text, 'hex'))""",
            tenant, user_id, each.hex(),
        )  # fmt: skip


async def spend_recovery_code(tx: SystemTx, tenant: TenantId, user_id: str, code_hash: bytes) -> bool:
    """Consume a code, once."""
    rows = await tx.fetch(
        """update auth.recovery_codes set used_at = now()
            where tenant_id = $1::text::uuid and user_id = $2::text::uuid and code_hash = decode($3::text, 'hex') and used_at is null
        returning id::text""",
        tenant, user_id, code_hash.hex(),
    )  # fmt: skip
    return bool(rows)


async def count_recovery_codes(tx: SystemTx, tenant: TenantId, user_id: str) -> tuple[int, int]:
    """All of the current set, and those not used yet."""
    rows = await tx.fetch(
        """select count(*)::text, (count(*) filter (where used_at is null))::text
             from auth.recovery_codes where tenant_id = $1::text::uuid and user_id = $2::text::uuid""",
        tenant, user_id,
    )  # fmt: skip
    return int(rows[0][0]), int(rows[0][1])


async def insert_ticket(tx: SystemTx, tenant: TenantId, ticket: NewTicket, seconds: int) -> tuple[str, int]:
    """Write a ticket; its id and when it ends (Unix seconds). Tickets that have ended go."""
    await tx.fetch("delete from auth.factor_tickets where expires_at < now() - interval '1 hour'")
    rows = await tx.fetch(
        """insert into auth.factor_tickets
             (tenant_id, purpose, user_id, device_hash, token_hash, session_id, factor_id, methods, expires_at)
           values ($1::text::uuid, $2::text, $3::text::uuid, decode($4::text, 'hex'), decode($5::text, 'hex'), $6::text::uuid,
                   $7::text::uuid, $8::text::text[], now() + make_interval(secs => $9::text::int))
           returning id::text, ceil(extract(epoch from expires_at))::bigint::text""",
        tenant, ticket.purpose, ticket.user_id, ticket.device_hash.hex(), None if ticket.token_hash is None else ticket.token_hash.hex(),
        ticket.session_id, ticket.factor_id, _array(ticket.methods), str(seconds),
    )  # fmt: skip
    return str(rows[0][0]), int(rows[0][1])


_TICKET = "id::text, purpose, user_id::text, session_id::text, factor_id::text, array_to_json(methods)::text"


async def try_ticket(tx: SystemTx, tenant: TenantId, token_hash: bytes, device_hash: bytes, tries: int) -> Ticket | None:
    """Count a try of a ticket; None when it is unknown, used, too old, of another device, or has no tries left."""
    rows = await tx.fetch(
        f"""update auth.factor_tickets set attempts = attempts + 1
             where tenant_id = $1::text::uuid and token_hash = decode($2::text, 'hex') and device_hash = decode($3::text, 'hex')
               and used_at is null and expires_at > now() and attempts < $4::text::int
         returning {_TICKET}""",  # noqa: S608
        tenant, token_hash.hex(), device_hash.hex(), str(tries),
    )  # fmt: skip
    return _ticket(rows[0]) if rows else None


async def try_challenge(
    tx: SystemTx, tenant: TenantId, challenge_id: str, session_id: str, factor_id: str, device_hash: bytes, tries: int
) -> Ticket | None:
    """Count a try of a challenge, which belongs to a session and a factor."""
    rows = await tx.fetch(
        f"""update auth.factor_tickets set attempts = attempts + 1
             where tenant_id = $1::text::uuid and id::text = $2::text and purpose = 'challenge' and session_id::text = $3::text
               and factor_id::text = $4::text and device_hash = decode($5::text, 'hex')
               and used_at is null and expires_at > now() and attempts < $6::text::int
         returning {_TICKET}""",  # noqa: S608
        tenant, challenge_id, session_id, factor_id, device_hash.hex(), str(tries),
    )  # fmt: skip
    return _ticket(rows[0]) if rows else None


async def use_ticket(tx: SystemTx, tenant: TenantId, ticket_id: str) -> bool:
    """Consume a ticket, once."""
    rows = await tx.fetch(
        """update auth.factor_tickets set used_at = now()
            where tenant_id = $1::text::uuid and id = $2::text::uuid and used_at is null and expires_at > now() returning id::text""",
        tenant, ticket_id,
    )  # fmt: skip
    return bool(rows)


async def delete_tickets(tx: SystemTx, tenant: TenantId, user_id: str) -> None:
    """Take every ticket of a user back."""
    await tx.fetch("delete from auth.factor_tickets where tenant_id = $1::text::uuid and user_id = $2::text::uuid", tenant, user_id)


async def count_attempt(tx: SystemTx, tenant: TenantId, user_id: str, *, tries: int, window_seconds: int, lock_seconds: int) -> int | None:
    """Count a look at a code of this account. None: it may be looked at; else the seconds for which the account is locked.

    One statement, so that parallel guesses wait for each other: no more than ``tries`` of them are looked at. The first one
    over it locks the account; what comes while it is locked changes nothing.
    """
    rows = await tx.fetch(
        """insert into auth.factor_attempts as a (tenant_id, user_id, attempts, window_ends_at)
           values ($1::text::uuid, $2::text::uuid, 1, now() + make_interval(secs => $4::text::int))
           on conflict (tenant_id, user_id) do update set
             attempts = case when a.locked_until > clock_timestamp() then a.attempts
                             when a.locked_until is not null or a.window_ends_at <= clock_timestamp() then 1 else a.attempts + 1 end,
             window_ends_at = case when a.locked_until is not null or a.window_ends_at <= clock_timestamp()
                                   then clock_timestamp() + make_interval(secs => $4::text::int) else a.window_ends_at end,
             locked_until = case when a.locked_until > clock_timestamp() then a.locked_until
                                 when a.locked_until is null and a.window_ends_at > clock_timestamp() and a.attempts >= $3::text::int
                                 then clock_timestamp() + make_interval(secs => $5::text::int) end
           returning ceil(extract(epoch from locked_until - clock_timestamp()))::bigint::text""",
        tenant, user_id, str(tries), str(window_seconds), str(lock_seconds),
    )  # fmt: skip
    return None if rows[0][0] is None else max(1, int(rows[0][0]))


async def clear_attempts(tx: SystemTx, tenant: TenantId, user_id: str) -> None:
    """A right code: the window starts anew."""
    await tx.fetch("delete from auth.factor_attempts where tenant_id = $1::text::uuid and user_id = $2::text::uuid", tenant, user_id)


async def deny_factor(tx: SystemTx, factor_id: str, *, is_pending: bool, seconds: int) -> None:
    """Tokens of level aal2 that rest on this factor are lowered from the commit on, on every node; or refused until another is shown."""
    key = f"factor-pending:{factor_id}" if is_pending else f"factor:{factor_id}"
    await tx.fetch(
        """insert into auth.denylist (key, reason, expires_at)
           values ($1::text, 'factor removed', now() + make_interval(secs => $2::text::int)) on conflict (key) do nothing""",
        key, str(seconds),
    )  # fmt: skip


async def lower_sessions(tx: SystemTx, tenant: TenantId, user_id: str, factor_id: str) -> int:
    """Sessions that rest on a removed factor are aal1, and their refresh tokens, which a factor shown later does not raise."""
    rows = await tx.fetch(
        """with s as (
             update auth.sessions set aal = 'aal1', factor_ids = '{}'
              where tenant_id = $1::text::uuid and user_id = $2::text::uuid and $3::text::uuid = any (factor_ids) and ended_at is null
             returning id),
           t as (update auth.refresh_tokens t set aal = 'aal1' from s where t.session_id = s.id and t.aal <> 'aal1')
           select id::text from s""",
        tenant, user_id, factor_id,
    )  # fmt: skip
    return len(rows)


def _factor(row: tuple[Any, ...]) -> Factor:
    identifier, user_id, kind, status, name, secret, created_at, updated_at, challenged_at = row
    sealed = None if secret is None else bytes.fromhex(secret)
    return Factor(identifier, user_id, kind, status, name, sealed, created_at, updated_at, challenged_at)


def _ticket(row: tuple[Any, ...]) -> Ticket:
    identifier, purpose, user_id, session_id, factor_id, methods = row
    return Ticket(identifier, purpose, user_id, session_id, factor_id, tuple(orjson.loads(methods)))


def _array(values: Sequence[str]) -> str:
    """A PostgreSQL array literal of ids or method names."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"

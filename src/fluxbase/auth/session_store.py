"""The SQL of ``auth.sessions``, ``auth.refresh_tokens`` and of ending them. Runs as ``fluxbase_system`` in one tenant's database.

A session that ends gets its row in ``auth.denylist`` in the same statement, so that the next request is refused everywhere
(invariant 5). An impersonation's session is neither refreshed nor raised: its next token would not say who is behind it.
``prefix`` of a deny key is empty, or the tenant's where tenants share a database (``tenancy/shared.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth.user_store import FACTORS
from fluxbase.auth.users import Session, User, session_of, user_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import SessionId, TenantId, UserId

_SESSION = "(to_jsonb(s) || jsonb_build_object('address', host(s.address)))::text"
_USER = f"""(to_jsonb(u) || jsonb_build_object('is_banned', u.banned_until > now(), 'is_locked', u.locked_until > now(),
             'factors', {FACTORS},
             'identities', (select jsonb_agg(i order by i.created_at, i.id) from auth.identities i
                             where i.tenant_id = u.tenant_id and i.user_id = u.id)))::text"""  # noqa: S608 - constant columns


def _new_session(source: str) -> str:
    """A session with its first refresh token, made of the parameters, once for each row of ``source``."""
    return f"""s as (
             insert into auth.sessions (tenant_id, user_id, aal, amr, factor_ids, user_agent, address, expires_at)
             select $1::text::uuid, $2::text::uuid, $3::text, $4::text::jsonb, $5::text[]::uuid[], nullif($6::text, ''),
                    nullif($7::text, '')::inet, now() + make_interval(secs => $8::text::integer){source}
             returning *),
           t as (
             insert into auth.refresh_tokens (token_hash, tenant_id, session_id, aal, expires_at)
             select decode($9::text, 'hex'), s.tenant_id, s.id, s.aal, s.expires_at from s)
           select {_SESSION} from s"""  # noqa: S608 - constant columns


async def insert_session(
    tx: SystemTx, tenant: TenantId, user: UserId, *, aal: str, amr: Sequence[dict[str, Any]], factor_ids: Sequence[str],
    user_agent: str, address: str, lifetime_seconds: int, token_hash: bytes,
) -> Session:  # fmt: skip
    """A new session with its first refresh token."""
    rows = await tx.fetch(
        "with " + _new_session(""),
        tenant, user, aal, orjson.dumps(list(amr)).decode(), list(factor_ids), user_agent[:500], address, str(lifetime_seconds),
        token_hash.hex(),
    )  # fmt: skip
    return session_of(orjson.loads(rows[0][0]))


async def begin_session(
    tx: SystemTx, tenant: TenantId, user: UserId, *, epoch: int, aal: str, amr: Sequence[dict[str, Any]], factor_ids: Sequence[str],
    user_agent: str, address: str, lifetime_seconds: int, token_hash: bytes,
) -> Session | None:  # fmt: skip
    """The sign-in of a user nothing happened to since he was read (``epoch``), noted, and its session; None when something did."""
    rows = await tx.fetch(
        """with u as (
             update auth.users u set last_sign_in_at = now(), failed_attempts = 0, locked_until = null
              where u.tenant_id = $1::text::uuid and u.id = $2::text::uuid and u.epoch = $10::text::integer and u.deleted_at is null
             returning u.id),
           """  # noqa: S608 - constant columns
        + _new_session(" from u"),
        tenant, user, aal, orjson.dumps(list(amr)).decode(), list(factor_ids), user_agent[:500], address, str(lifetime_seconds),
        token_hash.hex(), str(epoch),
    )  # fmt: skip
    return session_of(orjson.loads(rows[0][0])) if rows else None


async def rotate(
    tx: SystemTx, tenant: TenantId, *, token_hash: bytes, child_hash: bytes, user_agent: str, address: str, lifetime_seconds: int
) -> tuple[User, Session] | None:
    """Use a refresh token, once: one conditional UPDATE (invariant 12). None when it was used, has expired, its session has ended or
    shown a second factor since it was given out: whoever holds it has not shown that factor (B25)."""
    rows = await tx.fetch(
        """with used as (
             update auth.refresh_tokens t set used_at = clock_timestamp()
              where t.token_hash = decode($2::text, 'hex') and t.tenant_id = $1::text::uuid and t.used_at is null and t.expires_at > now()
             returning t.session_id, t.aal),
           s as (
             update auth.sessions s set last_used_at = now(), expires_at = now() + make_interval(secs => $4::text::integer),
                    user_agent = coalesce(nullif($5::text, ''), s.user_agent), address = coalesce(nullif($6::text, '')::inet, s.address)
               from used where s.id = used.session_id and s.ended_at is null and s.expires_at > now() and used.aal >= s.aal
                and not s.amr @> '[{"method": "impersonation"}]' returning s.*),
           child as (
             insert into auth.refresh_tokens (token_hash, tenant_id, session_id, aal, parent_hash, expires_at)
             select decode($3::text, 'hex'), s.tenant_id, s.id, s.aal, decode($2::text, 'hex'), s.expires_at from s)
           select """  # noqa: S608 - constant columns
         f"{_SESSION}, {_USER}"
         """ from s join auth.users u on u.tenant_id = s.tenant_id and u.id = s.user_id and u.deleted_at is null
               where (u.banned_until > now()) is not true""",
        tenant, token_hash.hex(), child_hash.hex(), str(lifetime_seconds), user_agent[:500], address,
    )  # fmt: skip
    return (user_of(orjson.loads(rows[0][1])), session_of(orjson.loads(rows[0][0]))) if rows else None


async def select_used(
    tx: SystemTx, tenant: TenantId, token_hash: bytes, *, grace_seconds: int
) -> tuple[str, SessionId, User, Session] | None:
    """What a refresh token that could not be used is: ``fresh`` (used a moment ago), ``superseded`` (the same, but its child is not
    worth the session's level), ``reused``, ``expired`` or ``ended``."""
    rows = await tx.fetch(
        """select case when s.ended_at is not null then 'ended'
                       when t.used_at is null or s.expires_at <= now() then 'expired'
                       when t.used_at <= clock_timestamp() - make_interval(secs => $3::text::integer) then 'reused'
                       when exists (select from auth.refresh_tokens c where c.parent_hash = t.token_hash and c.aal >= s.aal) then 'fresh'
                       else 'superseded' end,
                  s.id::text, """  # noqa: S608 - constant columns
         f"{_USER}, {_SESSION}"
         """ from auth.refresh_tokens t join auth.sessions s on s.id = t.session_id
                   join auth.users u on u.tenant_id = s.tenant_id and u.id = s.user_id
             where t.tenant_id = $1::text::uuid and t.token_hash = decode($2::text, 'hex')""",
        tenant, token_hash.hex(), str(grace_seconds),
    )  # fmt: skip
    if not rows:
        return None
    verdict, session, user, whole = rows[0]
    return verdict, session, user_of(orjson.loads(user)), session_of(orjson.loads(whole))


async def select_current(tx: SystemTx, tenant: TenantId, user: UserId, session: SessionId | None) -> tuple[User, Session | None] | None:
    """The user of a verified token with its session, when both are alive; a token of another signer has no session of ours."""
    rows = await tx.fetch(
        "select " + f"{_USER}, {_SESSION}"  # noqa: S608 - constant columns
        + """ from auth.users u left join auth.sessions s on s.tenant_id = u.tenant_id and s.user_id = u.id and s.id = $3::text::uuid
                    and s.ended_at is null and s.expires_at > now()
              where u.tenant_id = $1::text::uuid and u.id = $2::text::uuid and u.deleted_at is null
                and (u.banned_until > now()) is not true""",
        tenant, user, session,
    )  # fmt: skip
    if not rows:
        return None
    return user_of(orjson.loads(rows[0][0])), session_of(orjson.loads(rows[0][1])) if rows[0][1] else None


async def raise_session(
    tx: SystemTx, tenant: TenantId, user: UserId, session: SessionId, proof: dict[str, Any], factor_ids: Sequence[str], *,
    token_hash: bytes,
) -> Session | None:  # fmt: skip
    """A live session shows a second factor and rests on it: level aal2, one new refresh token instead of those not used yet."""
    rows = await tx.fetch(
        """with s as (
             update auth.sessions s set aal = 'aal2', authenticated_at = now(), last_used_at = now(),
                    amr = (select coalesce(jsonb_agg(e), '[]') from jsonb_array_elements(s.amr) e
                            where e ->> 'method' <> $4::text::jsonb ->> 'method') || $4::text::jsonb,
                    factor_ids = $5::text[]::uuid[]
              where s.tenant_id = $1::text::uuid and s.user_id = $2::text::uuid and s.id = $3::text::uuid
                and s.ended_at is null and s.expires_at > now() and not s.amr @> '[{"method": "impersonation"}]'
             returning s.*),
           gone as (delete from auth.refresh_tokens t using s where t.session_id = s.id and t.used_at is null),
           t as (
             insert into auth.refresh_tokens (token_hash, tenant_id, session_id, aal, expires_at)
             select decode($6::text, 'hex'), s.tenant_id, s.id, s.aal, s.expires_at from s)
           select """  # noqa: S608 - constant columns
        + _SESSION
        + " from s",
        tenant, user, session, orjson.dumps(proof).decode(), list(factor_ids), token_hash.hex(),
    )  # fmt: skip
    return session_of(orjson.loads(rows[0][0])) if rows else None


async def list_sessions(tx: SystemTx, tenant: TenantId, user: UserId) -> list[Session]:
    """The user's live sessions, the one used last first."""
    rows = await tx.fetch(
        "select " + _SESSION + """ from auth.sessions s where s.tenant_id = $1::text::uuid and s.user_id = $2::text::uuid
             and s.ended_at is null and s.expires_at > now() order by s.last_used_at desc, s.id""",  # noqa: S608 - constant columns
        tenant, user,
    )  # fmt: skip
    return [session_of(orjson.loads(row[0])) for row in rows]


async def list_all_sessions(tx: SystemTx, tenant: TenantId, *, offset: int, limit: int) -> tuple[list[Session], int]:
    """One page of the live sessions of a tenant, the one used last first, and how many there are."""
    live = "from auth.sessions s where s.tenant_id = $1::text::uuid and s.ended_at is null and s.expires_at > now()"
    rows = await tx.fetch(
        "select " + _SESSION + f" {live} order by s.last_used_at desc, s.id limit $2::text::bigint offset $3::text::bigint",
        tenant, str(limit), str(offset),
    )  # fmt: skip
    total = await tx.fetch(f"select count(*)::text {live}", tenant)
    return [session_of(orjson.loads(row[0])) for row in rows], int(total[0][0])


async def select_owner(tx: SystemTx, tenant: TenantId, session: str) -> UserId | None:
    """Whose session it is."""
    rows = await tx.fetch(
        "select user_id::text from auth.sessions where tenant_id = $1::text::uuid and id = $2::text::uuid", tenant, session
    )
    return rows[0][0] if rows else None


async def end_sessions(
    tx: SystemTx, tenant: TenantId, user: UserId, *, reason: str, prefix: str, deny_seconds: int,
    only: SessionId | None = None, but: SessionId | None = None,
) -> int:  # fmt: skip
    """End one session, all, or all but one, and deny what access tokens they gave out; how many there were.

    Denied whenever it was last used: a step-up and a refresh repeated within the grace give tokens out, too.
    """
    rows = await tx.fetch(
        """with s as (
             update auth.sessions s set ended_at = now(), end_reason = $3::text
              where s.tenant_id = $1::text::uuid and s.user_id = $2::text::uuid and s.ended_at is null
                and ($6::text is null or s.id::text = $6::text) and ($7::text is null or s.id::text <> $7::text)
             returning s.id),
           d as (
             insert into auth.denylist (key, reason, expires_at)
             select $4::text || 'session:' || s.id, $3::text, now() + make_interval(secs => $5::text::integer) from s
             on conflict (key) do update set expires_at = greatest(auth.denylist.expires_at, excluded.expires_at))
           select count(*)::text from s""",
        tenant, user, reason, prefix, str(deny_seconds), only, but,
    )  # fmt: skip
    return int(rows[0][0])


async def deny_user(tx: SystemTx, user: UserId, *, reason: str, prefix: str, seconds: int | None) -> None:
    """Refuse every token of a user from the commit on, for ever or for so many seconds."""
    await tx.fetch(
        """insert into auth.denylist (key, reason, expires_at)
           values ($1::text, $2::text, now() + make_interval(secs => $3::text::double precision))
           on conflict (key) do update set reason = excluded.reason, expires_at = excluded.expires_at returning key""",
        f"{prefix}user:{user}", reason, None if seconds is None else str(seconds),
    )  # fmt: skip


async def allow_user(tx: SystemTx, user: UserId, *, prefix: str) -> None:
    """Undo :func:`deny_user`; sessions that ended meanwhile stay ended."""
    await tx.fetch("delete from auth.denylist where key = $1::text returning key", f"{prefix}user:{user}")


async def remove_expired(tx: SystemTx, tenant: TenantId) -> None:
    """Forget what can do nothing any more: sessions with their tokens, and what was denied until a time that has come."""
    await tx.fetch("delete from auth.denylist where expires_at < now() - interval '1 hour' returning key")
    await tx.fetch(
        "delete from auth.sessions where tenant_id = $1::text::uuid and expires_at < now() - interval '1 day' returning id", tenant
    )


async def is_fresh(tx: SystemTx, tenant: TenantId, session: SessionId, *, seconds: int) -> bool:
    """Whether the session's user proved himself within the last ``seconds``."""
    rows = await tx.fetch(
        """select id::text from auth.sessions where tenant_id = $1::text::uuid and id = $2::text::uuid and ended_at is null
              and authenticated_at > now() - make_interval(secs => $3::text::integer)""",
        tenant, session, str(seconds),
    )  # fmt: skip
    return bool(rows)

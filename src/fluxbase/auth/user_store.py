"""The SQL of ``auth.users`` and ``auth.identities``. Runs as ``fluxbase_system`` in one tenant's database; every query names the tenant.

Rows come as one JSON text, so it does not matter to which types the driver would turn the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth.users import User, user_of

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.ids import TenantId, UserId

FACTORS = """(select jsonb_agg(jsonb_build_object('id', f.id, 'factor_type', f.factor_type, 'status', f.status,
            'friendly_name', f.friendly_name, 'created_at', f.created_at, 'updated_at', f.updated_at,
            'last_challenged_at', f.last_challenged_at) order by f.created_at, f.id)
            from auth.factors f where f.tenant_id = u.tenant_id and f.user_id = u.id)"""
USER = f"""
select (to_jsonb(u) || jsonb_build_object(
          'is_banned', u.banned_until > now(), 'is_locked', u.locked_until > now(), 'factors', {FACTORS},
          'identities', (select jsonb_agg(i order by i.created_at, i.id) from auth.identities i
                          where i.tenant_id = u.tenant_id and i.user_id = u.id)))::text
  from auth.users u where u.tenant_id = $1::text::uuid and """  # noqa: S608 - constant columns
NORMALISED = "lower(normalize($2::text, nfkc))"


async def select_user(tx: SystemTx, tenant: TenantId, user: UserId, *, is_locking: bool = False) -> User | None:
    """By id; deleted users are not found. ``is_locking``: against changes until the transaction ends."""
    suffix = " for update of u" if is_locking else ""
    return _first(await tx.fetch(USER + "u.id = $2::text::uuid and u.deleted_at is null" + suffix, tenant, user))


async def select_user_by_email(tx: SystemTx, tenant: TenantId, email: str) -> User | None:
    """By address, whatever its case."""
    return _first(await tx.fetch(USER + "u.email_normalised = " + NORMALISED + " and u.deleted_at is null", tenant, email))


async def select_password(tx: SystemTx, tenant: TenantId, email: str) -> tuple[UserId, str | None] | None:
    """Whose address it is and his hash: what is read before a password is right, so that reading costs nearly what reading nothing does."""
    rows = await tx.fetch(
        "select u.id::text, u.encrypted_password from auth.users u where u.tenant_id = $1::text::uuid and u.email_normalised = "  # noqa: S608 - constant
        + NORMALISED
        + " and u.deleted_at is null",
        tenant, email,
    )  # fmt: skip
    return (rows[0][0], rows[0][1]) if rows else None


async def insert_user(tx: SystemTx, tenant: TenantId, values: dict[str, Any]) -> UserId | None:
    """A new row from column values; None when address or id is taken."""
    rows = await tx.fetch(
        """insert into auth.users (tenant_id, id, role, email, phone, encrypted_password, email_confirmed_at, raw_app_meta_data,
                                   raw_user_meta_data, is_anonymous, banned_until, password_changed_at, invited_at)
           select $1::text::uuid, coalesce(v.id, gen_random_uuid()), coalesce(v.role, 'authenticated'), v.email, v.phone,
                  v.encrypted_password, case when v.is_confirmed then now() end, coalesce(v.app_metadata, '{}'),
                  coalesce(v.user_metadata, '{}'), coalesce(v.is_anonymous, false), now() + make_interval(secs => v.ban_seconds),
                  case when v.encrypted_password is not null then now() end, case when v.is_invited then now() end
             from jsonb_to_record($2::text::jsonb) as v (id uuid, role text, email text, phone text, encrypted_password text,
                  is_confirmed boolean, app_metadata jsonb, user_metadata jsonb, is_anonymous boolean, ban_seconds double precision,
                  is_invited boolean)
           on conflict do nothing returning id::text""",
        tenant,
        orjson.dumps(values).decode(),
    )
    return rows[0][0] if rows else None


async def insert_identity(
    tx: SystemTx, tenant: TenantId, user: UserId, *, provider: str, issuer: str, subject: str, data: dict[str, Any]
) -> bool:
    """A new identity; False when somebody has it already."""
    rows = await tx.fetch(
        """insert into auth.identities (tenant_id, user_id, provider, issuer, subject, identity_data, last_sign_in_at)
           values ($1::text::uuid, $2::text::uuid, $3::text, $4::text, $5::text, $6::text::jsonb, now())
           on conflict do nothing returning id::text""",
        tenant, user, provider, issuer, subject, orjson.dumps(data).decode(),
    )  # fmt: skip
    return bool(rows)


async def put_email_identity(tx: SystemTx, tenant: TenantId, user: UserId, email: str, *, is_verified: bool) -> None:
    """The account's own address as an identity: made, or changed with the address."""
    data = {"sub": user, "email": email, "email_verified": is_verified, "phone_verified": False}
    await tx.fetch(
        """insert into auth.identities (tenant_id, user_id, provider, issuer, subject, identity_data, last_sign_in_at)
           values ($1::text::uuid, $2::text::uuid, 'email', 'email', $2::text, $3::text::jsonb, now())
           on conflict (tenant_id, issuer, subject) do update set identity_data = excluded.identity_data, updated_at = now()
           returning id::text""",
        tenant, user, orjson.dumps(data).decode(),
    )  # fmt: skip


async def update_user(tx: SystemTx, tenant: TenantId, user: UserId, changes: dict[str, Any]) -> bool:
    """Change columns that ``changes`` names; False when the new address is taken.

    ``email``, ``phone``, ``role``, ``encrypted_password``, ``user_metadata`` and ``app_metadata`` (merged; null removes a member),
    ``is_confirmed``, ``is_anonymous``, ``ban_seconds`` (null: lift), ``pending_email``, ``moves_epoch``.
    """
    rows = await tx.fetch(
        """with v as (select $3::text::jsonb as j)
           update auth.users u set
             email = case when j ? 'email' then j ->> 'email' else u.email end,
             phone = case when j ? 'phone' then j ->> 'phone' else u.phone end,
             role = coalesce(j ->> 'role', u.role),
             pending_email = case when j ? 'pending_email' then j ->> 'pending_email' else u.pending_email end,
             email_change_sent_at = case when j ->> 'pending_email' is not null then now() else u.email_change_sent_at end,
             encrypted_password = case when j ? 'encrypted_password' then j ->> 'encrypted_password' else u.encrypted_password end,
             password_changed_at = case when j ? 'encrypted_password' then now() else u.password_changed_at end,
             failed_attempts = case when j ? 'encrypted_password' then 0 else u.failed_attempts end,
             locked_until = case when j ? 'encrypted_password' then null else u.locked_until end,
             email_confirmed_at = case when j -> 'is_confirmed' = 'true' then coalesce(u.email_confirmed_at, now())
                                       when j -> 'is_confirmed' = 'false' then null else u.email_confirmed_at end,
             raw_user_meta_data = case when j ? 'user_metadata' then (u.raw_user_meta_data || (j -> 'user_metadata'))
                                         - array(select key from jsonb_each(j -> 'user_metadata') where value = 'null')
                                       else u.raw_user_meta_data end,
             raw_app_meta_data = case when j ? 'app_metadata' then (u.raw_app_meta_data || (j -> 'app_metadata'))
                                         - array(select key from jsonb_each(j -> 'app_metadata') where value = 'null')
                                      else u.raw_app_meta_data end,
             is_anonymous = coalesce((j ->> 'is_anonymous')::boolean, u.is_anonymous),
             banned_until = case when j ? 'ban_seconds' then now() + make_interval(secs => (j ->> 'ban_seconds')::double precision)
                                 else u.banned_until end,
             epoch = u.epoch + case when j -> 'moves_epoch' = 'true' then 1 else 0 end,
             updated_at = now()
            from v
           where u.tenant_id = $1::text::uuid and u.id = $2::text::uuid and u.deleted_at is null
             and not exists (select from auth.users o where j ->> 'email' is not null and o.tenant_id = u.tenant_id and o.id <> u.id
                              and o.deleted_at is null and o.email_normalised = lower(normalize(j ->> 'email', nfkc)))
          returning u.id::text""",
        tenant, user, orjson.dumps(changes).decode(),
    )  # fmt: skip
    return bool(rows)


async def count_failure(tx: SystemTx, tenant: TenantId, email: str, *, lock_after: int, lock_seconds: int) -> None:
    """A wrong password: at ``lock_after`` in a row the account is locked. For an address nobody has it changes no row, at the same cost:
    the commit of a count is not waited for, which the clock would tell; a crash of PostgreSQL may lose those of its last second."""
    await tx.fetch(
        """update auth.users u set
             failed_attempts = case when u.locked_until <= now() then 1 else u.failed_attempts + 1 end,
             locked_until = case when u.locked_until > now() then u.locked_until
                                 when case when u.locked_until <= now() then 1 else u.failed_attempts + 1 end >= $3::text::integer
                                 then now() + make_interval(secs => $4::text::integer) end
           where u.tenant_id = $1::text::uuid and u.email_normalised = """
        + NORMALISED
        + " and u.deleted_at is null and set_config('synchronous_commit', 'off', true) is not null returning u.id::text",
        tenant, email, str(lock_after), str(lock_seconds),
    )  # fmt: skip


async def replace_hash(tx: SystemTx, tenant: TenantId, user: UserId, old: str, new: str) -> None:
    """The same password under today's settings, unless it was changed meanwhile."""
    await tx.fetch(
        """update auth.users set encrypted_password = $4::text
            where tenant_id = $1::text::uuid and id = $2::text::uuid and encrypted_password = $3::text returning id::text""",
        tenant, user, old, new,
    )  # fmt: skip


async def list_users(tx: SystemTx, tenant: TenantId, *, offset: int, limit: int, search: str = "") -> tuple[list[User], int]:
    """One page, newest first, and how many there are. ``search`` is a part of the address."""
    matches = f"u.deleted_at is null and ($2::text = '' or strpos(u.email_normalised, {NORMALISED}) > 0 or u.id::text = $2::text)"
    rows = await tx.fetch(
        USER + matches + " order by u.created_at desc, u.id limit $3::text::bigint offset $4::text::bigint",
        tenant, search, str(limit), str(offset),
    )  # fmt: skip
    total = await tx.fetch("select count(*)::text from auth.users u where u.tenant_id = $1::text::uuid and " + matches, tenant, search)  # noqa: S608 - constant columns
    return [user_of(orjson.loads(row[0])) for row in rows], int(total[0][0])


async def delete_user(tx: SystemTx, tenant: TenantId, user: UserId, *, is_soft: bool) -> bool:
    """Remove the row, or keep it without anything that says who it was."""
    if is_soft:
        text = """update auth.users set deleted_at = now(), email = null, phone = null, encrypted_password = null, pending_email = null,
                         raw_user_meta_data = '{}', raw_app_meta_data = '{}', epoch = epoch + 1, updated_at = now()
                   where tenant_id = $1::text::uuid and id = $2::text::uuid and deleted_at is null returning id::text"""
        rows = await tx.fetch(text, tenant, user)
        await tx.fetch(
            "delete from auth.identities where tenant_id = $1::text::uuid and user_id = $2::text::uuid returning id::text", tenant, user
        )
        return bool(rows)
    text = "delete from auth.users where tenant_id = $1::text::uuid and id = $2::text::uuid returning id::text"
    return bool(await tx.fetch(text, tenant, user))


def _first(rows: list[tuple[Any, ...]]) -> User | None:
    return user_of(orjson.loads(rows[0][0])) if rows else None


async def move_epoch(tx: SystemTx, tenant: TenantId, user: UserId) -> None:
    """What began before now (a sign-in under way) ends in nothing."""
    await tx.fetch(
        "update auth.users set epoch = epoch + 1 where tenant_id = $1::text::uuid and id = $2::text::uuid returning id", tenant, user
    )

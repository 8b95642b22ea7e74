-- Tenants, sessions, keys and the denylist: what a request is checked against (DESIGN invariants 4, 5, 6).
create table platform.tenants (
  id uuid primary key default gen_random_uuid(),
  slug text not null unique,
  name text not null,
  db_name text not null,
  status text not null default 'active' check (status in ('creating', 'active', 'deleting', 'error')),
  is_default boolean not null default false,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index tenants_one_default on platform.tenants (is_default) where is_default;
insert into platform.tenants (slug, name, db_name, is_default) values ('default', 'Default', current_database(), true);

create table auth.sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  refresh_token_hash bytea,
  user_agent text,
  address inet,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz
);
create index sessions_user on auth.sessions (user_id);

-- 'jti:<id>', 'session:<id>', 'user:<id>', 'kid:<id>': refused from the commit on, on every node.
create table auth.denylist (
  key text primary key,
  reason text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz
);

create table auth.keys (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('anon', 'service')),
  role text not null,
  label text not null default '',
  opaque_hash bytea not null unique,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);

create table auth.signing_keys (
  kid text primary key,
  algorithm text not null,
  public_jwk jsonb not null,
  private_encrypted bytea not null,
  created_at timestamptz not null default now(),
  retired_at timestamptz
);

-- One row; the settings statement of every request returns it, so no listener per database is needed.
create table fluxbase.epoch (
  is_only boolean primary key default true check (is_only),
  schema_epoch bigint not null default 1,
  key_epoch bigint not null default 1,
  freeze_epoch bigint not null default 0,
  is_frozen boolean not null default false,
  is_closing boolean not null default false,  -- on_ddl is at work in this transaction: what it does itself needs no closing
  catalogue text not null default ''          -- where there are no event triggers: what notice_changes() saw last
);
insert into fluxbase.epoch default values;

create function fluxbase.move_key_epoch() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$ begin update fluxbase.epoch set key_epoch = key_epoch + 1; return null; end $$;
create trigger move_key_epoch after insert or update or delete on auth.keys for each statement execute function fluxbase.move_key_epoch();
create trigger move_key_epoch after insert or update or delete on auth.signing_keys for each statement execute function fluxbase.move_key_epoch();

-- Called in the settings statement of every request, before the statement itself can run. It raises: a check that
-- only returned false would let the next statement of the pipeline go on.
create function fluxbase.admit(deny_keys text[], expected_schema_epoch bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare now_at fluxbase.epoch%rowtype;
begin
  if exists (select from auth.denylist d where d.key = any (deny_keys)) then
    raise exception 'revoked' using errcode = 'FB001';
  end if;
  select * into now_at from fluxbase.epoch;
  if now_at.is_frozen then
    raise exception 'frozen' using errcode = 'FB003';
  end if;
  if expected_schema_epoch >= 0 and expected_schema_epoch <> now_at.schema_epoch then
    raise exception 'stale plan' using errcode = 'FB002';
  end if;
  return now_at.schema_epoch || ':' || now_at.key_epoch || ':' || now_at.freeze_epoch;
end $$;

revoke all on all tables in schema auth, platform, fluxbase from public;
revoke all on function fluxbase.admit(text[], bigint), fluxbase.move_key_epoch() from public;
grant execute on function fluxbase.admit(text[], bigint) to anon, authenticated, service_role, tenant_service;
grant select, insert, update, delete on auth.sessions, auth.denylist, auth.keys, auth.signing_keys, platform.tenants to fluxbase_system;
grant select on fluxbase.identity_key, fluxbase.epoch to fluxbase_system;

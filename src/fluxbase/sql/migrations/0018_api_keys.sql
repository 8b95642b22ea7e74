-- Keys that users and administrators make (contract-native 2.8; docs/keys.md): client keys with scopes, named service keys. Only
-- SHA-256 of a key is stored. Revoking or disabling writes the denylist; a change of what a key may do denies the version before it.
create table auth.api_keys (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('client', 'service')),
  role text not null check (role in ('anon', 'authenticated', 'service_role')),
  name text not null,
  description text not null default '',
  key_prefix text not null,   -- what people recognise it by: its first letters
  key_hash bytea not null unique,
  user_id uuid,               -- whom a client key acts for
  scopes text[] not null,     -- '*' among them: all
  tables jsonb,               -- null: all; "schema.table" -> ["select", …]
  networks text[] not null default '{}',
  rate_limit_per_minute integer not null default 100 check (rate_limit_per_minute > 0),
  rate_limit_per_hour integer,
  is_enabled boolean not null default true,
  version integer not null default 0,
  created_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_used_at timestamptz,
  last_used_address text,
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  revocation_reason text,
  deprecated_at timestamptz,
  grace_period_ends_at timestamptz,
  replaced_by uuid,
  check (role <> 'service_role' or kind = 'service')
);
create index api_keys_owner on auth.api_keys (tenant_id, kind, user_id);

create function fluxbase.deny_key() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' or new.revoked_at is not null or not new.is_enabled then
    insert into auth.denylist (key, reason) values ('key:' || old.id, 'key revoked') on conflict (key) do nothing;
  elsif not old.is_enabled then
    delete from auth.denylist where key = 'key:' || new.id;
  end if;
  if tg_op = 'UPDATE' and new.version > old.version then
    insert into auth.denylist (key, reason, expires_at) values (format('claims:key:%s:%s', old.id, old.version), 'key changed', now() + interval '1 day')
      on conflict (key) do nothing;
  end if;
  return null;
end $$;
create trigger deny_key after update or delete on auth.api_keys for each row execute function fluxbase.deny_key();
create trigger move_key_epoch after delete or update of version, revoked_at, is_enabled, expires_at, grace_period_ends_at on auth.api_keys
  for each statement execute function fluxbase.move_key_epoch();

revoke all on auth.api_keys from public;
revoke all on function fluxbase.deny_key() from public;
grant select, insert, update, delete on auth.api_keys to fluxbase_system;

-- Second factors, passkeys and captcha (threats B22 to B26). Every row names its tenant; client roles get nothing.
create table auth.factors (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  factor_type text not null check (factor_type in ('totp', 'webauthn', 'recovery_code')),
  status text not null default 'unverified' check (status in ('unverified', 'verified')),
  friendly_name text not null default '' check (length(friendly_name) <= 120),
  secret_encrypted bytea,            -- TOTP; sealed with the master key, bound to tenant and factor
  last_step bigint not null default 0,  -- the last accepted step: a code is good once
  last_challenged_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index factors_user on auth.factors (tenant_id, user_id);
create unique index factors_name on auth.factors (tenant_id, user_id, friendly_name) where friendly_name <> '' and status = 'verified';

create table auth.recovery_codes (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  code_hash bytea not null,          -- HMAC with a key derived from the master key
  created_at timestamptz not null default now(),
  used_at timestamptz,
  unique (tenant_id, user_id, code_hash),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);

-- Between the first and the second step, and between a challenge and its answer. Bound to user, way of sign-in and device.
create table auth.factor_tickets (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  purpose text not null check (purpose in ('sign_in', 'step_up', 'challenge')),
  token_hash bytea unique,           -- null for a challenge, which is answered with the user's own session
  user_id uuid not null,
  session_id uuid,
  factor_id uuid references auth.factors (id) on delete cascade,
  methods text[] not null default '{}',
  device_hash bytea not null,
  attempts integer not null default 0,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index factor_tickets_expiry on auth.factor_tickets (expires_at);

-- Looks at codes of an account in the current window; counted before a code is looked at, so that parallel guesses count too.
create table auth.factor_attempts (
  tenant_id uuid not null,
  user_id uuid not null,
  attempts integer not null default 0,
  window_ends_at timestamptz not null,
  locked_until timestamptz,
  primary key (tenant_id, user_id),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);

create table auth.passkeys (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  factor_id uuid references auth.factors (id) on delete cascade,  -- set: a security key that is a second factor only
  credential_id bytea not null,
  public_key bytea not null,
  sign_count bigint not null default 0,
  transports text[] not null default '{}',
  friendly_name text not null default '' check (length(friendly_name) <= 120),
  is_backed_up boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_used_at timestamptz,
  unique (tenant_id, credential_id),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index passkeys_user on auth.passkeys (tenant_id, user_id);

create table auth.webauthn_challenges (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  purpose text not null check (purpose in ('registration', 'authentication', 'factor')),
  challenge bytea not null,
  user_id uuid,
  session_id uuid,
  factor_id uuid references auth.factors (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index webauthn_challenges_expiry on auth.webauthn_challenges (expires_at);

-- Solutions of proof-of-work challenges that were used; a challenge itself is signed and needs no row.
create table auth.captcha_spent (
  tenant_id uuid not null,
  digest bytea not null,
  expires_at timestamptz not null,
  primary key (tenant_id, digest)
);
create index captcha_spent_expiry on auth.captcha_spent (expires_at);

revoke all on auth.factors, auth.recovery_codes, auth.factor_tickets, auth.factor_attempts, auth.passkeys, auth.webauthn_challenges,
  auth.captcha_spent from public;
grant select, insert, update, delete on auth.factors, auth.recovery_codes, auth.factor_tickets, auth.factor_attempts, auth.passkeys,
  auth.webauthn_challenges, auth.captcha_spent to fluxbase_system;

-- The assurance level of the request: 'aal2' when a second factor, or a passkey that verified its user, is behind the session.
create function auth.aal() returns text
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return coalesce(fluxbase.verified_claims()::jsonb ->> 'aal', 'aal1'); end $$;
revoke all on function auth.aal() from public;
grant execute on function auth.aal() to anon, authenticated, service_role, tenant_service, fluxbase_system, fluxbase_owner;

-- Closes a table to sessions without a second factor, whatever its other policies allow. Undone with DROP POLICY fluxbase_aal2.
create function auth.require_aal2(target regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare relation record;
begin
  select n.nspname, c.relname into relation from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target;
  if not exists (select from pg_policy p where p.polrelid = target and p.polname = 'fluxbase_aal2') then
    execute format('create policy fluxbase_aal2 on %I.%I as restrictive '
                   'using ((select auth.aal()) = ''aal2'' or (select auth.role()) = ''tenant_service'') '
                   'with check ((select auth.aal()) = ''aal2'' or (select auth.role()) = ''tenant_service'')', relation.nspname, relation.relname);
  end if;
end $$;
revoke all on function auth.require_aal2(regclass) from public;
grant execute on function auth.require_aal2(regclass) to fluxbase_owner;

-- 'factor:<id>' among the deny keys of a token of level aal2: the factor behind it is gone, so the request goes on as aal1 (FB005);
-- 'factor-pending:<id>': its user has another factor, which must be used first (FB006). The gravest reason comes first.
create or replace function fluxbase.admit(deny_keys text[], expected_schema_epoch bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_at fluxbase.epoch%rowtype;
  denied text;
begin
  select d.key into denied from auth.denylist d where d.key = any (deny_keys)
   order by d.key like 'claims:%', d.key like 'factor:%', d.key like 'factor-pending:%', d.key like 'frozen:%' limit 1;
  select * into now_at from fluxbase.epoch;
  if denied is not null and denied not like 'frozen:%' and denied not like 'claims:%' and denied not like 'factor%' then
    raise exception 'revoked' using errcode = 'FB001';
  end if;
  if now_at.is_frozen or denied like 'frozen:%' then
    raise exception 'frozen' using errcode = 'FB003';
  end if;
  if denied like 'factor-pending:%' then
    raise exception 'second factor needed' using errcode = 'FB006';
  end if;
  if denied like 'factor:%' then
    raise exception 'factor removed' using errcode = 'FB005';
  end if;
  if denied is not null then
    raise exception 'stale claims' using errcode = 'FB004';
  end if;
  if expected_schema_epoch >= 0 and expected_schema_epoch <> now_at.schema_epoch then
    raise exception 'stale plan' using errcode = 'FB002';
  end if;
  return now_at.schema_epoch || ':' || now_at.key_epoch || ':' || now_at.freeze_epoch;
end $$;

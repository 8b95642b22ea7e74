-- Accounts, sessions and refresh tokens (contract-native 1.1, 2.3; contract-supabase 2). Column names are GoTrue's where it has
-- one, so that seeds and definer functions written for its tables work. Every row names its tenant: tenants may share a database.
create table auth.users (
  tenant_id uuid not null default auth.tenant_id(),
  instance_id uuid,
  id uuid primary key default gen_random_uuid(),
  aud text not null default 'authenticated',
  role text not null default 'authenticated' check (role not in ('service_role', 'tenant_service')),
  email text check (length(email) <= 255),
  email_normalised text generated always as (lower(normalize(nullif(email, ''), nfkc))) stored,
  phone text,
  encrypted_password text,
  email_confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_token text default '',
  confirmation_sent_at timestamptz,
  recovery_token text default '',
  recovery_sent_at timestamptz,
  email_change_token_new text default '',
  email_change_token_current text default '',
  email_change text default '',
  email_change_sent_at timestamptz,
  reauthentication_sent_at timestamptz,
  phone_confirmed_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb not null default '{}',
  raw_user_meta_data jsonb not null default '{}',
  is_super_admin boolean,
  is_sso_user boolean not null default false,
  is_anonymous boolean not null default false,
  banned_until timestamptz,
  failed_attempts integer not null default 0,
  locked_until timestamptz,
  pending_email text,
  password_changed_at timestamptz,
  epoch integer not null default 0,  -- moves with password, ban, deletion, factors: what began before it ends nothing
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (tenant_id, id)
);
create unique index users_email on auth.users (tenant_id, email_normalised) where deleted_at is null;
create index users_created on auth.users (tenant_id, created_at, id);

-- Who somebody is elsewhere. The key is (issuer, subject), never the e-mail address (threats B9-B15).
create table auth.identities (
  tenant_id uuid not null default auth.tenant_id(),
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  provider text not null,
  issuer text not null,
  subject text not null,
  identity_data jsonb not null default '{}',
  email text generated always as (lower(identity_data ->> 'email')) stored,
  last_sign_in_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (tenant_id, issuer, subject),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index identities_user on auth.identities (tenant_id, user_id);

alter table auth.sessions
  drop column refresh_token_hash,
  add column tenant_id uuid not null,
  add column aal text not null default 'aal1' check (aal in ('aal1', 'aal2')),
  add column amr jsonb not null default '[]',
  add column factor_ids uuid[] not null default '{}',
  add column authenticated_at timestamptz not null default now(),  -- when its user last proved who he is: step-up looks here
  add column end_reason text,
  add constraint sessions_user_fkey foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade;
drop index auth.sessions_user;
create index sessions_user on auth.sessions (tenant_id, user_id);
create index sessions_expiry on auth.sessions (expires_at);

-- Only hashes. A token that was used stays until its session expires, so that its reuse is noticed (threat B22).
create table auth.refresh_tokens (
  token_hash bytea primary key,
  tenant_id uuid not null,
  session_id uuid not null references auth.sessions (id) on delete cascade,
  parent_hash bytea,
  created_at timestamptz not null default now(),
  used_at timestamptz,
  expires_at timestamptz not null
);
create index refresh_tokens_session on auth.refresh_tokens (session_id);

create index denylist_expiry on auth.denylist (expires_at);

revoke all on auth.users, auth.identities, auth.refresh_tokens from public;
grant select, insert, update, delete on auth.users, auth.identities, auth.refresh_tokens to fluxbase_system;
-- The administrator of the data: seeds, foreign keys to auth.users, triggers on it, definer functions that read it.
grant select, insert, update, delete, references, trigger on auth.users, auth.identities to fluxbase_owner;

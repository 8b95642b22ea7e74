-- Signing in with identity providers (contract-native 1.1, contract-supabase 2.2). Only hashes of what travels; secrets are sealed.

-- A flow between its start and the provider's answer. browser_hash is null until a browser has followed the start link.
create table auth.oauth_states (
  tenant_id uuid not null,
  state_hash bytea primary key,
  purpose text not null check (purpose in ('sign_in', 'link')),
  user_id uuid,
  provider text not null,
  redirect_to text not null,
  scopes text not null default '',
  code_challenge text,
  browser_hash bytea,
  nonce text,
  verifier_sealed bytea,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  check ((purpose = 'link') = (user_id is not null)),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index oauth_states_expiry on auth.oauth_states (expires_at);

-- What the provider proved, until the app fetches its session with ?code= (RFC 7636). Nothing has happened to any account yet.
create table auth.flow_codes (
  tenant_id uuid not null,
  code_hash bytea primary key,
  purpose text not null check (purpose in ('sign_in', 'link')),
  user_id uuid,
  identity jsonb not null,
  method text not null,
  tokens_sealed bytea,
  code_challenge text,
  device_hash bytea not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index flow_codes_expiry on auth.flow_codes (expires_at);

-- The provider's own tokens, for calling its API on behalf of the user.
create table auth.provider_tokens (
  tenant_id uuid not null,
  identity_id uuid primary key references auth.identities (id) on delete cascade,
  user_id uuid not null,
  provider text not null,
  tokens_sealed bytea not null,
  expires_at timestamptz,
  updated_at timestamptz not null default now(),
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index provider_tokens_user on auth.provider_tokens (tenant_id, user_id);

-- ID tokens and SAML assertions that signed somebody in: each once.
create table auth.used_assertions (
  tenant_id uuid not null,
  assertion_hash bytea not null,
  expires_at timestamptz not null,
  primary key (tenant_id, assertion_hash)
);
create index used_assertions_expiry on auth.used_assertions (expires_at);

revoke all on auth.oauth_states, auth.flow_codes, auth.provider_tokens, auth.used_assertions from public;
grant select, insert, update, delete on auth.oauth_states, auth.flow_codes, auth.provider_tokens, auth.used_assertions to fluxbase_system;

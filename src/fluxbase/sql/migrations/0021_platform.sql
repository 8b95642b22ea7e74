-- Platform administrators (contract-native 1.2, 2.4, 3.3; docs/platform.md). Their accounts are users of a tenant of their own, which
-- no request can name: own signing keys, so that no application's token is ever one of theirs. What is here stands in the main database.
create table platform.tenant_admins (
  tenant_id uuid not null references platform.tenants (id) on delete cascade,
  user_id uuid not null,
  assigned_by text not null,
  assigned_at timestamptz not null default now(),
  primary key (tenant_id, user_id)
);
create index tenant_admins_user on platform.tenant_admins (user_id);

create table platform.setup_token (
  is_only boolean primary key default true check (is_only),
  token_hash bytea not null,
  created_at timestamptz not null default now()
);

create table platform.invitations (
  id uuid primary key default gen_random_uuid(),
  token_hash bytea not null unique,
  email text not null,
  role text not null check (role in ('instance_admin', 'tenant_admin')),
  for_tenant uuid references platform.tenants (id) on delete cascade,
  invited_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  check (role = 'instance_admin' or for_tenant is not null)
);

-- In each tenant's own database: an administrator of the platform at work in it. His requests are refused when the row has ended.
create table auth.platform_entries (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null,
  user_id uuid not null,
  platform_session uuid not null,
  address text not null,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  unique (tenant_id, platform_session)
);

revoke all on platform.tenant_admins, platform.setup_token, platform.invitations, auth.platform_entries from public;
grant select, insert, update, delete on platform.tenant_admins, platform.setup_token, platform.invitations, auth.platform_entries
  to fluxbase_system;

-- Who acted as whom, why, from when to when (contract-native 1.1, 2.4). The id is the session of the token that was given.
create table auth.impersonations (
  tenant_id uuid not null,
  id uuid primary key,
  admin_user_id uuid not null,
  target_user_id uuid,
  impersonation_type text not null check (impersonation_type in ('user', 'anon', 'service')),
  target_role text not null,
  reason text not null check (reason <> ''),
  ip_address text,
  user_agent text,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  expires_at timestamptz not null
);
create index impersonations_admin on auth.impersonations (tenant_id, admin_user_id, started_at desc);
revoke all on auth.impersonations from public;
grant select, insert, update on auth.impersonations to fluxbase_system;

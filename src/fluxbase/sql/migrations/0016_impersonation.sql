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

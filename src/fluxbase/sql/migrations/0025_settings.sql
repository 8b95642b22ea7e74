-- What a tenant has otherwise than the instance (config/tenants.py): in its own database, one row a key, read by the server alone.
-- A secret is sealed with the master key, bound to tenant and key: a row copied elsewhere does not open (docs/settings.md).
create table platform.tenant_settings (
  tenant_id uuid not null,
  key text not null check (length(key) between 1 and 200),
  value jsonb,
  sealed bytea,
  updated_at timestamptz not null default now(),
  updated_by text not null,
  primary key (tenant_id, key),
  check ((value is null) <> (sealed is null))
);
create trigger move_key_epoch after insert or update or delete on platform.tenant_settings
  for each statement execute function fluxbase.move_key_epoch();
revoke all on platform.tenant_settings from public;
grant select, insert, update, delete on platform.tenant_settings to fluxbase_system;

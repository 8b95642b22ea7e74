-- Tenants that share a database, told apart by rows (isolation 'row'; docs/decisions/0031). In such a database
-- fluxbase.this_tenant is empty and the tenant comes from the claims, which the server signs.
alter table platform.tenants drop constraint tenants_isolation_check;
alter table platform.tenants add constraint tenants_isolation_check check (isolation in ('database', 'row'));

create or replace function auth.tenant_id() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare own uuid := (select tenant_id from fluxbase.this_tenant);
begin
  if own is not null then
    return own;
  end if;
  return (fluxbase.verified_claims()::jsonb ->> 'tenant_id')::uuid;
end $$;

-- Whose key: in a database of its own there is one tenant, in a shared one every query names it.
alter table auth.keys add column tenant_id uuid;
alter table auth.signing_keys add column tenant_id uuid;
update auth.keys set tenant_id = (select tenant_id from fluxbase.this_tenant);
update auth.signing_keys set tenant_id = (select tenant_id from fluxbase.this_tenant);
alter table auth.keys alter column tenant_id set not null;
alter table auth.signing_keys alter column tenant_id set not null;
create index keys_tenant on auth.keys (tenant_id);
create index signing_keys_tenant on auth.signing_keys (tenant_id);

-- 'frozen:<tenant>' among the deny keys: this tenant alone is frozen, not the database.
create or replace function fluxbase.admit(deny_keys text[], expected_schema_epoch bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_at fluxbase.epoch%rowtype;
  denied text;
begin
  select d.key into denied from auth.denylist d where d.key = any (deny_keys) order by d.key like 'frozen:%' limit 1;
  select * into now_at from fluxbase.epoch;
  if now_at.is_frozen or denied like 'frozen:%' then
    raise exception 'frozen' using errcode = 'FB003';
  end if;
  if denied is not null then
    raise exception 'revoked' using errcode = 'FB001';
  end if;
  if expected_schema_epoch >= 0 and expected_schema_epoch <> now_at.schema_epoch then
    raise exception 'stale plan' using errcode = 'FB002';
  end if;
  return now_at.schema_epoch || ':' || now_at.key_epoch || ':' || now_at.freeze_epoch;
end $$;

-- Tenants (DESIGN invariant 6, threats A4, A5, F57). The main database keeps the register; each tenant's database knows
-- only itself. What a tenant may read of the main database passes postgres_fdw as its own login, never as an administrator.
alter table platform.tenants
  add column locator text unique,                -- names the tenant in keys and key ids (crypto/opaque.py)
  add column isolation text not null default 'database' check (isolation in ('database')),
  add column hosts text[] not null default '{}',
  add column step text,                          -- the step of the lifecycle that is under way or failed
  add column failure text;

-- Which tenant this database is. A claim can never name another: auth.tenant_id() reads this row.
create table fluxbase.this_tenant (
  is_only boolean primary key default true check (is_only),
  tenant_id uuid not null
);
revoke all on fluxbase.this_tenant from public;
insert into fluxbase.this_tenant (tenant_id) select id from platform.tenants where is_default;

create or replace function auth.tenant_id() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$ begin return (select tenant_id from fluxbase.this_tenant); end $$;

-- Far side of the foreign tables. Who asks is session_user, looked up in a table no tenant can write; the setting
-- app.current_tenant_id of the login is a convenience and widens nothing.
create table platform.fdw_logins (
  login name primary key,
  tenant_id uuid not null unique references platform.tenants (id) on delete cascade
);
revoke all on platform.fdw_logins from public;
create schema shared_export;
revoke all on schema shared_export from public;
create view shared_export.tenant with (security_barrier = true) as
  select t.id, t.slug, t.name, t.status, t.metadata, t.created_at
    from platform.tenants t join platform.fdw_logins l on l.tenant_id = t.id
   where l.login = session_user;
revoke all on shared_export.tenant from public;

grant select, insert, update, delete on platform.fdw_logins to fluxbase_system;
grant select, update on fluxbase.this_tenant to fluxbase_system;
grant select, update on fluxbase.epoch to fluxbase_system;

-- A database that many tenants share, told apart by rows (threats A4, F54). Whatever table appears in an exposed schema
-- has a tenant_id, a restrictive policy on it and nothing a client can do about it before the statement ends; whoever
-- drops or alters one of these finds it there again. Run when it has changed; every statement may be run twice.
create table if not exists fluxbase.shared_rows (is_only boolean primary key default true check (is_only));
alter table fluxbase.shared_rows add column if not exists digest text;  -- of this file, when it was run last
-- What the template's migrations made was born where nobody is tenant_service: it gets what service_role was given.
do $$
declare item record;
begin
  if exists (select from fluxbase.shared_rows) then
    return;
  end if;
  for item in
    select format('grant usage on schema %I to tenant_service', e.name) as statement
      from fluxbase.exposed_schemas e where to_regnamespace(quote_ident(e.name)) is not null
    union all
    select format('grant %s on %s %s to tenant_service', a.privilege_type, case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname, aclexplode(c.relacl) a
     where a.grantee = 'service_role'::regrole
    union all
    select format('grant execute on routine %s to tenant_service', p.oid::regprocedure)
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace join fluxbase.exposed_schemas e on e.name = n.nspname, aclexplode(p.proacl) a
     where a.grantee = 'service_role'::regrole
  loop
    execute item.statement;
  end loop;
end $$;
insert into fluxbase.shared_rows default values on conflict do nothing;
revoke all on fluxbase.shared_rows from public;
delete from fluxbase.this_tenant;
delete from platform.tenants;

-- Tenants with a schema of their own here (docs/decisions/0032): every table in it has a policy that names the tenant.
create table if not exists fluxbase.tenant_schemas (name text primary key, tenant_id uuid not null unique);
revoke all on fluxbase.tenant_schemas from public;
insert into fluxbase.exposed_schemas select name from fluxbase.tenant_schemas on conflict do nothing;

-- What the restrictive policy of a table must say, as PostgreSQL writes it back.
create or replace function fluxbase.tenant_condition(relation oid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select format('(( SELECT auth.tenant_id() AS tenant_id) = %L::uuid)', s.tenant_id)
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.tenant_schemas s on s.name = n.nspname
                    where c.oid = relation),
                  '(tenant_id = ( SELECT auth.tenant_id() AS tenant_id))')
$$;

-- 'right', 'wrong' or 'missing': the restrictive policy of one table.
create or replace function fluxbase.tenant_wall(relation oid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select coalesce((
    select case when not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'
                 and pg_get_expr(p.polqual, p.polrelid) = fluxbase.tenant_condition(relation)
                 and pg_get_expr(p.polwithcheck, p.polrelid) = pg_get_expr(p.polqual, p.polrelid)
                then 'right' else 'wrong' end
      from pg_policy p where p.polrelid = relation and p.polname = 'fluxbase_tenant'), 'missing')
$$;

create or replace function fluxbase.keep_rows_apart(relation oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  target record;
begin
  select n.nspname, c.relname, c.relispartition,
         s.tenant_id as own, s.tenant_id is not null or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as has_tenant
    into target
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
    left join fluxbase.tenant_schemas s on s.name = n.nspname
   where c.oid = relation and c.relkind in ('r', 'p')
     and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
  if not found then
    return;
  end if;
  if not target.has_tenant then
    execute format('alter table %I.%I add column tenant_id uuid not null default auth.tenant_id()', target.nspname, target.relname);
    if not target.relispartition then
      execute format('create index on %I.%I (tenant_id)', target.nspname, target.relname);
    end if;
  end if;
  -- The drop fires the trigger, which makes the policy anew: so look again before making it here.
  if fluxbase.tenant_wall(relation) = 'wrong' then
    execute format('drop policy fluxbase_tenant on %I.%I', target.nspname, target.relname);
  end if;
  if fluxbase.tenant_wall(relation) = 'missing' then
    if target.own is null then
      execute format('create policy fluxbase_tenant on %I.%I as restrictive using (tenant_id = (select auth.tenant_id())) '
                     'with check (tenant_id = (select auth.tenant_id()))', target.nspname, target.relname);
    else
      execute format('create policy fluxbase_tenant on %I.%I as restrictive using ((select auth.tenant_id()) = %L::uuid) '
                     'with check ((select auth.tenant_id()) = %L::uuid)', target.nspname, target.relname, target.own, target.own);
    end if;
  end if;
  if not exists (select from pg_policy p where p.polrelid = relation and p.polname = 'fluxbase_tenant_service') then
    execute format('create policy fluxbase_tenant_service on %I.%I to tenant_service using (true) with check (true)', target.nspname, target.relname);
  end if;
end $$;

create or replace function fluxbase.keep_all_rows_apart() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare item record;
begin
  for item in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
               where c.relkind in ('r', 'p') loop
    perform fluxbase.keep_rows_apart(item.oid);
  end loop;
end $$;

-- Idempotent, so the triggers that its own statements fire find nothing to do: no guard that SQL could set is needed.
create or replace function fluxbase.on_shared_ddl() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$ begin perform fluxbase.keep_all_rows_apart(); end $$;

revoke all on function fluxbase.tenant_condition(oid), fluxbase.tenant_wall(oid), fluxbase.keep_rows_apart(oid), fluxbase.keep_all_rows_apart(), fluxbase.on_shared_ddl() from public;
select fluxbase.keep_all_rows_apart();

drop event trigger if exists fluxbase_shared_ddl;
create event trigger fluxbase_shared_ddl on ddl_command_end
  when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE POLICY', 'ALTER POLICY',
               'DROP POLICY', 'IMPORT FOREIGN SCHEMA')
  execute function fluxbase.on_shared_ddl();
alter event trigger fluxbase_shared_ddl enable always;

create or replace function fluxbase.make_tenant_schema(schema_name text, tenant uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  insert into fluxbase.tenant_schemas values (schema_name, tenant) on conflict do nothing;
  insert into fluxbase.exposed_schemas values (schema_name) on conflict do nothing;
  if to_regnamespace(quote_ident(schema_name)) is null then
    execute format('create schema %I authorization fluxbase_owner', schema_name);
  end if;
end $$;
revoke all on function fluxbase.make_tenant_schema(text, uuid) from public;

-- Schema and rows of one tenant, for a hard delete, in the system's tables too; what was audited stays. Foreign keys decide the order: tables that still refer to others wait.
create or replace function fluxbase.delete_tenant_rows(tenant uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare item record;
begin
  for item in select name from fluxbase.tenant_schemas where tenant_id = tenant loop
    execute format('drop schema if exists %I cascade', item.name);
    delete from fluxbase.exposed_schemas where name = item.name;
    delete from fluxbase.tenant_schemas where name = item.name;
  end loop;
  set constraints all deferred;
  for item in select n.nspname, c.relname
                from pg_class c join pg_namespace n on n.oid = c.relnamespace
                join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
               where c.relkind in ('r', 'p') and not c.relispartition and n.nspname <> 'audit'
                 and (n.nspname in ('auth', 'platform', 'storage', 'realtime', 'mail') or exists (select from fluxbase.exposed_schemas e where e.name = n.nspname)) loop
    execute format('alter table %I.%I disable trigger all', item.nspname, item.relname);
    execute format('delete from %I.%I where tenant_id::text = %L', item.nspname, item.relname, tenant);
    execute format('alter table %I.%I enable trigger all', item.nspname, item.relname);
  end loop;
end $$;
revoke all on function fluxbase.delete_tenant_rows(uuid) from public;

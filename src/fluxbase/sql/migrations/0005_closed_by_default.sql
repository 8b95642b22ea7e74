-- Closed by default (DESIGN invariant 1, threats A1, F52, F53): whatever appears in an exposed schema is protected before the
-- statement ends. One function does the work, for one object; the event trigger calls it for what a command touched,
-- provision() for what was there before.
create table fluxbase.exposed_schemas (name text primary key);
create table fluxbase.open_relations (schema_name text not null, relation_name text not null, primary key (schema_name, relation_name));
create table fluxbase.client_roles (name text primary key);
revoke all on fluxbase.exposed_schemas, fluxbase.open_relations, fluxbase.client_roles from public;

create function fluxbase.close_relation(relation oid, is_birth boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  target record;
  client text;
begin
  select c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, n.nspname, c.relname,
         format('%I.%I', n.nspname, c.relname) as name
    into target
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
   where c.oid = relation
     and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = relation and d.deptype = 'e');
  if not found then
    return;
  end if;
  if target.relkind in ('r', 'p') then
    if not (target.relrowsecurity and target.relforcerowsecurity)
       and not exists (select from fluxbase.open_relations o where o.schema_name = target.nspname and o.relation_name = target.relname) then
      execute format('alter table %s enable row level security, force row level security', target.name);
      if not is_birth then
        raise notice 'row level security of % stays on; to open it list it in data.open_relations', target.name;
      end if;
    end if;
  elsif target.relkind = 'v' and is_birth then
    if not exists (select from unnest(target.reloptions) o where o like 'security_invoker=%') then
      execute format('alter view %s set (security_invoker = true)', target.name);
    elsif not exists (select from unnest(target.reloptions) o where o in ('security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes')) then
      return;  -- the owner's rights were asked for in so many words: respected, and given to nobody
    end if;
  end if;
  if is_birth and target.relkind = 'S' then
    for client in select name from fluxbase.client_roles loop
      execute format('grant usage on sequence %s to %I', target.name, client);
    end loop;
  end if;
  if is_birth and target.relkind in ('r', 'p', 'v') then
    for client in select name from fluxbase.client_roles loop
      execute format('grant select, insert, update, delete on %s to %I', target.name, client);
    end loop;
  end if;
end $$;

create function fluxbase.close_function(routine oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  target record;
  client text;
begin
  select p.prosecdef, p.prokind, p.prorettype, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name
    into target
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join fluxbase.exposed_schemas e on e.name = n.nspname
   where p.oid = routine
     and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = routine and d.deptype = 'e');
  if not found then
    return;
  end if;
  execute format('revoke execute on routine %s from public', target.name);
  for client in select name from fluxbase.client_roles loop
    if target.prosecdef then  -- also when an invoker function was replaced by a definer one
      execute format('revoke execute on routine %s from %I', target.name, client);
    else
      execute format('grant execute on routine %s to %I', target.name, client);
    end if;
  end loop;
end $$;

-- A policy that calls auth.uid() bare runs it for every row: said at birth, mended by migrate and doctor --fix.
create function fluxbase.note_slow_policy(policy oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare target record;
begin
  select p.polname, p.polrelid::regclass::text as relation,
         coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as text
    into target from pg_policy p where p.oid = policy;
  if regexp_replace(target.text, '\( SELECT auth\.[a-z_]+\(\) AS [a-z_]+\)', '', 'g') ~ 'auth\.(uid|jwt|role|email|tenant_id)\(\)' then
    raise notice 'policy % on % calls auth functions for every row; write (select auth.uid()) instead: fluxbase doctor --fix does it',
      target.polname, target.relation;
  end if;
end $$;

create function fluxbase.on_ddl() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  command record;
  depth text := current_setting('fluxbase.ddl_depth', true);
  is_birth boolean;
begin
  if depth = 'inside' then
    return;
  end if;
  perform set_config('fluxbase.ddl_depth', 'inside', true);
  begin
    for command in select * from pg_event_trigger_ddl_commands() loop
      if command.in_extension then
        continue;
      end if;
      is_birth := command.command_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW', 'CREATE SCHEMA', 'CREATE SEQUENCE')
        or (command.command_tag like 'ALTER%' and not exists (select from fluxbase.known_relations k where k.relation = command.objid));
      if command.classid = 'pg_class'::regclass then
        perform fluxbase.close_relation(command.objid, is_birth and not exists (select from fluxbase.known_relations k where k.relation = command.objid));
        if exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
                    where c.oid = command.objid) then
          insert into fluxbase.known_relations values (command.objid) on conflict do nothing;
        end if;
      elsif command.classid = 'pg_proc'::regclass and command.command_tag in ('CREATE FUNCTION', 'CREATE PROCEDURE', 'ALTER FUNCTION', 'ALTER PROCEDURE', 'ALTER ROUTINE')
            and not exists (select from fluxbase.known_functions k where k.routine = command.objid and k.is_definer = (select prosecdef from pg_proc where oid = command.objid)) then
        perform fluxbase.close_function(command.objid);
        insert into fluxbase.known_functions select oid, prosecdef from pg_proc where oid = command.objid
          on conflict (routine) do update set is_definer = excluded.is_definer;
      elsif command.classid = 'pg_policy'::regclass then
        perform fluxbase.note_slow_policy(command.objid);
      elsif command.classid = 'pg_namespace'::regclass and exists (select from fluxbase.exposed_schemas e where e.name = replace(command.object_identity, '"', '')) then
        perform fluxbase.open_schema(replace(command.object_identity, '"', ''));
      end if;
    end loop;
    update fluxbase.epoch set schema_epoch = schema_epoch + 1;
  exception when others then
    perform set_config('fluxbase.ddl_depth', '', true);
    raise;
  end;
  perform set_config('fluxbase.ddl_depth', '', true);
end $$;

-- Grants are given once, at birth: an ALTER must not give again what its owner revoked.
create table fluxbase.known_relations (relation oid primary key);
create table fluxbase.known_functions (routine oid primary key, is_definer boolean not null);
revoke all on fluxbase.known_relations, fluxbase.known_functions from public;

create function fluxbase.open_schema(schema_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare client text;
begin
  for client in select name from fluxbase.client_roles loop
    execute format('grant usage on schema %I to %I', schema_name, client);
  end loop;
end $$;

create function fluxbase.on_drop() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from fluxbase.known_relations k using pg_event_trigger_dropped_objects() d where d.classid = 'pg_class'::regclass and d.objid = k.relation;
  delete from fluxbase.known_functions k using pg_event_trigger_dropped_objects() d where d.classid = 'pg_proc'::regclass and d.objid = k.routine;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1;
end $$;

-- What stood in the exposed schemas before Fluxbase did (or before its triggers): closed, with the grants of a birth.
create function fluxbase.close_everything() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare item record;
begin
  for item in select name from fluxbase.exposed_schemas e where exists (select from pg_namespace n where n.nspname = e.name) loop
    perform fluxbase.open_schema(item.name);
  end loop;
  for item in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
               where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') loop
    perform fluxbase.close_relation(item.oid, not exists (select from fluxbase.known_relations k where k.relation = item.oid));
    insert into fluxbase.known_relations values (item.oid) on conflict do nothing;
  end loop;
  for item in select p.oid, p.prosecdef from pg_proc p join pg_namespace n on n.oid = p.pronamespace join fluxbase.exposed_schemas e on e.name = n.nspname
               where not exists (select from fluxbase.known_functions k where k.routine = p.oid) loop
    perform fluxbase.close_function(item.oid);
    insert into fluxbase.known_functions values (item.oid, item.prosecdef) on conflict do nothing;
  end loop;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1;
end $$;

revoke all on all functions in schema fluxbase from public;

-- Closed by default (DESIGN invariant 1, threats A1, F52, F53): whatever appears in an exposed schema is protected before the
-- statement ends. close_relation() and close_function() do the work, for one object, and do nothing when nothing is to be
-- done; the event trigger calls them for what a command touched, provision() for what was there before.
create table fluxbase.exposed_schemas (name text primary key);
create table fluxbase.open_relations (schema_name text not null, relation_name text not null, primary key (schema_name, relation_name));
create table fluxbase.client_roles (name text primary key);

-- Grants are given once, at birth: an ALTER must not give again what its owner revoked.
create table fluxbase.known_schemas (namespace oid primary key, name text not null);
create table fluxbase.known_relations (relation oid primary key, has_owner_rights boolean not null);
create table fluxbase.known_functions (routine oid primary key, is_definer boolean not null);
revoke all on fluxbase.exposed_schemas, fluxbase.open_relations, fluxbase.client_roles, fluxbase.known_schemas,
  fluxbase.known_relations, fluxbase.known_functions from public;

create function fluxbase.close_relation(relation oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  target record;
  client text;
begin
  select c.relkind, c.relrowsecurity and c.relforcerowsecurity as is_protected, v.is_invoker,
         c.relkind in ('m', 'f') or (c.relkind = 'v' and not coalesce(v.is_invoker, true)) as has_owner_rights,
         k.relation is null as is_birth, not k.has_owner_rights as had_invoker_rights, o.relation_name is not null as is_open,
         format('%I.%I', n.nspname, c.relname) as name
    into target
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
    left join lateral (select t.option_value::boolean as is_invoker from pg_options_to_table(c.reloptions) t
                        where t.option_name = 'security_invoker') v on true
    left join fluxbase.open_relations o on o.schema_name = n.nspname and o.relation_name = c.relname
    left join fluxbase.known_relations k on k.relation = c.oid
   where c.oid = close_relation.relation and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
     and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
  if not found then
    return;
  end if;
  insert into fluxbase.known_relations as k values (close_relation.relation, target.has_owner_rights)
    on conflict on constraint known_relations_pkey do update set has_owner_rights = excluded.has_owner_rights
    where k.has_owner_rights <> excluded.has_owner_rights;
  if target.relkind in ('r', 'p') and not target.is_protected and not target.is_open then
    execute format('alter table %s enable row level security, force row level security', target.name);
    if not target.is_birth then
      raise notice 'row level security of % stays on; to open it list it in data.open_relations', target.name;
    end if;
  elsif target.relkind = 'v' and target.is_invoker is null then  -- also after CREATE OR REPLACE, which drops the option
    execute format('alter view %s set (security_invoker = true)', target.name);
  end if;
  if target.has_owner_rights and target.had_invoker_rights then
    -- The owner's rights were asked for in so many words: respected, and what was granted for the caller's rights taken back.
    for client in select name from fluxbase.client_roles loop
      execute format('revoke all on %s from %I', target.name, client);
    end loop;
  end if;
  if target.is_birth and target.relkind = 'S' then
    for client in select name from fluxbase.client_roles loop
      execute format('grant usage on sequence %s to %I', target.name, client);
    end loop;
  elsif target.is_birth and not target.has_owner_rights then
    for client in select name from fluxbase.client_roles loop
      execute format('grant select, insert, update, delete on %s to %I', target.name, client);
    end loop;
  end if;
end $$;

-- An aggregate runs its parts with its owner's right to execute them, so one with a definer part counts as definer itself.
create function fluxbase.close_function(routine oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  target record;
  client text;
  dependent oid;
begin
  for dependent in
    select a.aggfnoid from pg_aggregate a
     where close_function.routine in (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
  loop
    perform fluxbase.close_function(dependent);
  end loop;
  select p.prosecdef or exists (select from pg_aggregate a join pg_proc part on part.oid in
           (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
          where a.aggfnoid = p.oid and part.prosecdef) as is_definer,
         k.is_definer as was_definer, p.oid::regprocedure::text as name
    into target
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join fluxbase.exposed_schemas e on e.name = n.nspname
    left join fluxbase.known_functions k on k.routine = p.oid
   where p.oid = close_function.routine
     and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');
  if not found or target.is_definer = target.was_definer then
    return;
  end if;
  insert into fluxbase.known_functions values (close_function.routine, target.is_definer)
    on conflict on constraint known_functions_pkey do update set is_definer = excluded.is_definer;
  execute format('revoke execute on routine %s from public', target.name);
  for client in select name from fluxbase.client_roles loop
    if target.is_definer then  -- also when an invoker function was replaced by a definer one
      execute format('revoke execute on routine %s from %I', target.name, client);
    else
      execute format('grant execute on routine %s to %I', target.name, client);
    end if;
  end loop;
end $$;

-- A schema that is born, renamed to an exposed name, or was there before: its name to clients, everything in it closed.
create function fluxbase.close_schema(namespace oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  schema_name text;
  client text;
  item oid;
begin
  select n.nspname into schema_name from pg_namespace n join fluxbase.exposed_schemas e on e.name = n.nspname where n.oid = close_schema.namespace;
  if not found then
    return;
  end if;
  if not exists (select from fluxbase.known_schemas k where k.namespace = close_schema.namespace and k.name = schema_name) then
    insert into fluxbase.known_schemas values (close_schema.namespace, schema_name)
      on conflict on constraint known_schemas_pkey do update set name = excluded.name;
    for client in select name from fluxbase.client_roles loop
      execute format('grant usage on schema %I to %I', schema_name, client);
    end loop;
  end if;
  for item in select c.oid from pg_class c where c.relnamespace = close_schema.namespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') loop
    perform fluxbase.close_relation(item);
  end loop;
  for item in select p.oid from pg_proc p where p.pronamespace = close_schema.namespace loop
    perform fluxbase.close_function(item);
  end loop;
end $$;

-- What stood in the exposed schemas before Fluxbase did (or before its triggers): closed, with the grants of a birth.
create function fluxbase.close_everything() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.close_schema(n.oid) from pg_namespace n join fluxbase.exposed_schemas e on e.name = n.nspname;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1;
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

-- Fires for its own statements too. What tells them apart is a row in this transaction, which no SQL but ours can write,
-- and not a setting, which any SQL can set.
create function fluxbase.on_ddl() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare command record;
begin
  if not exists (select from pg_event_trigger_ddl_commands() c where c.schema_name is distinct from 'pg_temp') then
    return;
  end if;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1, is_closing = true where not is_closing;
  if not found then
    return;
  end if;
  for command in select c.classid, c.objid from pg_event_trigger_ddl_commands() c where not c.in_extension loop
    case command.classid
      when 'pg_class'::regclass then perform fluxbase.close_relation(command.objid);
      when 'pg_proc'::regclass then perform fluxbase.close_function(command.objid);
      when 'pg_namespace'::regclass then perform fluxbase.close_schema(command.objid);
      when 'pg_policy'::regclass then perform fluxbase.note_slow_policy(command.objid);
      else null;
    end case;
  end loop;
  update fluxbase.epoch set is_closing = false;
end $$;

create function fluxbase.on_drop() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from fluxbase.known_schemas k using pg_event_trigger_dropped_objects() d where d.classid = 'pg_namespace'::regclass and d.objid = k.namespace;
  delete from fluxbase.known_relations k using pg_event_trigger_dropped_objects() d where d.classid = 'pg_class'::regclass and d.objid = k.relation;
  delete from fluxbase.known_functions k using pg_event_trigger_dropped_objects() d where d.classid = 'pg_proc'::regclass and d.objid = k.routine;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1;
end $$;

-- A client's SQL changes no schema, although PostgreSQL lets every role do some of it: DROP OWNED BY itself takes the role out of
-- the policies that name it, restrictive ones included (threat F48). A definer function runs as its owner and is not a client.
create function fluxbase.refuse_client_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if session_user like 'fb\_%' and current_user::text in (session_user::text, current_setting('role')) then
    raise exception 'a client role does not change the schema' using errcode = '42501';
  end if;
end $$;

-- Where event triggers are not allowed the server asks every second: whatever changed moves the epoch, and the data plane looks again.
create function fluxbase.notice_changes() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare seen text;
begin
  select md5(string_agg(o.mark, ',' order by o.mark)) into seen from (
    select 'c' || c.oid || ':' || c.xmin as mark from pg_class c join pg_namespace n on n.oid = c.relnamespace join fluxbase.exposed_schemas e on e.name = n.nspname
    union all
    select 'p' || p.oid || ':' || p.xmin from pg_proc p join pg_namespace n on n.oid = p.pronamespace join fluxbase.exposed_schemas e on e.name = n.nspname
    union all
    select 'l' || p.oid || ':' || p.xmin from pg_policy p) o;
  update fluxbase.epoch set schema_epoch = schema_epoch + 1, catalogue = coalesce(seen, '') where catalogue <> coalesce(seen, '');
  return found;
end $$;

revoke all on all functions in schema fluxbase from public;
grant execute on function fluxbase.notice_changes() to fluxbase_system;

-- Triggers of the data's administrator on the accounts (docs/decisions/0072-triggers-on-accounts.md): `create trigger … after insert on
-- auth.users … execute function public.handle_new_user()` is what applications are used to, but a trigger runs in the session of
-- fluxbase_system, which reads every secret of this database. So its function must be SECURITY DEFINER of a role that is not ours:
-- then it has its owner's rights and no more.
create function fluxbase.guard_trigger(trigger_id oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare item record;
begin
  select t.tgname, t.tgdeferrable, t.tgrelid, n.nspname, c.relname, p.prosecdef, r.rolsuper, r.rolname,
         p.proowner = c.relowner and fn.nspname in ('fluxbase', 'audit', 'auth', 'pg_catalog') as is_ours,
         exists (select from pg_depend d where d.classid = 'pg_trigger'::regclass and d.objid = t.oid
                  and d.refclassid not in ('pg_class'::regclass, 'pg_trigger'::regclass, 'pg_constraint'::regclass)
                  and (d.refclassid, d.refobjid) is distinct from ('pg_proc'::regclass, t.tgfoid)) as calls_more
    into item
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
         join pg_proc p on p.oid = t.tgfoid join pg_namespace fn on fn.oid = p.pronamespace join pg_roles r on r.oid = p.proowner
   where t.oid = trigger_id and not t.tgisinternal and n.nspname in ('auth', 'audit', 'platform', 'fluxbase');
  if item.tgrelid is null or item.is_ours then
    return;
  end if;
  if not item.prosecdef or item.rolsuper or item.rolname like 'fluxbase\_system%' or item.calls_more or item.tgdeferrable
     or item.tgname::text collate "C" >= 'zzz' then
    raise exception 'a trigger on a system table runs in the server''s own session' using errcode = '42501',
      hint = 'Make its function SECURITY DEFINER with SET search_path = '''', and leave out WHEN conditions that call functions of yours, '
             'DEFERRABLE, and names from zzz on.';
  end if;
  -- What the function sets in the session must not decide what our next statement means.
  if not exists (select from pg_trigger where tgrelid = item.tgrelid and tgname = 'zzz_fluxbase_search_path') then
    execute format('create trigger zzz_fluxbase_search_path after insert or update or delete on %I.%I '
                   'for each statement execute function fluxbase.restore_search_path()', item.nspname, item.relname);
  end if;
end $$;

create function fluxbase.restore_search_path() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$ begin
  perform set_config('search_path', 'pg_catalog', false);
  return null;
end $$;

create or replace function fluxbase.on_ddl() returns event_trigger
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
      when 'pg_proc'::regclass then
        perform fluxbase.close_function(command.objid);
        perform fluxbase.guard_trigger(t.oid) from pg_trigger t where t.tgfoid = command.objid;
      when 'pg_trigger'::regclass then perform fluxbase.guard_trigger(command.objid);
      when 'pg_namespace'::regclass then perform fluxbase.close_schema(command.objid);
      when 'pg_policy'::regclass then perform fluxbase.note_slow_policy(command.objid);
      else null;
    end case;
  end loop;
  update fluxbase.epoch set is_closing = false;
end $$;

revoke all on function fluxbase.guard_trigger(oid), fluxbase.restore_search_path() from public;

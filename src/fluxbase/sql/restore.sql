-- What stands before and after a dump in its one transaction (cli/restore_guard.py). {token}: random, so that no dump names it.
-- name: before
-- A deferred constraint fails whatever COMMIT comes before the last line: a dump that ends its own transaction restores nothing.
create temp table fluxbase_restore_{token} (n int) on commit drop;
create function pg_temp.fluxbase_restore_{token}() returns trigger language plpgsql set search_path = pg_catalog as $guard$
begin
  if current_setting('fluxbase.restore_{token}', true) is distinct from 'whole' then
    raise exception 'the dump ends the transaction it is restored in' using errcode = '25001';
  end if;
  return null;
end $guard$;
create constraint trigger whole after insert on pg_temp.fluxbase_restore_{token} deferrable initially deferred
  for each row execute function pg_temp.fluxbase_restore_{token}();
insert into pg_temp.fluxbase_restore_{token} values (1);
-- name: after
reset role;
set local search_path = pg_catalog;
do $guard$
declare
  found text;
begin
  if to_regclass('pg_temp.fluxbase_restore_{token}') is null then
    raise exception 'the dump ends the transaction it is restored in';
  end if;
  -- The system's schemas are the server's: what is made there could stand in for what the server calls.
  select string_agg(format('%I.%I', nspname, name), ', ') into found from (
    select c.relnamespace, c.relname, c.relowner from pg_class c where c.relkind not in ('i', 't')
       and c.oid not in (coalesce(to_regclass('fluxbase.user_migrations'), 0), coalesce(to_regclass('fluxbase.user_migrations_id_seq'), 0))
    union all select p.pronamespace, p.proname, p.proowner from pg_proc p
    union all select o.oprnamespace, o.oprname, o.oprowner from pg_operator o
  ) as made (namespace, name, owner) join pg_namespace n on n.oid = namespace
   where owner = current_user::regrole
     and nspname in ('fluxbase', 'auth', 'platform', 'audit', 'storage', 'realtime', 'shared', 'shared_export');
  if found is not null then
    raise exception 'the dump makes objects in schemas of the system: %', found;
  end if;
end $guard$;
-- name: open
-- Left out with --trust: what its author must have meant, in a dump of one's own.
do $guard$
declare
  clients constant text[] := array['anon', 'authenticated', 'service_role', 'tenant_service'];
  found text;
begin
  select string_agg(p.oid::regprocedure::text, ', ') into found from pg_proc p join pg_namespace n on n.oid = p.pronamespace
   where p.prosecdef and p.proowner = current_user::regrole and n.nspname <> 'pg_temp'
     and exists (select from unnest(clients) client where has_function_privilege(client, p.oid, 'execute'));
  if found is not null then
    raise exception 'the dump makes functions that clients call with the rights of their owner: %; read them, then say --trust', found;
  end if;
  select string_agg(c.oid::regclass::text, ', ') into found from pg_class c
   where c.relowner = current_user::regrole and c.relkind in ('v', 'm', 'f')
     and not (c.relkind = 'v' and coalesce(c.reloptions, '{}') && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'])
     and exists (select from unnest(clients) client where has_table_privilege(client, c.oid, 'select, insert, update, delete'));
  if found is not null then
    raise exception 'the dump lets clients read what no policy protects: %; look at them, then say --trust', found;
  end if;
  select string_agg(c.oid::regclass::text, ', ') into found from pg_class c
   where c.relowner = current_user::regrole and c.relkind in ('r', 'p')
     and exists (select from unnest(clients) client where has_table_privilege(client, c.oid, 'truncate, trigger'));
  if found is not null then
    raise exception 'the dump lets clients empty tables or put triggers on them: %; look at them, then say --trust', found;
  end if;
  select string_agg(distinct coalesce(n.nspname, 'every schema'), ', ') into found
    from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) acl
   where d.defaclrole = current_user::regrole and acl.grantee <> d.defaclrole;
  if found is not null then
    raise exception 'the dump changes what roles may do with later objects (ALTER DEFAULT PRIVILEGES in %); look at it, then say --trust', found;
  end if;
end $guard$;
-- name: commit
select set_config('fluxbase.restore_{token}', 'whole', true);
commit;
select '{token}'

-- Client roles read no activity, no statistics, no prepared statements of a pooled connection, and signal no backend
-- (DESIGN invariant 2, threats F47, F50, F57). Only what this administrator may revoke is revoked; doctor reports the rest.
do $$
declare item record;
begin
  execute format('revoke temporary, create on database %I from public', current_database());
  for item in
    select format('revoke all on pg_catalog.%I from public', c.relname) as statement
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'pg_catalog' and c.relkind in ('v', 'r')
       and (c.relname like 'pg\_stat%' or c.relname in ('pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs', 'pg_prepared_statements', 'pg_cursors',
            'pg_locks', 'pg_prepared_xacts', 'pg_settings', 'pg_file_settings', 'pg_user_mappings', 'pg_largeobject', 'pg_largeobject_metadata'))
       and c.relname <> 'pg_settings'
    union all
    select format('revoke execute on function %s from public', p.oid::regprocedure)
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'pg_catalog'
       and (p.proname in ('pg_cancel_backend', 'pg_terminate_backend', 'pg_prepared_statement', 'pg_cursor', 'pg_lock_status', 'pg_blocking_pids',
            'pg_export_snapshot', 'lo_create', 'lo_creat', 'lo_open', 'lo_import', 'lo_export', 'lo_from_bytea', 'lo_put', 'lo_get', 'lo_unlink',
            'lowrite', 'loread', 'pg_notification_queue_usage', 'pg_get_wal_resource_managers', 'query_to_xml', 'database_to_xml',
            'pg_logical_emit_message')
            or p.proname like 'pg\_stat\_get\_%')
  loop
    begin
      execute item.statement;
    exception when insufficient_privilege then
      null;  -- a managed PostgreSQL: doctor says what is weaker
    end;
  end loop;
end $$;
-- The administrator's tools keep them.
grant select on pg_catalog.pg_locks, pg_catalog.pg_stat_activity, pg_catalog.pg_stats to fluxbase_owner;
grant execute on function pg_catalog.pg_lock_status(), pg_catalog.pg_stat_get_activity(integer) to fluxbase_owner;
-- Whether SQL of a caller has prepared statements of its own in this session (threat F56). Client roles may not list them,
-- so the answer is yes or no; the executor deallocates everything before the session serves anybody else.
create function fluxbase.has_prepared_statements() returns boolean
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ select exists (select from pg_prepared_statements where from_sql) $$;
revoke all on function fluxbase.has_prepared_statements() from public;
grant execute on function fluxbase.has_prepared_statements() to anon, authenticated, service_role, tenant_service;

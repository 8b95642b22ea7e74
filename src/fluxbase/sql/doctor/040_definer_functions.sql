-- title: SECURITY DEFINER functions are not callable by clients unless you mean it
-- why: They run with their owner's rights and pass every policy. Keep the grant only when the function checks auth.uid() itself.
-- how: Revokes EXECUTE from PUBLIC and the client roles; service_role keeps it.
-- fix: asks
select 'warn', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
       pg_catalog.format('runs as %I; executable by %s', pg_catalog.pg_get_userbyid(p.proowner), string_agg(role.name, ', ' order by role.name))
       || case when exists (select from unnest(p.proconfig) as c (setting) where c.setting like 'search\_path=%') then ''
               else '; search_path is not fixed' end,
       pg_catalog.format('revoke execute on function %I.%I(%s) from public, %s;', n.nspname, p.proname,
         pg_catalog.pg_get_function_identity_arguments(p.oid), string_agg(pg_catalog.quote_ident(role.name), ', ' order by role.name))
       -- service_role may have had it through PUBLIC
       || case when pg_catalog.to_regrole('service_role') is not null and pg_catalog.has_function_privilege('service_role', p.oid, 'execute')
               then pg_catalog.format(' grant execute on function %I.%I(%s) to service_role;', n.nspname, p.proname,
                      pg_catalog.pg_get_function_identity_arguments(p.oid)) else '' end
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join unnest(pg_catalog.current_setting('doctor.client_roles')::text[]) as role (name) on pg_catalog.to_regrole(pg_catalog.quote_ident(role.name)) is not null
where p.prosecdef and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and pg_catalog.has_function_privilege(role.name, p.oid, 'execute')
  and p.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
group by n.nspname, p.oid, p.proname, p.proowner, p.proconfig
order by 2;

-- title: views apply the policies of the one who asks
-- why: A view without security_invoker, a materialised view and a foreign table show what their owner sees, whatever the policies say.
-- how: Sets security_invoker on a view; revokes the grants of what has no such option.
-- fix: asks
with granted as (
  select c.oid, string_agg(role.name, ', ' order by role.name) as roles, string_agg(pg_catalog.quote_ident(role.name), ', ' order by role.name) as quoted
  from pg_catalog.pg_class c
  join unnest(pg_catalog.current_setting('doctor.client_roles')::text[]) as role (name) on pg_catalog.to_regrole(pg_catalog.quote_ident(role.name)) is not null
  where c.relkind in ('v', 'm', 'f')
    and (pg_catalog.has_table_privilege(role.name, c.oid, 'select, insert, update, delete')
         or pg_catalog.has_any_column_privilege(role.name, c.oid, 'select, insert, update'))
  group by c.oid
)
select 'red', pg_catalog.format('%I.%I', n.nspname, c.relname),
       case c.relkind when 'v' then 'runs with its owner''s rights' when 'm' then 'is a materialised view: no policy applies'
                      else 'is a foreign table: no policy applies' end
       || coalesce('; granted to ' || g.roles, ''),
       case when c.relkind = 'v' then pg_catalog.format('alter view %I.%I set (security_invoker = true);', n.nspname, c.relname)
            else pg_catalog.format('revoke all on %I.%I from public, %s;', n.nspname, c.relname, g.quoted) end
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join granted g on g.oid = c.oid
where n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and n.nspname || '.' || c.relname <> all (pg_catalog.current_setting('doctor.open_relations')::text[])
  and (c.relkind = 'v' and not exists (
         select from pg_catalog.pg_options_to_table(c.reloptions) o
         where o.option_name = 'security_invoker' and o.option_value::boolean)
       or c.relkind in ('m', 'f') and g.oid is not null)
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 2;

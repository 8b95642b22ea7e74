-- title: anonymous callers do not write without a condition
-- why: A policy that is simply true for anon lets anybody on the internet insert, change or delete rows.
-- how: Gives the policy to authenticated instead; a policy for all commands leaves anon what it could read.
-- fix: asks
with open as (
  select p.*, n.nspname, c.relname,
         (select array_agg(pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r)) order by 1) from unnest(p.polroles) r where r <> 0
           and pg_catalog.pg_get_userbyid(r) <> 'anon') as others,
         p.polcmd in ('*', 'r') and pg_catalog.pg_get_expr(p.polqual, p.polrelid) is not null as reads
    from pg_catalog.pg_policy p
    join pg_catalog.pg_class c on c.oid = p.polrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where p.polpermissive and p.polcmd <> 'r' and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
     and pg_catalog.to_regrole('anon') is not null
     and (0 = any (p.polroles) or pg_catalog.to_regrole('anon')::oid = any (p.polroles))
     and case p.polcmd when 'a' then pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) = 'true'
                       when '*' then coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), pg_catalog.pg_get_expr(p.polqual, p.polrelid)) = 'true'
                       else pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
                            and coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true' end
     and case p.polcmd when 'a' then pg_catalog.has_any_column_privilege('anon', p.polrelid, 'insert')
                       when 'w' then pg_catalog.has_any_column_privilege('anon', p.polrelid, 'update')
                       when 'd' then pg_catalog.has_table_privilege('anon', p.polrelid, 'delete')
                       else pg_catalog.has_any_column_privilege('anon', p.polrelid, 'insert, update')
                            or pg_catalog.has_table_privilege('anon', p.polrelid, 'delete') end
)
select 'red', pg_catalog.format('%I.%I: %s', nspname, relname, polname),
       pg_catalog.format('lets anon %s without a condition',
         case polcmd when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'insert, update and delete' end),
       case when others is null and not 0 = any (polroles) then pg_catalog.format('drop policy %I on %I.%I;', polname, nspname, relname)
            else pg_catalog.format('alter policy %I on %I.%I to %s;', polname, nspname, relname, coalesce(array_to_string(others, ', '), 'authenticated')) end
       || case when reads then pg_catalog.format(' create policy %I on %I.%I for select to anon using (%s);', polname || ' (read)', nspname, relname,
                                                 pg_catalog.pg_get_expr(polqual, polrelid)) else '' end
from open
order by 2;

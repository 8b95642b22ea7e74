-- title: every table of an exposed schema has a policy
-- why: Without one it is closed to everybody but the service key. That is safe; it is listed because it is often forgotten.
-- how: Writes down that it is closed on purpose: a policy whose condition is false. Or write the policy that you meant.
-- fix: asks
select 'note', pg_catalog.format('%I.%I', n.nspname, c.relname), 'has no policy: anon and authenticated read and write nothing',
       pg_catalog.format('create policy closed_on_purpose on %I.%I using (false);', n.nspname, c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relrowsecurity and not c.relispartition
  and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid)
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 2;

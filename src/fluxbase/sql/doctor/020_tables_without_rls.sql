-- title: every table of an exposed schema has row level security, forced
-- why: A table without it is one grant away from being public; the data plane refuses it, other programs do not (CVE-2025-48757).
-- how: Enables and forces row level security; without a policy the table is closed from then on.
-- fix: asks
select case when c.relrowsecurity then 'warn' else 'red' end,
       pg_catalog.format('%I.%I', n.nspname, c.relname),
       case when c.relrowsecurity then 'row level security is not forced: its owner passes' else 'row level security is off' end,
       pg_catalog.format('alter table %I.%I enable row level security, force row level security;', n.nspname, c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
  and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and not (c.relrowsecurity and c.relforcerowsecurity)
  and n.nspname || '.' || c.relname <> all (pg_catalog.current_setting('doctor.open_relations')::text[])
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by c.relrowsecurity, 2;

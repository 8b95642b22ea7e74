-- title: columns that policies compare have an index
-- why: A policy is a condition of every query; without an index on its column each query reads the whole table.
-- how: Creates the index; on a large table that is written all the time run the statement yourself with CONCURRENTLY.
-- fix: safe
-- judge: compared_columns
-- detail: per column of the policy's table that no index begins with, the statement that makes one. fix: the policy, for the parser.
select 'warn', pg_catalog.format('%I.%I: %s', n.nspname, c.relname, p.polname), pg_catalog.json_object_agg(a.attname,
         pg_catalog.format('create index on %I.%I (%I);', n.nspname, c.relname, a.attname) order by a.attnum)::text,
       pg_catalog.format('alter policy %I on %I.%I', p.polname, n.nspname, c.relname)
       || coalesce(' using (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' with check (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') || ';'
from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.atttypid <> 'pg_catalog.bool'::regtype
where p.polqual is not null and c.relkind in ('r', 'p')
  and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
                 and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum)
  and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum)
group by n.nspname, c.relname, p.polname, p.polrelid, p.polqual, p.polwithcheck
order by 2;

-- title: policies ask who the caller is once per query
-- why: auth.uid() called per row verifies the signed identity for every row: a page of 100 rows loses three quarters of its speed.
-- how: Wraps the call: (select auth.uid()); who sees what stays as it is.
-- fix: safe
-- judge: per_row
-- Every policy as the statement that would set it again; doctor.py parses it and keeps those that change when rewritten.
select 'warn', pg_catalog.format('%I.%I: %s', n.nspname, c.relname, p.polname), 'calls auth functions once per row',
       pg_catalog.format('alter policy %I on %I.%I', p.polname, n.nspname, c.relname)
       || coalesce(' using (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' with check (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') || ';'
from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('fluxbase', 'auth', 'storage', 'platform', 'audit', 'realtime', 'extensions')
  and (p.polqual is not null or p.polwithcheck is not null)
order by 2;

-- title: policies ask auth.uid() and auth.jwt(), not the settings behind them
-- why: A setting can be set by any SQL that runs under the client role; auth.uid() and auth.jwt() verify a signature first.
-- how: Reads the verified claims instead, where the text shows how.
-- fix: asks
-- judge: claim_settings
-- Every policy as the statement that would set it again; doctor.py parses it and keeps those that read request.* settings.
select 'warn', pg_catalog.format('%I.%I: %s', n.nspname, c.relname, p.polname), 'reads request settings, which any SQL of the client can set',
       pg_catalog.format('alter policy %I on %I.%I', p.polname, n.nspname, c.relname)
       || coalesce(' using (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' with check (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') || ';'
from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('fluxbase', 'auth', 'storage', 'platform', 'audit', 'realtime', 'extensions')
  and (p.polqual is not null or p.polwithcheck is not null)
order by 2;

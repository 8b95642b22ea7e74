-- title: the administrator's and the service roles pass row level security
-- why: Where BYPASSRLS may not be granted, policies per table stand in for it; dump and seeds are slower and need them on every table.
-- how: Gives the role BYPASSRLS; only an administrator may.
-- fix: asks
select 'warn', r.rolname, 'lacks BYPASSRLS; a managed PostgreSQL may forbid it', pg_catalog.format('alter role %I bypassrls;', r.rolname)
from pg_catalog.pg_roles r
where r.rolname in ('fluxbase_owner', 'service_role') and not r.rolbypassrls and not r.rolsuper;

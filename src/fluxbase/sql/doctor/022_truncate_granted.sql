-- title: no client role may TRUNCATE
-- why: TRUNCATE ignores policies: whoever has it empties the whole table.
-- how: Revokes TRUNCATE.
-- fix: asks
select 'red', pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('%I may TRUNCATE', role.name),
       pg_catalog.format('revoke truncate on %I.%I from %I, public;', n.nspname, c.relname, role.name)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join unnest(pg_catalog.current_setting('doctor.client_roles')::text[]) as role (name) on pg_catalog.to_regrole(pg_catalog.quote_ident(role.name)) is not null
where c.relkind in ('r', 'p') and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and pg_catalog.has_table_privilege(role.name, c.oid, 'truncate')
order by 2, 3;

-- title: nothing that serves requests or runs your SQL is a superuser
-- why: A superuser, and BYPASSRLS on a client role, ignore every policy.
-- how: Takes the attribute away; the administrator's own login is changed by hand.
-- fix: asks
select 'red', r.rolname,
       case when r.rolsuper then 'is a superuser' when r.rolbypassrls then 'has BYPASSRLS' else 'has CREATEROLE' end,
       pg_catalog.format('alter role %I nosuperuser nobypassrls nocreaterole;', r.rolname)
from pg_catalog.pg_roles r
where (r.rolsuper or r.rolbypassrls or r.rolcreaterole)
  and (r.rolname = any (pg_catalog.current_setting('doctor.client_roles')::text[])
       -- the logins of this database; service_role passes by its role and not by its login
       or r.rolname ~ '^fb_[0-9a-f]{8}_')
union all
select 'warn', r.rolname, 'is a superuser and the administrator''s login; migrations refuse it',
       'connect as fluxbase_owner, or make a login: create role fluxbase_admin login createrole createdb;'
from pg_catalog.pg_roles r
where r.rolsuper and r.rolname = session_user
union all
select 'red', r.rolname, 'is a superuser', pg_catalog.format('alter role %I nosuperuser;', r.rolname)
from pg_catalog.pg_roles r
where r.rolsuper and r.rolname in ('fluxbase_owner', 'fluxbase_system', 'service_role') and r.rolname <> session_user;

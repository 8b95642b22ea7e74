-- What the login is and where it landed. $1: the anon role, or empty.
select pg_catalog.current_setting('server_version_num')::int as version,
       session_user::text as login,
       pg_catalog.current_database()::text as database,
       r.rolsuper as is_superuser,
       r.rolbypassrls as has_bypassrls,
       $1::text = '' or exists (select from pg_catalog.pg_roles a where a.rolname = $1::text) as has_anon,
       $1::text = '' or coalesce((select pg_catalog.pg_has_role(session_user, a.oid, 'MEMBER') from pg_catalog.pg_roles a where a.rolname = $1::text), false)
         as may_assume_anon
  from pg_catalog.pg_roles r where r.rolname = session_user;

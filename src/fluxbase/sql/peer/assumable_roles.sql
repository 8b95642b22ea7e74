-- Roles the login may take for a request. No parameters.
select r.rolname::text
  from pg_catalog.pg_roles r
 where pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') and r.rolname <> session_user and r.rolname !~ '^pg_'
 order by 1;

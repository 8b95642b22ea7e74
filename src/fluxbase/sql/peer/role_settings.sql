-- ALTER ROLE <role> SET …, for the roles the login may assume and the settings it may set. No parameters.
select r.rolname::text, pg_catalog.split_part(item, '=', 1) as name,
       pg_catalog.lower(pg_catalog.substr(item, pg_catalog.strpos(item, '=') + 1)) as value
  from pg_catalog.pg_auth_members m
  join pg_catalog.pg_roles r on r.oid = m.roleid
  cross join pg_catalog.unnest(r.rolconfig) item
  join pg_catalog.pg_settings p on p.name = pg_catalog.split_part(item, '=', 1)
 where m.member = session_user::regrole::oid
   and (p.context = 'user' or pg_catalog.has_parameter_privilege(session_user, p.name, 'SET'));

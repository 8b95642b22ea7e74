-- ALTER ROLE <login> [IN DATABASE <this>] SET pgrst.<name> = <value>; the one for this database wins. No parameters.
select distinct on (name) name, value
  from (select s.setdatabase,
               pg_catalog.substr(pg_catalog.split_part(item, '=', 1), 7) as name,
               pg_catalog.substr(item, pg_catalog.strpos(item, '=') + 1) as value
          from pg_catalog.pg_db_role_setting s
          cross join pg_catalog.unnest(s.setconfig) item
         where s.setrole = session_user::regrole::oid
           and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
           and item like 'pgrst.%') settings
 order by name, setdatabase desc;

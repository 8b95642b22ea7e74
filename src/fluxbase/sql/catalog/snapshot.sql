-- Everything planning needs, as one JSON value. $1: exposed schemas, $2: client roles.
with recursive bases as (
  select oid, oid as base from pg_catalog.pg_type where typtype <> 'd'
   union all
  select t.oid, b.base from pg_catalog.pg_type t join bases b on b.oid = t.typbasetype where t.typtype = 'd'
),
schemas as (select oid, nspname from pg_catalog.pg_namespace where nspname = any ($1::text[])),
roles as (select rolname from pg_catalog.pg_roles where rolname = any ($2::text[])),
relations as (
  select c.oid, s.nspname, c.relname, c.relkind, c.relrowsecurity and c.relforcerowsecurity as is_protected,
         coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes'], false) as is_invoker,
         c.reltype, pg_catalog.pg_relation_is_updatable(c.oid, true) as updatable
    from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
)
select pg_catalog.json_build_object(
  'relations', (select coalesce(json_agg(json_build_object(
     'oid', r.oid::bigint, 'schema', r.nspname, 'name', r.relname, 'kind', r.relkind, 'protected', r.is_protected, 'invoker', r.is_invoker,
     'updatable', r.updatable,
     'columns', (select coalesce(json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory, t.typname,
                                 case when a.attgenerated <> '' then null
                                      when a.attidentity <> '' then (select pg_catalog.format('pg_catalog.nextval(%L::regclass)', dep.objid::regclass)
                                         from pg_catalog.pg_depend dep where dep.classid = 'pg_catalog.pg_class'::regclass and dep.deptype = 'i'
                                          and dep.refobjid = r.oid and dep.refobjsubid = a.attnum limit 1)
                                      else coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.pg_get_expr(t.typdefaultbin, 0)) end) order by a.attnum), '[]')
                   from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
                   left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                  where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped),
     'keys', (select coalesce(json_agg(json_build_array(con.contype, (select json_agg(a.attname order by k.n)
                 from unnest(con.conkey) with ordinality k(num, n) join pg_catalog.pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.num))), '[]')
                from pg_catalog.pg_constraint con where con.conrelid = r.oid and con.contype in ('p', 'u')),
     'privileges', (select json_object_agg(ro.rolname, json_build_object(
         'select', (select coalesce(json_agg(a.attname), '[]') from pg_catalog.pg_attribute a where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
                      and pg_catalog.has_column_privilege(ro.rolname, r.oid, a.attnum, 'SELECT')),
         'all', pg_catalog.has_table_privilege(ro.rolname, r.oid, 'SELECT'),
         'insert', pg_catalog.has_any_column_privilege(ro.rolname, r.oid, 'INSERT'),
         'update', pg_catalog.has_any_column_privilege(ro.rolname, r.oid, 'UPDATE'),
         'delete', pg_catalog.has_table_privilege(ro.rolname, r.oid, 'DELETE'))) from roles ro)
   ) order by r.nspname, r.relname), '[]') from relations r),
  'functions', (select coalesce(json_agg(json_build_object(
       'schema', s.nspname, 'name', p.proname, 'volatility', p.provolatile, 'set', p.proretset,
       'defaults', p.pronargdefaults, 'arguments', p.pronargs,
       'names', p.proargnames, 'modes', p.proargmodes::text[],
       'types', (select json_agg(case x.t when 'bit'::regtype then 'bit varying' when 'bit[]'::regtype then 'bit varying[]'
                                          when 'character'::regtype then 'character varying' when 'character[]'::regtype then 'character varying[]'
                                          else pg_catalog.format_type(x.t, null) end order by x.n)
                   from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality x(t, n)),
       'returns', pg_catalog.format_type(p.prorettype, null), 'return_kind', bt.typtype, 'return_name', bt.typname, 'return_relation', bt.typrelid::bigint,
       'return_domain', case when rt.typtype = 'd' then rt.typname end,
       'return_columns', (select json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory, t.typname) order by a.attnum)
           from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid where a.attrelid = bt.typrelid and bt.typrelid <> 0 and a.attnum > 0 and not a.attisdropped),
       'settings', p.proconfig,
       'roles', (select coalesce(json_agg(ro.rolname), '[]') from roles ro where pg_catalog.has_function_privilege(ro.rolname, p.oid, 'EXECUTE'))
     ) order by s.nspname, p.proname, p.pronargs, p.oid), '[]')
     from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace join pg_catalog.pg_type rt on rt.oid = p.prorettype
     join bases b on b.oid = p.prorettype join pg_catalog.pg_type bt on bt.oid = b.base
    where p.prokind = 'f' and rt.typname not in ('trigger', 'event_trigger')),
  'handlers', (select coalesce(json_agg(json_build_array(s.nspname, p.proname, at.typrelid::bigint, d.typname, b.base = 'bytea'::regtype)), '[]')
     from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace
     join pg_catalog.pg_type d on d.oid = p.prorettype and d.typtype = 'd' and pg_catalog.strpos(d.typname, '/') > 0
     join bases b on b.oid = d.oid join pg_catalog.pg_type at on at.oid = p.proargtypes[0]
    where p.prokind = 'a' and p.pronargs = 1 and (at.typtype = 'c' or at.oid = 'anyelement'::regtype)),
  'casts', (select coalesce(json_agg(json_build_array(pg_catalog.format_type(case when st.typtype = 'd' then st.oid else tt.oid end, null),
       case when st.typtype = 'd' then 'to_json' when st.typname = 'json' then 'from_json' else 'from_text' end, n.nspname, f.proname)), '[]')
     from pg_catalog.pg_cast c join pg_catalog.pg_type st on st.oid = c.castsource join pg_catalog.pg_type tt on tt.oid = c.casttarget
     join pg_catalog.pg_proc f on f.oid = c.castfunc join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    where c.castmethod = 'f' and c.castcontext = 'i'
      and ((st.typtype = 'd' and tt.typname = 'json') or (tt.typtype = 'd' and st.typname in ('json', 'text')))),
  'geojson', (select n.nspname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
               where p.proname = 'st_asgeojson' and p.proargtypes[0] = 'record'::regtype limit 1)
)::text

-- What relates relations, as one JSON value: see data/catalog.py. $1: exposed schemas, $2: client roles, $3: extra search path.
with schemas as (select oid, nspname, nspname = any ($1::text[]) as is_exposed from pg_catalog.pg_namespace where nspname = any ($1::text[] || $3::text[])),
roles as (select rolname from pg_catalog.pg_roles where rolname = any ($2::text[])),
own as (select oid from pg_catalog.pg_namespace where nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and nspname not like 'pg\_temp%')
select pg_catalog.json_build_object(
  -- The columns of what is exposed, by number.
  'attributes', (select coalesce(json_object_agg(c.oid, (select coalesce(json_agg(json_build_array(a.attnum, a.attname) order by a.attnum), '[]')
       from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)), '{}')
     from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace and s.is_exposed where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition),
  -- Of all tables, exposed or not: views show columns of private tables.
  'keys', (select coalesce(json_agg(json_build_array(con.conrelid::bigint, con.contype, con.conkey) order by con.contype, con.conname), '[]')
     from pg_catalog.pg_constraint con join own on own.oid = con.connamespace where con.contype in ('p', 'u') and con.conrelid <> 0),
  'foreign_keys', (select coalesce(json_agg(json_build_array(con.conname, con.conrelid::bigint, con.conkey, con.confrelid::bigint, con.confkey) order by con.conname, con.conrelid), '[]')
     from pg_catalog.pg_constraint con join own on own.oid = con.connamespace where con.contype = 'f' and con.conparentid = 0),
  'views', (select coalesce(json_object_agg(r.ev_class, r.ev_action), '{}')
     from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class join own on own.oid = c.relnamespace
    where r.ev_type = '1' and r.is_instead and c.relkind in ('v', 'm')),
  -- Functions of one row: computed fields and computed relationships.
  'computed', (select coalesce(json_agg(json_build_array(at.typrelid::bigint, s.nspname, p.proname, case when p.proretset then p.prorows end,
       rt.typrelid::bigint, (select coalesce(json_agg(ro.rolname), '[]') from roles ro where pg_catalog.has_function_privilege(ro.rolname, p.oid, 'EXECUTE')))
       order by s.is_exposed, p.oid), '[]')
     from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace
     join pg_catalog.pg_type at on at.oid = p.proargtypes[0] and at.typrelid <> 0 join pg_catalog.pg_type rt on rt.oid = p.prorettype
    where p.prokind = 'f' and p.pronargs = 1),
  -- Casts by the name a request may use, as SQL writes the type.
  'types', (select coalesce(json_object_agg(t.name, t.written), '{}') from (
       select distinct on (typname) typname as name, pg_catalog.format_type(oid, null) as written from pg_catalog.pg_type
        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') and typname !~ '^_'
       union select pg_catalog.format_type(oid, null), pg_catalog.format_type(oid, null) from pg_catalog.pg_type
        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') and typname !~ '^_' and pg_catalog.format_type(oid, null) <> typname
       union select * from (select distinct on (ty.typname) ty.typname, pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(ty.typname)
        from pg_catalog.pg_type ty join schemas s on s.oid = ty.typnamespace
       where (ty.typtype in ('e', 'd', 'r', 'm') or ty.typtype = 'b' and ty.typcategory <> 'A')
         and not exists (select from pg_catalog.pg_type b where b.typnamespace = 'pg_catalog'::regnamespace and b.typname = ty.typname)
       order by ty.typname, s.is_exposed desc, s.nspname) x) t)
)::text

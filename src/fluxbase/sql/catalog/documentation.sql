-- What the OpenAPI documents say beyond the snapshot, as one JSON value; asked only when a document is. $1: exposed schemas, $2: role or null for everything.
with recursive domains (domain, base, typmod) as (
  select oid, typbasetype, typtypmod from pg_catalog.pg_type where typtype = 'd'
  union all
  select d.domain, t.typbasetype, t.typtypmod from domains d join pg_catalog.pg_type t on t.oid = d.base where t.typtype = 'd'
),
schemas as (select oid, nspname from pg_catalog.pg_namespace where nspname = any ($1::text[])),
columns as (
  select a.attrelid, a.attnum, a.attname, a.attnotnull, a.attgenerated, a.attidentity,
         w.typdefault, coalesce(d.base, a.atttypid) as type, coalesce(d.typmod, a.atttypmod) as typmod
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type w on w.oid = a.atttypid
    join pg_catalog.pg_class c on c.oid = a.attrelid join schemas s on s.oid = c.relnamespace
    left join (select distinct on (domain) domain, base, typmod from domains join pg_catalog.pg_type t on t.oid = base where t.typtype <> 'd') d on d.domain = a.atttypid
   where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
)
select pg_catalog.json_build_object(
  'schemas', (select coalesce(json_object_agg(nspname, pg_catalog.obj_description(oid, 'pg_namespace')), '{}') from schemas),
  'relations', (select coalesce(json_object_agg(s.nspname || '.' || c.relname, json_build_object(
     'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
     'columns', (select coalesce(json_object_agg(k.attname, json_build_object(
         'comment', pg_catalog.col_description(k.attrelid, k.attnum),
         'required', k.attnotnull,
         'needed', k.attnotnull and k.attidentity = '' and k.attgenerated = '' and ad.adbin is null and k.typdefault is null,
         'format', case when e.typnamespace = 'pg_catalog'::regnamespace then pg_catalog.format_type(k.type, null)
                        else pg_catalog.format('%I.%I', e.typnamespace::regnamespace::name, e.typname) || case when e.oid <> t.oid then '[]' else '' end end,
         'item', case when e.oid <> t.oid then pg_catalog.format_type(e.oid, null) end,
         'max_length', case when t.typname in ('varchar', 'bpchar') and k.typmod > 4 then k.typmod - 4 end,
         'enum', (select json_agg(l.enumlabel order by l.enumsortorder) from pg_catalog.pg_enum l where l.enumtypid = e.oid),
         'default', case when k.attgenerated = '' then pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) end,
         'insert', k.attgenerated = '' and k.attidentity <> 'a' and ($2::text is null or pg_catalog.has_column_privilege($2, k.attrelid, k.attnum, 'INSERT')),
         'update', k.attgenerated = '' and k.attidentity <> 'a' and ($2::text is null or pg_catalog.has_column_privilege($2, k.attrelid, k.attnum, 'UPDATE'))
       ) order by k.attnum), '{}')
       from columns k join pg_catalog.pg_type t on t.oid = k.type
       join pg_catalog.pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
       left join pg_catalog.pg_attrdef ad on ad.adrelid = k.attrelid and ad.adnum = k.attnum
      where k.attrelid = c.oid))), '{}')
     from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition),
  'functions', (select coalesce(json_agg(json_build_array(s.nspname, p.proname, pg_catalog.obj_description(p.oid, 'pg_proc'))), '[]')
     from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace
    where p.prokind = 'f' and pg_catalog.obj_description(p.oid, 'pg_proc') is not null)
)::text

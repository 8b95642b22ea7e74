-- Changes whenever a relation, column, constraint or function of the exposed schemas does. $1: exposed schemas.
with schemas as (select oid from pg_catalog.pg_namespace where nspname = any ($1::text[])),
relations as (select c.oid, c.xmin from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace)
select pg_catalog.md5(pg_catalog.concat_ws('/',
  (select pg_catalog.sum(pg_catalog.hashtextextended(r.oid::text || ':' || r.xmin::text, 0)) from relations r),
  (select pg_catalog.sum(pg_catalog.hashtextextended(a.attrelid::text || ':' || a.attnum || ':' || a.xmin::text, 0))
     from pg_catalog.pg_attribute a join relations r on r.oid = a.attrelid where a.attnum > 0),
  (select pg_catalog.sum(pg_catalog.hashtextextended(c.oid::text || ':' || c.xmin::text, 0))
     from pg_catalog.pg_constraint c join relations r on r.oid = c.conrelid),
  (select pg_catalog.sum(pg_catalog.hashtextextended(p.oid::text || ':' || p.xmin::text, 0))
     from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace)));

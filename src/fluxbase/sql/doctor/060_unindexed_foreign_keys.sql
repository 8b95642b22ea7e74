-- title: foreign keys have an index
-- why: Without one each delete or key change of the target, and each embed from it, reads the whole table.
-- how: Creates the index; on a large table that is written all the time run the statement yourself with CONCURRENTLY.
-- fix: safe
select 'warn', pg_catalog.format('%I.%I: %s', n.nspname, c.relname, con.conname), 'no index begins with ' || k.shown,
       pg_catalog.format('create index on %I.%I (%s);', n.nspname, c.relname, k.quoted)
from pg_catalog.pg_constraint con
join pg_catalog.pg_class c on c.oid = con.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join lateral (
  select string_agg(pg_catalog.quote_ident(a.attname), ', ' order by x.n) as quoted, string_agg(a.attname, ', ' order by x.n) as shown
    from unnest(con.conkey) with ordinality x (num, n) join pg_catalog.pg_attribute a on a.attrelid = con.conrelid and a.attnum = x.num) k on true
where con.contype = 'f' and con.conparentid = 0 and c.relkind in ('r', 'p')
  and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
  and not exists (
    select from pg_catalog.pg_index i
     where i.indrelid = con.conrelid and i.indisvalid and i.indpred is null
       and (select array_agg(num order by num) from unnest((i.indkey::int2[])[0:cardinality(con.conkey) - 1]) num)
         = (select array_agg(num order by num) from unnest(con.conkey) num))
order by 2;

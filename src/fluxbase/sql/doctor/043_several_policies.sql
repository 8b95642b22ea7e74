-- title: one command of one role has one permissive policy
-- why: Permissive policies of the same command and roles are joined by OR: each is evaluated for each row, and the widest decides.
-- how: Replaces them by one policy with the same conditions joined by OR; who sees what stays as it is.
-- fix: safe
with alike as (
  select p.polrelid, p.polcmd, array_agg(p.polname::text order by p.polname) as names,
         (select string_agg(case when r = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r)) end, ', ' order by r)
            from unnest(p.polroles) r) as roles,
         string_agg('(' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', ' or ' order by p.polname) as using_,
         string_agg('(' || coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), pg_catalog.pg_get_expr(p.polqual, p.polrelid)) || ')', ' or '
                    order by p.polname) as check_
    from pg_catalog.pg_policy p
   where p.polpermissive
   group by p.polrelid, p.polcmd, p.polroles
  having count(*) > 1
)
select 'note', pg_catalog.format('%I.%I: %s', n.nspname, c.relname, array_to_string(a.names, ', ')),
       pg_catalog.format('%s permissive policies for %s to %s', cardinality(a.names),
         case a.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all commands' end, a.roles),
       (select string_agg(pg_catalog.format('drop policy %I on %I.%I;', name, n.nspname, c.relname), ' ') from unnest(a.names) name)
       || pg_catalog.format(' create policy %I on %I.%I for %s to %s', a.names[1], n.nspname, c.relname,
            case a.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end, a.roles)
       || case when a.polcmd <> 'a' and a.using_ is not null then ' using (' || a.using_ || ')' else '' end
       || case when a.polcmd in ('a', 'w', '*') and a.check_ is not null then ' with check (' || a.check_ || ')' else '' end || ';'
from alike a
join pg_catalog.pg_class c on c.oid = a.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
order by 2;

-- title: the administrator's list of open relations is short and true
-- why: data.open_relations is served although no policy of the caller applies. Each entry is a decision; this is the list to look at again.
-- how: Take the entry off data.open_relations.
-- fix: hand
select case when pg_catalog.to_regclass(pg_catalog.quote_ident(split_part(entry, '.', 1)) || '.' || pg_catalog.quote_ident(split_part(entry, '.', 2))) is null
            then 'note' else 'warn' end,
       entry,
       case when pg_catalog.to_regclass(pg_catalog.quote_ident(split_part(entry, '.', 1)) || '.' || pg_catalog.quote_ident(split_part(entry, '.', 2))) is null
            then 'is on the list data.open_relations but does not exist' else 'is served without row level security: it is on the list data.open_relations' end,
       '-- take ' || entry || ' off data.open_relations in fluxbase.yaml'
from unnest(pg_catalog.current_setting('doctor.open_relations')::text[]) as list (entry)
order by 2;

-- title: new tables are closed at birth by event triggers
-- why: Without them a new table waits for you to enable row level security; the data plane refuses it until then.
-- how: Enables ours again with ENABLE ALWAYS; where there are none, fluxbase start as an administrator makes them.
-- fix: asks
-- Settings: doctor.schemas, doctor.client_roles, doctor.open_relations (text[] literals). Columns: level, object, detail, fix.
with ours as (
  select t.evtname, t.evtenabled
  from pg_catalog.pg_event_trigger t
  join pg_catalog.pg_proc p on p.oid = t.evtfoid
  where p.pronamespace = pg_catalog.to_regnamespace('fluxbase')
)
select 'warn', 'event triggers', 'there are none of ours; a managed PostgreSQL may forbid them',
       'fluxbase start  -- with an administrator that may create event triggers'
where not exists (select from ours)
union all
select 'red', evtname, case evtenabled when 'D' then 'disabled' else 'not ENABLE ALWAYS: session_replication_role=replica switches it off' end,
       pg_catalog.format('alter event trigger %I enable always;', evtname)
from ours where evtenabled <> 'A';

-- title: this PostgreSQL has the fixes of its row level security
-- why: Minors before 15.20, 16.16, 17.12 and 18.6 have known holes in row level security (threats.md, header).
-- how: Update the server to the named minor.
-- fix: hand
with version as (select pg_catalog.current_setting('server_version_num')::integer as number, pg_catalog.current_setting('server_version') as name),
fixed (major, minor) as (values (15, 20), (16, 16), (17, 12), (18, 6))
select 'red', 'PostgreSQL ' || v.name, pg_catalog.format('has known holes in row level security; %s.%s is the first without them', f.major, f.minor),
       pg_catalog.format('-- update the server to PostgreSQL %s.%s or newer (a minor update keeps the data)', f.major, f.minor)
from version v join fixed f on f.major = v.number / 10000 where v.number % 10000 < f.minor
union all
select 'red', 'PostgreSQL ' || v.name, 'is older than 15', '-- move to PostgreSQL 15.20 or newer with pg_dump and pg_restore'
from version v where v.number < 150000;

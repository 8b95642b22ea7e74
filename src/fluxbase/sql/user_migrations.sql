-- Statements of db/user_migrations.py and db/seeds.py. Run as fluxbase_owner.

-- name: whoami
select session_user, (select rolsuper from pg_catalog.pg_roles where rolname = session_user);

-- name: try_lock
select pg_catalog.pg_try_advisory_lock(%(key)s::bigint);

-- name: lock
select pg_catalog.pg_advisory_lock(%(key)s::bigint);

-- name: seed_lock
select pg_catalog.pg_advisory_xact_lock(%(key)s::bigint);

-- name: history_exists
select pg_catalog.to_regclass('fluxbase.user_migrations') is not null;

-- name: create_history
do $$
begin
  if pg_catalog.to_regnamespace('fluxbase') is null then
    create schema fluxbase;
    revoke all on schema fluxbase from public;
  end if;
  create table if not exists fluxbase.user_migrations (
    id              bigint generated always as identity primary key,
    file            text not null unique,
    checksum        text not null,
    statements_done integer not null,
    started_at      timestamptz not null default pg_catalog.now(),
    applied_at      timestamptz,
    applied_by      text not null default session_user,
    milliseconds    integer
  );
  revoke all on fluxbase.user_migrations from public;
  comment on table fluxbase.user_migrations is
    'The user''s migration files that are applied. checksum is of the file, or of the statements that are done while applied_at is null.';
end
$$;

-- name: history
select file, checksum, statements_done, applied_at from fluxbase.user_migrations order by id;

-- name: record
insert into fluxbase.user_migrations (file, checksum, statements_done, applied_at, milliseconds)
values (%(file)s, %(checksum)s, %(done)s, pg_catalog.now(), %(milliseconds)s)
on conflict (file) do update
set checksum = excluded.checksum, statements_done = excluded.statements_done,
    applied_at = excluded.applied_at, milliseconds = excluded.milliseconds;

-- name: progress
insert into fluxbase.user_migrations (file, checksum, statements_done)
values (%(file)s, %(checksum)s, %(done)s)
on conflict (file) do update set checksum = excluded.checksum, statements_done = excluded.statements_done;

-- name: forget
delete from fluxbase.user_migrations where file = %(file)s;

-- name: seed_targets
-- Which of the wanted tables exist.
select wanted.position, pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', wanted.schema_name, wanted.table_name)) is not null
from unnest(%(schemas)s::text[], %(tables)s::text[]) with ordinality as wanted (schema_name, table_name, position)
order by wanted.position;

-- name: seed_rules_apply
select pg_catalog.row_security_active(pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %(schema)s::text, %(table)s::text)));

-- name: seed_sequences
-- Identity and serial columns: the next generated value must come after the seeded ones.
select a.attname, pg_catalog.pg_get_serial_sequence(pg_catalog.format('%%I.%%I', %(schema)s::text, %(table)s::text), a.attname)
from pg_catalog.pg_attribute a
where a.attrelid = pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %(schema)s::text, %(table)s::text))
  and a.attname = any (%(columns)s::text[]) and a.attnum > 0 and not a.attisdropped
  and pg_catalog.pg_get_serial_sequence(pg_catalog.format('%%I.%%I', %(schema)s::text, %(table)s::text), a.attname) is not null;

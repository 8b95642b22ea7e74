-- Append-only record of changes, written in the changing transaction (DESIGN invariant 13, threat A6).
create table audit.entries (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null,
  resource text not null,
  request_id text,
  details jsonb not null default '{}'
);
create index entries_at on audit.entries (at);

create function audit.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$ begin raise exception 'audit.entries is append-only' using errcode = '42501'; end $$;
create trigger append_only before update or delete or truncate on audit.entries for each statement execute function audit.refuse_change();
alter table audit.entries enable always trigger append_only;

revoke all on audit.entries from public;
revoke all on function audit.refuse_change() from public;
grant select, insert on audit.entries to fluxbase_system;

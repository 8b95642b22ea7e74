-- Rate limits that all workers and nodes share (threat G61), in the main database. Whole microseconds of this server's clock
-- (limits/rules.py). asked_at to granted are of the last question: ON CONFLICT reads them, people may too. Keys are digests.
create table platform.rate_limits (
  key text primary key,
  asked_at bigint not null,
  wanted bigint not null,
  capacity bigint not null,
  interval_us bigint not null,
  lock_us bigint not null,
  granted bigint not null,
  spent_until bigint not null,
  locked_until bigint not null
) with (fillfactor = 50);
revoke all on platform.rate_limits from public;
grant select, insert, update, delete on platform.rate_limits to fluxbase_system;

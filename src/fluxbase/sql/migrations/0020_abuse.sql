-- Who is kept out and what is switched off, for all workers and nodes, in the main database (DESIGN section 6, Blocklist).
create table platform.blocks (
  network cidr primary key,
  reason text not null,
  actor text not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz
);
-- 'maintenance', or 'route:<name>': refused with 503 while the row is there.
create table platform.switches (
  name text primary key,
  message text not null,
  actor text not null,
  created_at timestamptz not null default clock_timestamp()
);
revoke all on platform.blocks, platform.switches from public;
grant select, insert, update, delete on platform.blocks, platform.switches to fluxbase_system;

-- What was answered to requests with an Idempotency-Key (contract-native 4.8), in the tenant's own database, for 24 hours.
-- owner, key and request are keyed digests; answer is sealed under the master key and null while the request is carried out.
-- claim names the attempt: whoever takes the place of an attempt that died has another, so the dead one can write nothing.
create table platform.idempotency (
  tenant_id uuid not null,
  owner bytea not null,
  key bytea not null,
  request bytea not null,
  claim uuid not null unique,
  answer bytea,
  lease_ends_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, owner, key)
);
create index idempotency_expiry on platform.idempotency (expires_at);

-- Claims whose change was committed: written in the transaction of the change itself. No foreign key: its lock would make
-- other requests with the same key wait for the end of this one.
create table platform.idempotency_done (
  tenant_id uuid not null,
  claim uuid primary key
);
revoke all on platform.idempotency, platform.idempotency_done from public;
grant select, insert, update, delete on platform.idempotency, platform.idempotency_done to fluxbase_system;

-- Called by the server beside the caller's statement: whether a process that was killed had committed is then no guess.
-- A claim is a random number that no client ever sees.
create function fluxbase.carry_out(attempt uuid) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  insert into platform.idempotency_done (tenant_id, claim)
  select i.tenant_id, i.claim from platform.idempotency i where i.claim = attempt
  on conflict (claim) do nothing
$$;
revoke all on function fluxbase.carry_out(uuid) from public;
grant execute on function fluxbase.carry_out(uuid) to anon, authenticated, service_role, tenant_service;

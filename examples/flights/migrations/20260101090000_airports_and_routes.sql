-- Airports of the United States, and how many flights went from one to another in 2008.
-- Fluxbase closes every new table at birth (row level security on, forced), so a policy is all that opens it.

create table states (
  code text primary key check (code ~ '^[A-Z]{2}$'),
  name text not null unique
);
comment on table states is 'States and territories, by their postal code.';

create table airports (
  iata      text primary key check (iata ~ '^[0-9A-Z]{3,4}$'),
  name      text not null,
  city      text,
  state     text references states,
  country   text not null,
  latitude  double precision not null check (latitude between -90 and 90),
  longitude double precision not null check (longitude between -180 and 180)
);
create index airports_state on airports (state);

create table routes (
  origin      text not null references airports,
  destination text not null references airports,
  flights     integer not null check (flights > 0),
  primary key (origin, destination),
  check (origin <> destination)
);
create index routes_destination on routes (destination);
create index routes_flights on routes (flights desc);
comment on column routes.flights is 'Flights in 2008.';

create policy "everybody reads states"   on states   for select to anon, authenticated using (true);
create policy "everybody reads airports" on airports for select to anon, authenticated using (true);
create policy "everybody reads routes"   on routes   for select to anon, authenticated using (true);

-- migrate:down
drop table routes, airports, states;

-- What belongs to a signed-in user. auth.uid() is who asks; (select auth.uid()) asks once per query and not once per row.

create table trips (
  id         uuid primary key default gen_random_uuid(),
  owner      uuid not null default auth.uid(),
  title      text not null check (length(title) between 1 and 200),
  is_public  boolean not null default false,
  created_at timestamptz not null default now()
);
create index trips_owner on trips (owner);

create table trip_stops (
  trip_id  uuid not null references trips on delete cascade,
  airport  text not null references airports,
  position integer not null check (position > 0),
  primary key (trip_id, airport),
  unique (trip_id, position)
);
create index trip_stops_airport on trip_stops (airport);

create table trip_notes (
  id         bigint generated always as identity primary key,
  trip_id    uuid not null references trips on delete cascade,
  owner      uuid not null default auth.uid(),
  body       text not null,
  created_at timestamptz not null default now()
);
create index trip_notes_trip on trip_notes (trip_id);
create index trip_notes_owner on trip_notes (owner);
comment on table trip_notes is 'Private: the owner of a note reads it, also when the trip is public.';

create table favourites (
  owner      uuid not null default auth.uid(),
  airport    text not null references airports,
  created_at timestamptz not null default now(),
  primary key (owner, airport)
);
create index favourites_airport on favourites (airport);

create policy "public trips are read by everybody" on trips for select to anon, authenticated
  using (is_public);
create policy "a user has their own trips" on trips for all to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));

-- The policies of trips decide here too: the inner select sees the trips that the caller may see.
create policy "stops are read with their trip" on trip_stops for select to anon, authenticated
  using (exists (select from trips where trips.id = trip_id));
create policy "a user edits the stops of their own trips" on trip_stops for all to authenticated
  using (exists (select from trips where trips.id = trip_id and trips.owner = (select auth.uid())))
  with check (exists (select from trips where trips.id = trip_id and trips.owner = (select auth.uid())));

create policy "a user has their own notes" on trip_notes for all to authenticated
  using (owner = (select auth.uid()))
  with check (
    owner = (select auth.uid())
    and exists (select from trips where trips.id = trip_id and trips.owner = (select auth.uid()))
  );

create policy "a user has their own favourites" on favourites for all to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));

-- migrate:down
drop table favourites, trip_notes, trip_stops, trips;

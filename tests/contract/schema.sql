-- The schema the contract's cases speak of: a small film archive. Policies let everybody in: the cases are about the language.
create schema if not exists archive;

create type size as (width int, height int);

create table directors (id int primary key, name text not null, born date);
create table films (
  id int primary key, title text not null, year int, rating numeric(3, 1), director_id int references directors,
  data jsonb, tags text[], shown int4range, words tsvector, screen size, released boolean
);
create table actors (id int primary key, name text not null);
create table castings (film_id int references films, actor_id int references actors, part text, primary key (film_id, actor_id));
create table reviews (id int primary key, film_id int references films, stars int not null, body text);
create table posters (film_id int primary key references films, artist text);

create table employees (id int primary key, name text not null, boss_id int references employees);

create table cities (id int primary key, name text not null);
create table trips (id int primary key, from_city int references cities, to_city int references cities);

create table hotels (id int primary key, name text not null);
create table rooms (id int primary key, hotel_id int references hotels, number int not null);

create table clubs (id int primary key);
create table players (id int primary key, club_id int references clubs);
create table loans (player_id int references players, club_id int references clubs, primary key (player_id, club_id));

create table screenings (id int, day date, film_id int references films, primary key (id, day)) partition by range (day);
create table screenings_2001 partition of screenings for values from ('2001-01-01') to ('2002-01-01');
create table screenings_2002 partition of screenings for values from ('2002-01-01') to ('2003-01-01');

create table "odd names" (id int primary key, "my column" int, "a.b" int, "x,y" int, "dash-ed" int, "$cash" int, "größe" int, "q""q" int);

-- Never changed and analysed: the planner knows that it has a hundred rows.
create table pages (id int primary key);
insert into pages select generate_series(1, 100);
analyze pages;

create view film_list with (security_invoker = true) as select id as film, title, director_id as maker from films;
create view film_index with (security_invoker = true) as select film as key, upper(title) as title, maker from film_list;

create table archive.films (id int primary key, title text not null);

create function label(films) returns text language sql stable as $$ select $1.title || ' (' || coalesce($1.year::text, '?') || ')' $$;
create function praise(films) returns setof reviews language sql stable as $$ select * from reviews where film_id = $1.id and stars >= 4 $$;
create function first_review(films) returns setof reviews rows 1 language sql stable as
  $$ select * from reviews where film_id = $1.id order by id limit 1 $$;
create function maker(films) returns directors language sql stable as $$ select * from directors where id = $1.director_id $$;
create function hotels(rooms) returns setof hotels rows 1 language sql stable as
  $$ select id, 'Hotel ' || name from hotels where id = $1.hotel_id $$;
create function films_after(y int) returns setof films language sql stable as $$ select * from films where year > y $$;

do $$
declare name text;
begin
  foreach name in array array['directors', 'films', 'actors', 'castings', 'reviews', 'posters', 'employees', 'cities', 'trips', 'hotels',
                              'rooms', 'screenings', 'pages', 'clubs', 'players', 'loans', 'odd names', 'archive.films'] loop
    execute format('create policy everybody on %s using (true) with check (true)',
                   case when name like 'archive.%' then name else quote_ident(name) end);
  end loop;
end $$;

-- A view with security_invoker applies the policies of the one who asks; the functions below do too.

create view airport_traffic with (security_invoker = true) as
select a.iata, a.name, a.state,
       coalesce(o.flights, 0) as departures, coalesce(o.routes, 0) as destinations, coalesce(i.flights, 0) as arrivals
from airports a
left join (select origin, sum(flights) as flights, count(*) as routes from routes group by origin) o on o.origin = a.iata
left join (select destination, sum(flights) as flights from routes group by destination) i on i.destination = a.iata;

create function airports_near(lat double precision, lon double precision, km double precision default 100)
returns table (iata text, name text, city text, state text, distance_km numeric)
language sql stable parallel safe
set search_path = public
begin atomic
  select a.iata, a.name, a.city, a.state, round(d.km::numeric, 1)
  from airports a,
       -- great circle on a sphere of 6371 km; least() keeps rounding from leaving asin's domain
       lateral (select 2 * 6371 * asin(sqrt(least(1, power(sin(radians(a.latitude - lat) / 2), 2)
         + cos(radians(lat)) * cos(radians(a.latitude)) * power(sin(radians(a.longitude - lon) / 2), 2)))) as km) d
  where a.latitude between lat - airports_near.km / 111.0 and lat + airports_near.km / 111.0
    and d.km <= airports_near.km
  order by d.km, a.iata;
end;
comment on function airports_near is 'Airports within km kilometres of a point, nearest first.';

create function busiest(top integer default 10)
returns setof airport_traffic
language sql stable parallel safe
set search_path = public
begin atomic
  select * from airport_traffic order by departures + arrivals desc, iata limit least(greatest(top, 0), 100);
end;
comment on function busiest is 'The airports with the most flights, at most 100.';

create function one_stop(origin text, destination text)
returns table (via text, name text, flights integer)
language sql stable parallel safe
set search_path = public
begin atomic
  select first.destination, a.name, least(first.flights, second.flights)
  from routes first
  join routes second on second.origin = first.destination
  join airports a on a.iata = first.destination
  where first.origin = one_stop.origin and second.destination = one_stop.destination
  order by 3 desc, 1;
end;
comment on function one_stop is 'Where to change planes between two airports, the best served first.';

create function my_trips_count() returns bigint
language sql stable
set search_path = public
begin atomic
  select count(*) from trips where owner = (select auth.uid());
end;

-- migrate:down
drop function my_trips_count(), one_stop(text, text), busiest(integer), airports_near(double precision, double precision, double precision);
drop view airport_traffic;

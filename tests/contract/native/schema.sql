-- The schema the native cases speak of: shops and what they sell.
create schema if not exists archive;
create table shops (id int primary key, name text not null);
create table items (
  id int primary key, name text not null check (length(name) < 40), kind text default 'thing', price numeric, shop_id int references shops,
  code text unique, tags text[], data jsonb, shown int4range, words tsvector, embedding extensions.vector(2), sold boolean
);
create table notes (id int primary key, owner uuid, text text);
create table pairs (a int, b int, primary key (a, b));
create table archive.items (id int primary key, name text);
create view item_names with (security_invoker = true) as select id, name from items;
create policy everybody on shops using (true) with check (true);
create policy everybody on items using (true) with check (true);
create policy everybody on pairs using (true) with check (true);
create policy everybody on archive.items using (true) with check (true);
create policy readers on notes for select using (true);
create policy writers on notes for update using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create policy removers on notes for delete using (owner = (select auth.uid()));
create policy creators on notes for insert with check (owner = (select auth.uid()));
create function add(a int, b int default 1) returns int language sql immutable as $$ select a + b $$;
create function cheap(most numeric) returns setof shops language sql stable as
  $$ select s.* from shops s where exists (select from items i where i.shop_id = s.id and i.price <= most) order by id $$;
create function nothing() returns void language sql volatile as $$ select $$;
create function put_shop(id int, name text) returns int language sql volatile as $$ insert into shops values (id, name) returning id $$;
create function broken() returns int language plpgsql volatile as
  $$ begin insert into shops values (99, 'never'); raise exception 'No more shops' using errcode = 'P0001', hint = 'Close one first'; end $$;
create function slow(seconds float8) returns text language plpgsql volatile as $$ begin perform pg_sleep(seconds); return 'slept'; end $$;
create function archive.size() returns bigint language sql stable as $$ select count(*) from archive.items $$;

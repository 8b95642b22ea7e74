-- What the benchmark reads and writes: tables under Row Level Security, as a user would write them.
create table public.bench_categories (id integer primary key, name text not null);
create table public.bench_items (
  id integer primary key,
  owner uuid not null,
  category_id integer not null references public.bench_categories,
  title text not null,
  body text not null,
  price numeric(10, 2) not null,
  created_at timestamptz not null default now()
);
create index on public.bench_items (category_id, id);
create index on public.bench_items (owner);
create table public.bench_events (
  id bigint generated always as identity primary key,
  owner uuid not null,
  kind text not null,
  payload jsonb not null
);
create policy everybody_reads on public.bench_categories for select using (true);
create policy owner_only on public.bench_items for all to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create policy owner_only on public.bench_events for all to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create function public.bench_total(category integer) returns numeric language sql stable
  as 'select sum(price) from public.bench_items where category_id = category and id <= 100';

insert into public.bench_categories select n, 'category ' || n from generate_series(1, 20) n;
insert into public.bench_items
select n, case when n % 10 = 0 then '00000000-0000-4000-8000-000000000002' else '00000000-0000-4000-8000-000000000001' end::uuid,
  1 + n % 20, 'item ' || n, repeat('lorem ipsum ', 8), (n % 997) / 10.0
from generate_series(1, 20000) n;
analyze public.bench_items;
notify pgrst, 'reload schema';

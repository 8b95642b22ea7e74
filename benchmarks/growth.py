"""How the figures grow: tables in the schema, connections, rows under an indexed policy, depth of embeds; and what a shape costs.

The short form is part of ``make bench``; ``make bench-all`` measures all sizes.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from rich.table import Table

from benchmarks.cases import OWNER
from benchmarks.measure import load, resident_megabytes
from tests.support.server import Server, start_server

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console

PREFIX = "/rest/v1"
TABLES = """
do $$
begin
  for n in 1..{count} loop
    execute format('create table public.grown_%s (id int primary key, owner uuid not null, title text, price numeric, made timestamptz, '
                   'parent int %s)', n, case when n > 1 then format('references public.grown_%s', n - 1) else '' end);
    execute format('create policy own on public.grown_%s using (owner = (select auth.uid()))', n);
  end loop;
end $$"""
STEP = 500
"""Tables of one transaction: each takes locks of its own."""
ROWS = """
create table public.grown_rows (id int primary key, owner uuid not null, title text);
create index on public.grown_rows (owner, id);
create policy own on public.grown_rows using (owner = (select auth.uid()));
"""
MORE_ROWS = """
insert into public.grown_rows
select n, case when n % 100 = 0 then '{owner}' else gen_random_uuid() end, 'title ' || n
from generate_series((select coalesce(max(id), 0) + 1 from public.grown_rows), {count}) n;
analyze public.grown_rows"""
EMBEDS = ("select=id", "select=id,bench_items(id)", "select=id,bench_items(id,bench_categories(name))",
          "select=id,bench_items(id,bench_categories(name,bench_items(id)))",
          "select=id,bench_items(id,bench_categories(name,bench_items(id,bench_categories(name))))")  # fmt: skip


def wire(server: Server, path: str, token: str) -> bytes:
    """A GET on the wire."""
    return f"GET {PREFIX}{path} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def timed(server: Server, path: str, token: str) -> float:
    """Milliseconds of one request."""
    start = time.perf_counter()
    answer = httpx.get(f"{server.url}{PREFIX}{path}", headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False)
    if answer.is_error:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
    return (time.perf_counter() - start) * 1000


@contextmanager
def server_with(tables: int) -> Generator[Server]:
    """A server whose schema has that many tables."""
    folder = Path(tempfile.mkdtemp(prefix="fbg-", dir="/tmp"))
    server = start_server(data_dir=folder, env={"FLUXBASE_DATA_STATEMENT_TIMEOUT_SECONDS": "60"})
    try:
        server.sql(f"create table public.grown_0 (id int primary key); {TABLES.format(count=min(tables, STEP))}")
        for first in range(STEP, tables, STEP):
            server.sql(TABLES.format(count=STEP).replace("1..500", f"{first + 1}..{min(first + STEP, tables)}"))
        yield server
    finally:
        server.stop()


def held_requests(server: Server, token: str, act: Any) -> tuple[float, float]:
    """Median and longest milliseconds of requests for a table that did not change, asked one after the other while ``act`` runs."""
    found: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            found.append(timed(server, "/grown_1?select=id&limit=1", token))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        act()
    finally:
        is_over.set()
        asking.join()
    return statistics.median(found), max(found)


def reload_seconds(server: Server, token: str) -> float:
    """From the DDL's commit until a request for the new table is answered."""
    server.sql("drop table if exists public.grown_new; create table public.grown_new (id int primary key)")
    return timed(server, "/grown_new?select=id", token) / 1000


def by_tables(sizes: list[int], console: Console) -> None:
    """Start, reload, first request and memory by the number of tables."""
    table = Table(title="tables in the schema")
    for column in ("tables", "start s", "reload s", "first request ms", "known ms", "longest meanwhile ms", "memory MB"):
        table.add_column(column, justify="right")
    for size in sizes:
        with server_with(size) as server:
            server.stop(keep_data=True)
            start = time.perf_counter()
            again = start_server(data_dir=server.data_dir)
            started = time.perf_counter() - start
            try:
                token = again.token(OWNER)
                first = timed(again, "/grown_1?select=id,title&id=eq.1", token)
                known = statistics.median(timed(again, "/grown_1?select=id,title&id=eq.1", token) for _ in range(50))
                seconds = statistics.median(reload_seconds(again, token) for _ in range(3))
                _, longest = held_requests(again, token, lambda again=again: again.sql("notify pgrst, 'reload schema'") or time.sleep(2))
                memory, _ = resident_megabytes(again)
            finally:
                again.stop(keep_data=True)
        table.add_row(f"{size:,}", f"{started:.2f}", f"{seconds:.2f}", f"{first:.1f}", f"{known:.1f}", f"{longest:.0f}", f"{memory:.0f}")
    console.print(table)


def by_connections(server: Server, token: str, sizes: list[int], seconds: float, console: Console) -> None:
    """One row by key from 1 to 512 clients."""
    table = Table(title="connections, one row by key")
    for column in ("connections", "requests/s", "p50 ms", "p99 ms", "errors"):
        table.add_column(column, justify="right")
    for size in sizes:
        found = load(server.port, wire(server, "/bench_items?select=*&id=eq.4711", token), seconds=seconds, connections=size)
        table.add_row(str(size), f"{found['rate']:,.0f}", f"{found['p50']:.1f}", f"{found['p99']:.1f}", str(sum(found["errors"].values())))
    console.print(table)


def by_rows(server: Server, token: str, sizes: list[int], seconds: float, console: Console) -> None:
    """A page of the caller's own rows (one in a hundred) as the table grows."""
    server.sql(ROWS)
    table = Table(title="rows under an indexed policy, a page of 50 and one by key")
    for column in ("rows", "page requests/s", "page p50 ms", "by key requests/s", "by key p50 ms"):
        table.add_column(column, justify="right")
    for size in sizes:
        server.sql(MORE_ROWS.format(owner=OWNER, count=size))
        page = load(server.port, wire(server, "/grown_rows?select=id,title&order=id&limit=50", token), seconds=seconds)
        row = load(server.port, wire(server, "/grown_rows?select=id,title&id=eq.700", token), seconds=seconds)
        table.add_row(f"{size:,}", f"{page['rate']:,.0f}", f"{page['p50']:.1f}", f"{row['rate']:,.0f}", f"{row['p50']:.1f}")
    console.print(table)


def by_depth(server: Server, token: str, depths: list[int], seconds: float, console: Console) -> None:
    """Embeds inside embeds, two rows on each to-many level."""
    table = Table(title="depth of embeds")
    for column in ("depth", "requests/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for depth in depths:
        levels = [n for n in (1, 3) if n <= depth]  # the to-many ones
        limits = "".join(f"&{'.'.join(['bench_items', 'bench_categories'][n % 2] for n in range(level))}.limit=2" for level in levels)
        path = f"/bench_categories?{EMBEDS[depth]}&limit=2{limits}"
        found = load(server.port, wire(server, path, token), seconds=seconds)
        if found["errors"]:
            raise RuntimeError(f"depth {depth}: {found['errors']}")
        table.add_row(str(depth), f"{found['rate']:,.0f}", f"{found['p50']:.1f}", f"{found['p99']:.1f}")
    console.print(table)

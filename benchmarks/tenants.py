"""``python -m benchmarks.tenants``: what tenants cost as their number grows, with a database each and as rows of one.

Making one, memory, idle connections, the first request of a cold tenant, throughput of many against one. The short form is
part of ``make bench``; ``--all`` goes to 1,000 databases and 10,000 tenants in rows. The server is the shipped program with
its defaults and one worker; only rate limits are off, because one address sends everything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.measure import cpu_seconds, load, resident_megabytes
from fluxbase.app import Program, open_program
from fluxbase.auth.keys import ROLES
from fluxbase.crypto.opaque import tenant_locator
from fluxbase.db.cluster import Cluster
from fluxbase.db.instance import running_config
from fluxbase.kernel.ids import TenantId
from fluxbase.tenancy import store
from fluxbase.tenancy.lifecycle import NewTenant, check_isolation
from tests.support.server import Server, start_server

if TYPE_CHECKING:
    from typing import Any

    from fluxbase.tenancy.store import TenantRow

MIGRATION = "create table notes (id int primary key, text text); create policy everybody on notes using (true);"
SHORT = {"database": (1, 10), "row": (1, 100)}
WHOLE = {"database": (1, 10, 100, 1_000), "row": (1, 10, 100, 1_000, 10_000)}
ACTIVE = 100
"""Tenants that speak at once, over as many connections."""
SAMPLE = 300
"""Cold tenants asked, of those that a step made."""
TIMED, BATCH = 100, 200
COLUMNS = (
    "isolation", "tenants", "create p50 ms", "max ms", "CPU ms", "cold p50 ms", "p99 ms", "CPU ms", "memory MB", "idle connections",
    "one req/s", "active", "all req/s", "less", "CPU us one", "all", "errors",
)  # fmt: skip


def postgres_cpu(server: Server) -> float:
    """CPU seconds of the embedded PostgreSQL's processes so far, ended ones included."""
    postmaster = int((Cluster(server.data_dir).pgdata / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ticks = 0
    for pid in (str(postmaster), *children):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(value) for value in fields[11 : 15 if pid == str(postmaster) else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


def make(server: Server, isolation: str, first: int, last: int) -> tuple[list[float], list[str], float]:
    """Milliseconds of making each tenant by the shipped use case, without its command's start; some of their keys; CPU milliseconds each.

    Of tenants in rows the first ``TIMED`` are made so, and the rest written as that writes them, many in one transaction.
    """
    timed = last if isolation == "database" else min(last, first + TIMED)

    async def run() -> tuple[list[float], list[str], float]:
        took: list[float] = []
        made: list[TenantRow] = []
        async with open_program(server.data_dir, config=running_config(server.data_dir, server.env)) as program:
            before = time.process_time() + postgres_cpu(server)
            for number in range(first, timed):
                wanted = NewTenant(f"bench-{isolation}-{number}", isolation=check_isolation(isolation))
                start = time.perf_counter()
                made.append(await program.tenants.create(wanted, actor="bench"))
                took.append((time.perf_counter() - start) * 1000)
            spent = (time.process_time() + postgres_cpu(server) - before) * 1000 / len(took)
            for number in range(timed, last, BATCH):
                made += await fill(program, made[0], range(number, min(last, number + BATCH)))
            step = max(1, len(made) // SAMPLE)
            return took, [(await program.tenants.keys(row))["publishable_key"] for row in made[::step]], spent

    return asyncio.run(run())


async def fill(program: Program, like: TenantRow, numbers: range) -> list[TenantRow]:
    """Tenants in the rows of one database with keys of their own, all in two transactions."""
    made: list[TenantRow] = []
    for number in numbers:
        tenant_id = TenantId(str(uuid.uuid4()))
        made.append(replace(like, id=tenant_id, slug=f"bench-row-{number}", name=f"bench-row-{number}"))
    async with program.sessions(program.registry.default, reason="bench") as tx:
        for row in made:
            await store.insert_tenant(tx, row, tenant_locator(row.id), most=20_000)
            await store.mark(tx, row.id, status="active", step=None)
    async with program.sessions(program.tenants._tenant_of(like), reason="bench") as tx:
        for row in made:
            tenant = program.tenants._tenant_of(row)
            await program.keys._add_signing_key(tx, tenant)
            for kind in ROLES:
                await program.keys._add_key(tx, tenant, kind, [])
    return made


def cold(server: Server, keys: list[str]) -> tuple[list[float], float]:
    """Milliseconds of the first request of each tenant, over one kept connection; CPU milliseconds each."""
    found: list[float] = []
    before = cpu_seconds(server.process.pid) + postgres_cpu(server)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        client.get("/health")
        for key in keys[:SAMPLE]:
            start = time.perf_counter()
            answer = client.get("/rest/v1/notes?select=id", headers={"apikey": key})
            found.append((time.perf_counter() - start) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code} {answer.text[:200]}")
    return sorted(found), (cpu_seconds(server.process.pid) + postgres_cpu(server) - before) * 1000 / len(found)


def connections(server: Server) -> int:
    """Client connections that PostgreSQL holds, the one that asks left out."""
    info = Cluster(server.data_dir).info()
    with psycopg.connect(info.conninfo(info.superuser, info.superuser_password, "postgres")) as connection:
        asked = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        row = connection.execute(asked).fetchone()
    return int(row[0]) if row else 0


def throughput(server: Server, keys: list[str], seconds: float) -> dict[str, Any]:
    """A load over ``ACTIVE`` connections that speak for the tenants in turn, with CPU microseconds a request, PostgreSQL's included."""
    head = f"GET /rest/v1/notes?select=id HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\napikey: "
    wires = [f"{head}{key}\r\n\r\n".encode() for key in keys]
    load(server.port, b"\0".join(wires), seconds=seconds, warm_seconds=0.0, connections=ACTIVE)  # connections to PostgreSQL are opened
    before = cpu_seconds(server.process.pid) + postgres_cpu(server)
    found = load(server.port, b"\0".join(wires), seconds=seconds, warm_seconds=0.5, connections=ACTIVE)
    spent = cpu_seconds(server.process.pid) + postgres_cpu(server) - before
    return {**found, "cpu_us": spent / max(found["total"], 1) * 1e6}


def measured(server: Server, isolation: str, sizes: tuple[int, ...], seconds: float, table: Table, console: Console) -> None:
    """One row of the table for each number of tenants."""
    keys: list[str] = []
    number = 0
    for size in sizes:
        start = time.perf_counter()
        took, fresh, create_cpu = make(server, isolation, number, size)
        console.print(f"  {isolation}: {size:,} made after {time.perf_counter() - start:.0f} s", style="dim")
        number = size
        keys += fresh
        first, cold_cpu = cold(server, fresh)
        memory, _ = resident_megabytes(server)
        idle = connections(server)
        one = throughput(server, keys[:1], seconds)
        active = keys[:: max(1, len(keys) // ACTIVE)][:ACTIVE]
        many = one if size == 1 else throughput(server, active, seconds)
        table.add_row(
            isolation, f"{size:,}", f"{statistics.median(took):.0f}", f"{max(took):.0f}", f"{create_cpu:.0f}",
            f"{statistics.median(first):.1f}", f"{first[int(len(first) * 0.99)]:.1f}", f"{cold_cpu:.1f}", f"{memory:.0f}", str(idle),
            f"{one['rate']:,.0f}", str(len(active)), f"{many['rate']:,.0f}", f"{1 - many['rate'] / max(one['rate'], 1):.0%}",
            f"{one['cpu_us']:,.0f}", f"{many['cpu_us']:,.0f}", str(sum(one["errors"].values()) + sum(many["errors"].values())),
        )  # fmt: skip


def by_tenants(console: Console, sizes_of: dict[str, tuple[int, ...]], seconds: float) -> None:
    """A server for each isolation, and one table."""
    table = Table(title=f"tenants, {ACTIVE} connections, one worker, {os.cpu_count()} cores")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "isolation" else "right")
    for isolation, sizes in sizes_of.items():
        folder = Path(tempfile.mkdtemp(prefix="fbm-", dir="/tmp"))
        (folder / "20260101000000_notes.sql").write_text(MIGRATION)
        server = start_server(env={"FLUXBASE_DATABASE_MIGRATIONS_PATH": str(folder), "FLUXBASE_TENANTS_MAX_TENANTS": "20000"})
        try:
            measured(server, isolation, sizes, seconds, table, console)
        finally:
            server.stop()
    console.print(table)
    load_average = Path("/proc/loadavg").read_text().split()[0]
    console.print(f"goals: create <= 1,000 ms, cold p99 <= 50 ms, 100 active <= 35 % less than one; load average at the end {load_average}")


def main() -> None:
    """Parse the options and print the table."""
    parser = argparse.ArgumentParser(description="Tenants: what they cost as their number grows.")
    parser.add_argument("--all", action="store_true", help="to 1,000 databases and 10,000 tenants in rows")
    parser.add_argument("--isolation", choices=tuple(WHOLE), help="only this one")
    parser.add_argument("--seconds", type=float, help="seconds a load")
    options = parser.parse_args()
    sizes = WHOLE if options.all else SHORT
    chosen = sizes if options.isolation is None else {options.isolation: sizes[options.isolation]}
    by_tenants(Console(width=190), chosen, options.seconds or (5.0 if options.all else 1.5))


if __name__ == "__main__":
    main()

"""What tenants cost as their number grows: making one, memory, connections, the first request of a cold one, throughput of many against one.

The short form is part of ``make bench``; ``make bench-all`` goes to 1,000 databases and 10,000 tenants in rows.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from rich.table import Table

from benchmarks.measure import load, resident_megabytes
from fluxbase.app import open_program
from fluxbase.db.cluster import Cluster
from fluxbase.db.instance import running_config
from fluxbase.tenancy.lifecycle import NewTenant, check_isolation
from tests.support.server import Server, start_server

if TYPE_CHECKING:
    from rich.console import Console

MIGRATION = "create table notes (id int, text text); create policy everybody on notes using (true); "
SHORT = {"database": (1, 10, 100), "schema": (1, 10, 100), "row": (1, 10, 100)}
WHOLE = {"database": (1, 10, 100, 1_000), "schema": (1, 10, 100, 1_000), "row": (1, 10, 100, 1_000, 10_000)}
ACTIVE = 100
SAMPLE = 300
"""Cold tenants asked of those that a step made."""


def make(server: Server, isolation: str, first: int, last: int) -> tuple[list[float], list[str]]:
    """Milliseconds of making each tenant, by the shipped use case without its command's start, and their anon keys."""

    async def run() -> tuple[list[float], list[str]]:
        took: list[float] = []
        keys: list[str] = []
        async with open_program(server.data_dir, config=running_config(server.data_dir, server.env)) as program:
            for number in range(first, last):
                start = time.perf_counter()
                row = await program.tenants.create(NewTenant(f"bench-{isolation}-{number}", isolation=check_isolation(isolation)), actor="bench")
                took.append((time.perf_counter() - start) * 1000)
                keys.append((await program.tenants.keys(row))["publishable_key"])
        return took, keys

    return asyncio.run(run())


def cold(server: Server, keys: list[str]) -> list[float]:
    """Milliseconds of the first request of each tenant, over one kept connection."""
    step = max(1, len(keys) // SAMPLE)
    found: list[float] = []
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        client.get("/health")
        for key in keys[::step]:
            start = time.perf_counter()
            answer = client.get("/rest/v1/notes?select=id", headers={"apikey": key})
            found.append((time.perf_counter() - start) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code} {answer.text[:200]}")
    return sorted(found)


def connections(server: Server) -> int:
    """Client connections that PostgreSQL holds for us, ours for asking left out."""
    info = Cluster(server.data_dir).info()
    with psycopg.connect(info.conninfo(info.superuser, info.superuser_password, "postgres")) as connection:
        row = connection.execute("select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def throughput(server: Server, keys: list[str], seconds: float) -> dict[str, Any]:
    """Requests a second over ``ACTIVE`` connections that speak for the tenants in turn."""
    wires = [f"GET /rest/v1/notes?select=id HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\napikey: {key}\r\n\r\n".encode() for key in keys[:ACTIVE]]
    return load(server.port, b"\0".join(wires), seconds=seconds, connections=ACTIVE)


def by_tenants(console: Console, *, is_whole: bool) -> None:
    """One table for the three strengths."""
    table = Table(title="tenants")
    for column in (
        "isolation", "tenants", "create p50 ms", "create max ms", "cold p50 ms", "cold p99 ms", "memory MB", "connections",
        "req/s one", "req/s active", "active", "less", "errors",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "isolation" else "right")
    seconds = 5.0 if is_whole else 2.0
    for isolation, sizes in (WHOLE if is_whole else SHORT).items():
        folder = Path(tempfile.mkdtemp(prefix="fbm-", dir="/tmp"))
        (folder / "20260101000000_notes.sql").write_text(MIGRATION)
        server = start_server(env={"FLUXBASE_DATABASE_MIGRATIONS_PATH": str(folder), "FLUXBASE_TENANTS_MAX_TENANTS": "20000"})
        try:
            keys: list[str] = []
            for size in sizes:
                took, fresh = make(server, isolation, len(keys), size)
                keys += fresh
                first = cold(server, fresh)
                one, many = throughput(server, keys[:1], seconds), throughput(server, keys, seconds)
                memory, _ = resident_megabytes(server)
                table.add_row(
                    isolation, f"{size:,}", f"{statistics.median(took):.0f}", f"{max(took):.0f}", f"{statistics.median(first):.1f}",
                    f"{first[int(len(first) * 0.99)]:.1f}", f"{memory:.0f}", str(connections(server)), f"{one['rate']:,.0f}",
                    f"{many['rate']:,.0f}", str(min(ACTIVE, len(keys))), f"{1 - many['rate'] / max(one['rate'], 1):.0%}",
                    str(sum(one["errors"].values()) + sum(many["errors"].values())),
                )  # fmt: skip
        finally:
            server.stop()
    console.print(table)


if __name__ == "__main__":
    import sys

    from rich.console import Console as Terminal

    by_tenants(Terminal(width=170), is_whole="--all" in sys.argv)

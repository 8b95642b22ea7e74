"""``python -m benchmarks.network``: many idle connections; a slow-body attack beside good clients. On loopback, ends by itself.

The server is the shipped program with its defaults and one worker; only rate limits are off, because one address sends everything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from statistics import median

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.measure import ROOT, load, resident_megabytes
from tests.support.server import Server, start_server

IDLE, SLOW, GOOD = 10_000, 1_000, 16
MAX_SECONDS = 120
SLOW_HEAD = b"POST /rest/v1/bench_network HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n["
SCHEMA = """
create table bench_network (id int primary key, note text);
create policy everybody on bench_network using (true);
insert into bench_network select n, 'note ' || n from generate_series(1, 100) n;
"""


async def hold(port: int, kind: str, count: int) -> None:
    """Open connections, say how many stand, keep them until stdin ends. ``idle``: each had an answer; ``slow``: a byte a second."""
    opened = await asyncio.gather(*(_open(port, kind, asyncio.Semaphore(200)) for _ in range(count)))
    pairs = [pair for pair in opened if pair is not None]
    print(len(pairs), flush=True)
    ends_at = time.monotonic() + MAX_SECONDS
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not over.done() and time.monotonic() < ends_at:
        if kind == "slow":
            for _, writer in pairs:
                writer.write(b" ")
        await asyncio.wait([over], timeout=1)
    print(sum(not reader.at_eof() and not writer.transport.is_closing() for reader, writer in pairs), flush=True)
    os._exit(0)  # the reading thread may still wait


async def _open(port: int, kind: str, slots: asyncio.Semaphore) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    async with slots:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if kind == "slow":
                writer.write(SLOW_HEAD)
            else:
                writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
        except (OSError, asyncio.IncompleteReadError):
            return None
    return reader, writer


@contextmanager
def held(port: int, kind: str, count: int) -> Generator[subprocess.Popen[str]]:
    """Connections held by a process of their own; its first line was read."""
    command = [sys.executable, "-m", "benchmarks.network", "--hold", kind, "--port", str(port), "--count", str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.opened = int(process.stdout.readline())  # type: ignore[attr-defined]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)


def still_open(process: subprocess.Popen[str]) -> int:
    """Let go; how many stood until then."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    return int(process.stdout.readline())


def idle(server: Server, count: int, seconds: float) -> dict[str, float]:
    """Memory of our processes with the connections and without, and what a new client meets."""
    before, _ = resident_megabytes(server)
    with held(server.port, "idle", count) as process:
        opened: int = process.opened  # type: ignore[attr-defined]
        after, _ = resident_megabytes(server)
        latencies: list[float] = []
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            began = time.perf_counter()
            assert server.get("/rest/v1/bench_network?id=eq.1").status_code == 200  # a new connection each time
            latencies.append((time.perf_counter() - began) * 1000)
        kept = still_open(process)
    return {"opened": opened, "kept": kept, "before": before, "after": after, "new_ms": median(latencies), "slowest_ms": max(latencies)}


def attacked(server: Server, count: int, seconds: float, rounds: int) -> list[tuple[str, list[float], list[float]]]:
    """Good clients without and with the attack, in turns."""
    wire = f"GET /rest/v1/bench_network?id=eq.1 HTTP/1.1\r\nhost: 127.0.0.1\r\napikey: {server.anon_key}\r\n\r\n".encode()
    found: dict[str, tuple[list[float], list[float]]] = {"without": ([], []), "with": ([], [])}

    def measure(name: str) -> None:
        seen = load(server.port, wire, seconds=seconds, warm_seconds=0.3, connections=GOOD)
        assert not seen["errors"], seen
        found[name][0].append(seen["rate"])
        found[name][1].append(seen["p99"])

    for _ in range(rounds):
        measure("without")
        with held(server.port, "slow", count) as process:
            assert process.opened == count, process.opened  # type: ignore[attr-defined]
            measure("with")
            still_open(process)
    return [(name, *lists) for name, lists in found.items()]


def main() -> None:
    """Both parts; ``--all`` longer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--hold", choices=["idle", "slow"], help="used by itself")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    chosen = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if chosen.hold:
        uvloop.run(hold(chosen.port, chosen.hold, chosen.count))
        return
    console, seconds = Console(), 12.0 if chosen.all else 1.5
    server = start_server()
    try:
        server.sql(SCHEMA)
        for _ in range(50):
            server.get("/rest/v1/bench_network?id=eq.1")
        found = attacked(server, SLOW, seconds, 5 if chosen.all else 3)
        many = min(IDLE, hard - 1000)
        seen = idle(server, many, 20.0 if chosen.all else 2.0)
    finally:
        server.stop()
    table = Table(title=f"{GOOD} good clients beside {SLOW:,} slow bodies (medians of turns)")
    for column in ("attack", "requests/s", "p99 ms", "p99 of each turn"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for name, rates, p99s in found:
        table.add_row(name, f"{median(rates):,.0f}", f"{median(p99s):.1f}", " ".join(f"{each:.1f}" for each in p99s))
    console.print(table)
    without, attack = (median(p99s) for _, _, p99s in found)
    console.print(f"p99 under the attack: {attack / without:.2f} times (goal: at most 2)")
    console.print(
        f"{seen['opened']:,.0f} idle connections ({seen['kept']:,.0f} stood to the end): {seen['before']:.0f} MB before, "
        f"{seen['after']:.0f} MB with them, "
        f"{(seen['after'] - seen['before']) * 1024 / max(seen['opened'], 1):.1f} kB each; a new client's request {seen['new_ms']:.1f} ms, "
        f"slowest {seen['slowest_ms']:.0f} ms"
    )


if __name__ == "__main__":
    main()

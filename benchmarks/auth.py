"""``python -m benchmarks.auth``: sign-in beside the bare hash rate of the same run, refresh, GET user; and a storm of 500 sign-ins.

The server is the shipped program with its defaults and one worker; only rate limits are off. The bare hash rate is the same
hashes on as many threads in this process, before the server has anything to do. The yardstick is *one row by key*, the data plane's
cheapest request, measured in turns with the others: rates of a machine that has other work say little, CPU beside the yardstick says much.
``--all`` fills the tables (``benchmarks/many_accounts.py``) and measures again.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import many_accounts
from benchmarks.measure import cpu_seconds, load, resident_megabytes
from fluxbase.auth.passwords import Passwords
from fluxbase.config.auth import Auth
from tests.support.accounts import PASSWORD, Account, sign_up
from tests.support.server import Server, start_server

STORM = 500
SIGN_INS = 16
CHAINS = 32
ROUNDS = 2
ROW = "one row by key"
NAMES = (ROW, "GET user", "GET user, GoTrue", "refresh")


@dataclass(frozen=True, slots=True)
class Figure:
    """Requests a second, and our processes' CPU microseconds a request."""

    rate: float
    cpu_us: float


def bare_hash(seconds: float) -> Figure:
    """Verifications a second of the default hash on one thread a processor."""
    passwords = Passwords(Auth())
    workers = passwords._pool._max_workers  # type: ignore[attr-defined]
    stored = passwords._hash(PASSWORD)
    ends_at, spent = time.perf_counter() + seconds, time.process_time()

    def work() -> int:
        count = 0
        while time.perf_counter() < ends_at:
            passwords._verify(stored, PASSWORD)
            count += 1
        return count

    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(lambda _: work(), range(workers)))
    passwords.close()
    return Figure(done / seconds, (time.process_time() - spent) / done * 1e6)


def wire(server: Server, method: str, path: str, body: Any = None, token: str | None = None) -> bytes:
    """One HTTP/1.1 request."""
    content = b"" if body is None else orjson.dumps(body)
    head = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{server.port}", f"apikey: {server.anon_key}"]
    head += [f"content-length: {len(content)}", "content-type: application/json"] if content else []
    head += [f"authorization: Bearer {token}"] if token else []
    return "\r\n".join([*head, "", ""]).encode() + content


async def chain(server: Server, token: str, ends_at: float) -> tuple[int, str]:
    """Refresh again and again with the token the last answer gave; how often, and the last one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    count = 0
    while time.perf_counter() < ends_at:
        writer.write(wire(server, "POST", "/api/v1/auth/refresh", {"refresh_token": token}))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
        token = orjson.loads(body)["refresh_token"]
        count += 1
    writer.close()
    return count, token


class Bench:
    """One server with an account that has many sessions, and a table for the yardstick."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.account: Account = sign_up(server)
        self._tokens = [self.account.refresh, *(self.account.again().refresh for _ in range(CHAINS - 1))]
        server.sql("create table bench_row (id int primary key, owner uuid, name text)")
        server.sql("create policy own on bench_row using (owner = (select auth.uid()))")
        server.sql("insert into bench_row select n, %s, 'row ' || n from generate_series(1, 1000) n", self.account.id)
        self._wires = {
            name: wire(server, "GET", path, token=self.account.access)
            for name, path in zip(NAMES, ("/rest/v1/bench_row?id=eq.5", "/api/v1/auth/user", "/auth/v1/user"), strict=False)
        }

    def in_turns(self, seconds: float, rounds: int = ROUNDS) -> dict[str, Figure]:
        """The yardstick, GET user and refresh, one after the other, several times; the medians."""
        found: dict[str, list[Figure]] = defaultdict(list)
        for _ in range(rounds):
            for name, request in self._wires.items():
                found[name].append(self.loaded(request, seconds, warm_seconds=0.2))
            found["refresh"].append(self._refreshed(seconds))
        return {name: Figure(_median(each.rate for each in some), _median(each.cpu_us for each in some)) for name, some in found.items()}

    def loaded(self, request: bytes, seconds: float, *, connections: int = 64, warm_seconds: float = 0.5) -> Figure:
        """The same request on many connections. Raises AssertionError for an answer that is not 2xx."""
        before = cpu_seconds(self.server.process.pid)
        found = load(self.server.port, request, seconds=seconds, connections=connections, warm_seconds=warm_seconds)
        assert not found["errors"], found["errors"]
        return Figure(found["rate"], (cpu_seconds(self.server.process.pid) - before) / found["total"] * 1e6)

    def stormed(self, request: bytes, seconds: float) -> Figure:
        """The same of 500 connections at once: each waits longer than a measurement, so all answers count, until the last."""
        before, began = cpu_seconds(self.server.process.pid), time.perf_counter()
        found = load(self.server.port, request, seconds=seconds, connections=STORM, warm_seconds=0.0)
        assert not found["errors"], found["errors"]
        spent = cpu_seconds(self.server.process.pid) - before
        return Figure(found["total"] / (time.perf_counter() - began), spent / found["total"] * 1e6)

    def _refreshed(self, seconds: float) -> Figure:
        async def all_chains() -> list[tuple[int, str]]:
            ends_at = time.perf_counter() + seconds
            return await asyncio.gather(*(chain(self.server, token, ends_at) for token in self._tokens))

        before = cpu_seconds(self.server.process.pid)
        ends = uvloop.run(all_chains())
        self._tokens = [token for _, token in ends]
        done = sum(count for count, _ in ends)
        return Figure(done / seconds, (cpu_seconds(self.server.process.pid) - before) / done * 1e6)


class Peak(threading.Thread):
    """The highest memory of the server's processes while it runs, looked at four times a second."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = threading.Event()
        self.megabytes = 0.0

    def run(self) -> None:
        """Look until ``end``."""
        while not self._over.wait(0.25):
            self.megabytes = max(self.megabytes, resident_megabytes(self._server)[0])

    def end(self) -> float:
        """The highest so far."""
        self._over.set()
        self.join()
        return self.megabytes


def _median(values: Any) -> float:
    return float(statistics.median(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Accounts: sign-in, refresh, GET user.")
    parser.add_argument("--seconds", type=float, help="seconds a measurement")
    parser.add_argument("--all", action="store_true", help="longer, and once more with many accounts in the tables")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=10_000_000)
    options = parser.parse_args()
    console = Console(width=150)
    seconds = options.seconds or (4.0 if options.all else 1.2)
    bare = bare_hash(2 * seconds)
    server = start_server()
    try:
        bench = Bench(server)
        idle, _ = resident_megabytes(server)
        figures = bench.in_turns(seconds)
        sign_in = wire(server, "POST", "/api/v1/auth/signin", {"email": bench.account.email, "password": PASSWORD})
        signed = bench.loaded(sign_in, 2 * seconds, connections=SIGN_INS)
        peak = Peak(server)
        peak.start()
        storm = bench.stormed(sign_in, seconds)
        highest, (after, _) = peak.end(), resident_megabytes(server)
        show(console, bare, figures, signed, storm)
        console.print(f"memory of our processes (PSS): {idle:.0f} MB idle, {highest:.0f} MB at most in the storm, {after:.0f} MB after it")
        if options.all:
            many_accounts.fill(server, options.users, options.sessions, console)
            many_accounts.compare(figures, bench.in_turns(seconds, 4), console)
            many_accounts.show_plans(server, bench.account, console)
    finally:
        server.stop()


def show(console: Console, bare: Figure, figures: dict[str, Figure], signed: Figure, storm: Figure) -> None:
    """The rows, each beside what it is measured against."""
    yard = figures[ROW].cpu_us
    table = Table("what", "a second", "CPU us", "", title="Accounts, one worker")
    table.add_row("bare hash (Argon2id, 19 MiB, 2 passes)", f"{bare.rate:.0f}", f"{bare.cpu_us:.0f}", "")
    for name, figure in (("sign-in", signed), (f"sign-in, {STORM} at once", storm)):
        note = f"{figure.rate / bare.rate:.0%} of the bare hash; by CPU {bare.cpu_us / figure.cpu_us:.0%}"
        table.add_row(name, f"{figure.rate:.0f}", f"{figure.cpu_us:.0f}", note)
    for name in NAMES:
        note = "the yardstick" if name == ROW else f"{figures[name].cpu_us / yard:.2f} of the yardstick's CPU"
        table.add_row(name, f"{figures[name].rate:.0f}", f"{figures[name].cpu_us:.0f}", note)
    console.print(table)


if __name__ == "__main__":
    main()

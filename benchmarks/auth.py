"""``python -m benchmarks.auth``: sign-in beside the bare hash rate of the same run, refresh, GET user; and a storm of 500 sign-ins.

The server is the shipped program with its defaults and one worker; only rate limits are off. The bare hash rate is the same
hashes on as many threads in this process, before the server has anything to do.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.measure import load, resident_megabytes
from fluxbase.auth.passwords import Passwords
from fluxbase.config.auth import Auth
from tests.support.accounts import PASSWORD, sign_up
from tests.support.server import Server, start_server

STORM = 500
SIGN_INS = 16
CHAINS = 32


def bare_hash_rate(seconds: float) -> float:
    """Verifications a second of the default hash on one thread a processor."""
    passwords = Passwords(Auth())
    workers = passwords._pool._max_workers  # type: ignore[attr-defined]
    ends_at, done = time.perf_counter() + seconds, 0
    stored = passwords._hash(PASSWORD)

    def work() -> int:
        count = 0
        while time.perf_counter() < ends_at:
            passwords._verify(stored, PASSWORD)
            count += 1
        return count

    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(lambda _: work(), range(workers)))
    passwords.close()
    return done / seconds


def wire(server: Server, method: str, path: str, body: Any = None, token: str | None = None) -> bytes:
    """One HTTP/1.1 request."""
    content = b"" if body is None else orjson.dumps(body)
    head = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{server.port}", f"apikey: {server.anon_key}"]
    head += [f"content-length: {len(content)}", "content-type: application/json"] if content else []
    head += [f"authorization: Bearer {token}"] if token else []
    return "\r\n".join([*head, "", ""]).encode() + content


async def chain(server: Server, token: str, ends_at: float) -> int:
    """Refresh again and again with the token the last answer gave; how often."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    count = 0
    while time.perf_counter() < ends_at:
        writer.write(wire(server, "POST", "/api/v1/auth/refresh", {"refresh_token": token}))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
        token = orjson.loads(body)["refresh_token"]
        count += 1
    writer.close()
    return count


async def refreshes(server: Server, tokens: list[str], seconds: float) -> float:
    """Refreshes a second over as many sessions as there are tokens."""
    ends_at = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(chain(server, token, ends_at) for token in tokens))) / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Accounts: sign-in, refresh, GET user.")
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    bare = bare_hash_rate(seconds)
    server = start_server()
    try:
        account = sign_up(server)
        sign_in = wire(server, "POST", "/api/v1/auth/signin", {"email": account.email, "password": PASSWORD})
        idle, _ = resident_megabytes(server)
        signed = load(server.port, sign_in, seconds=seconds, connections=SIGN_INS)
        storm = load(server.port, sign_in, seconds=seconds, connections=STORM)
        after, _ = resident_megabytes(server)
        tokens = [account.refresh, *(account.again().refresh for _ in range(CHAINS - 1))]
        refreshed = uvloop.run(refreshes(server, tokens, seconds))
        user = load(server.port, wire(server, "GET", "/api/v1/auth/user", token=account.access), seconds=seconds)
    finally:
        server.stop()
    table = Table("what", "a second", "", title="Accounts, one worker")
    table.add_row("bare hash (Argon2id, 19 MiB, 2 passes)", f"{bare:.0f}", "")
    table.add_row("sign-in", f"{signed['rate']:.0f}", f"{signed['rate'] / bare:.0%} of the bare hash, errors {signed['errors']}")
    table.add_row(
        f"sign-in, {STORM} at once", f"{storm['rate']:.0f}", f"{idle:.0f} MB idle, {after:.0f} MB after, errors {storm['errors']}"
    )
    table.add_row("refresh", f"{refreshed:.0f}", f"{CHAINS} sessions")
    table.add_row("GET user", f"{user['rate']:.0f}", f"p50 {user['p50']:.1f} ms, errors {user['errors']}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""A bounded HTTP/1.1 keep-alive load generator for loopback: raw sockets, no framework, ends by itself.

Runs as its own process (``python -m benchmarks.load``) so that its event loop is not the measuring program's.
It refuses any address but loopback.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SECONDS = 60
MAX_CONNECTIONS = 512


@dataclass
class Tally:
    """What the connections saw."""

    ends_at: float
    counts_from: float
    latencies: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    total: int = 0
    """Answers, those of the warm-up included."""


class Client(asyncio.Protocol):
    """One connection: sends the next request as soon as the answer is complete."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, done: asyncio.Future[None]) -> None:
        self.requests, self.tally, self.done = requests, tally, done
        self.buffer = bytearray()
        self.sent_at = 0.0
        self.missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with the first request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self.send()

    def send(self) -> None:
        """One more request, unless the time is over."""
        now = time.perf_counter()
        if now >= self.tally.ends_at:
            self.transport.close()
            return
        self.sent_at = now
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Count bytes until the body is complete."""
        if self.missing < 0:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            if head[9:10] != b"2":
                status = head[9:12].decode()
                self.tally.errors[status] = self.tally.errors.get(status, 0) + 1
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if at < 0 and b"transfer-encoding" in head:
                raise RuntimeError("the load generator needs Content-Length")
            self.missing = length - (len(self.buffer) - end - 4)
            self.buffer.clear()
        else:
            self.missing -= len(data)
        if self.missing <= 0:
            self.missing = -1
            self.tally.total += 1
            if self.sent_at >= self.tally.counts_from:
                self.tally.latencies.append(time.perf_counter() - self.sent_at)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol names it
        """Tell the runner; a connection lost early is an error."""
        if time.perf_counter() < self.tally.ends_at:
            self.tally.errors["lost"] = self.tally.errors.get("lost", 0) + 1
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, wires: list[bytes], *, connections: int, warm_seconds: float, seconds: float) -> dict[str, object]:
    """Load ``127.0.0.1:port`` with the requests in turn; requests a second and latencies in milliseconds."""
    if not 0 < connections <= MAX_CONNECTIONS or warm_seconds + seconds > MAX_SECONDS:
        raise ValueError("over the generator's own bounds")
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    tally = Tally(ends_at=start + warm_seconds + seconds, counts_from=start + warm_seconds)
    waits = [loop.create_future() for _ in range(connections)]
    requests = cycle(wires)
    for done in waits:
        await loop.create_connection(lambda done=done: Client(requests, tally, done), "127.0.0.1", port)
    await asyncio.wait(waits, timeout=warm_seconds + seconds + 10)
    ordered = sorted(tally.latencies)
    if not ordered:
        return {"rate": 0.0, "p50": 0.0, "p99": 0.0, "total": 0, "errors": tally.errors or {"no answer": 1}}
    return {
        "rate": len(ordered) / seconds,
        "p50": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        "total": tally.total,
        "errors": tally.errors,
    }


if __name__ == "__main__":
    arguments = json.loads(sys.stdin.buffer.readline())
    wires = sys.stdin.buffer.read().split(b"\0")
    print(json.dumps(uvloop.run(run(arguments.pop("port"), wires, **arguments))))

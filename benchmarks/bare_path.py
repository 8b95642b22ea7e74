"""The peer: the least a Python server can do for the same statements. Raw ASGI on granian, libpq's pipeline mode, no
middleware, no authentication, no limits, no planning: the recorded settings statement and statement, Sync, bytes out.

``BENCH_CASES`` is the recorded JSON (``record.py``), ``BENCH_CONNINFO`` the libpq string. Identities are signed again
every few seconds by ``bench_private.sign``, outside the measured statements.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from psycopg import pq

POOL_SIZE = 10
SIGN_SECONDS = 1.5
Sender = Callable[[dict[str, Any]], Awaitable[None]]


class Connection:
    """One libpq connection in pipeline mode."""

    def __init__(self, conninfo: str, cases: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pg = pq.PGconn.connect(conninfo.encode())
        if self.pg.status != pq.ConnStatus.OK:
            raise RuntimeError(self.pg.get_error_message())
        self.pid = self.pg.backend_pid
        self.texts: dict[str, bytes] = {}
        for case in cases.values():
            for statement in case["statements"]:
                if statement["sql"] not in self.texts:
                    self.texts[statement["sql"]] = name = b"s%d" % len(self.texts)
                    self.must(self.pg.prepare(name, statement["sql"].encode()))
        self.identity = b""
        self.signed_at = 0.0
        self.waiter: asyncio.Future[None] | None = None
        self.pg.nonblocking = 1
        self.pg.enter_pipeline_mode()
        loop.add_reader(self.pg.socket, self.wake)

    def wake(self) -> None:
        """The socket has bytes."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def must(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        """Stop at the first error."""
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.get_error_message())
        return result

    def sign(self, claims: str, role: str) -> bytes:
        """A fresh identity for this backend; blocking, a few times a minute."""
        self.pg.exit_pipeline_mode()
        self.pg.nonblocking = 0
        result = self.must(self.pg.exec_params(b"select bench_private.sign($1, $2)", [role.encode(), claims.encode()]))
        self.pg.nonblocking = 1
        self.pg.enter_pipeline_mode()
        return bytes(result.get_value(0, 0) or b"")

    async def execute(self, case: dict[str, Any]) -> bytes:
        """Both statements in one round trip; the bytes of the last column that is not null."""
        if time.monotonic() - self.signed_at > SIGN_SECONDS:
            self.identity = self.sign(case["claims"], case["role"])
            self.signed_at = time.monotonic()
        pg = self.pg
        for statement in case["statements"]:
            values = [self.identity if v == "@identity" else None if v is None else v.encode() for v in statement["params"]]
            pg.send_query_prepared(self.texts[statement["sql"]], values)
        pg.pipeline_sync()
        pg.flush()
        body = b""
        while True:
            while pg.is_busy():
                self.waiter = self.loop.create_future()
                await self.waiter
                pg.consume_input()
            result = pg.get_result()
            if result is None:
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                break
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise RuntimeError(result.get_error_message())
            if result.status == pq.ExecStatus.TUPLES_OK and result.ntuples:
                for column in range(result.nfields):
                    value = result.get_value(0, column)
                    if value is not None and value[:1] in (b"[", b"{"):
                        body = value
        return body


class Bare:
    """The ASGI application."""

    def __init__(self) -> None:
        self.cases: dict[str, Any] = json.loads(Path(os.environ["BENCH_CASES"]).read_text())
        self.idle: asyncio.Queue[Connection] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Sender) -> None:
        """Answer ``/<case>``."""
        if scope["type"] != "http":
            return
        if self.idle is None:
            self.idle = asyncio.Queue()
            loop = asyncio.get_running_loop()
            for _ in range(POOL_SIZE):
                self.idle.put_nowait(Connection(os.environ["BENCH_CONNINFO"], self.cases, loop))
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        connection = await self.idle.get()
        try:
            body = await connection.execute(self.cases[scope["path"][1:].removeprefix("case/")])
        finally:
            self.idle.put_nowait(connection)
        length = str(len(body)).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"), (b"content-length", length)]}
        )
        await send({"type": "http.response.body", "body": body})


def create() -> Bare:
    """granian's factory."""
    return Bare()

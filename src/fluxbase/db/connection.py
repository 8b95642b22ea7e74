"""One connection in libpq's pipeline mode: several prepared statements and a Sync in one round trip.

Asynchronous over the event loop's reader; results are held back until the Sync was read, because a deferred constraint
fails after the rows (DESIGN invariant 4). Statement names begin with random bytes, so SQL cannot guess and replace them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from psycopg import pq

from fluxbase.db.sql import quote_ident

if TYPE_CHECKING:
    from collections.abc import Sequence

Params = "Sequence[bytes | None]"

_TUPLES = pq.ExecStatus.TUPLES_OK
_COMMAND = pq.ExecStatus.COMMAND_OK
_FATAL = pq.ExecStatus.FATAL_ERROR
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_ABORTED = pq.ExecStatus.PIPELINE_ABORTED
_FIELD = pq.DiagnosticField


class ConnectionBroken(Exception):
    """The connection ended; whether the statement ran is unknown unless nothing was sent."""


class StatementError(Exception):
    """PostgreSQL refused a statement."""

    def __init__(self, index: int, result: Any) -> None:
        super().__init__()
        self.index = index
        """Which statement of the batch; -1 for the Sync itself (a deferred constraint)."""
        self.sqlstate = _text(result, _FIELD.SQLSTATE) or "XX000"
        self.message = _text(result, _FIELD.MESSAGE_PRIMARY) or ""
        self.detail = _text(result, _FIELD.MESSAGE_DETAIL)
        self.hint = _text(result, _FIELD.MESSAGE_HINT)


def _text(result: Any, field: Any) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode("utf-8", "replace")


class Connection:
    """Belongs to one database and one role for life."""

    def __init__(self, pgconn: Any, loop: asyncio.AbstractEventLoop, cache_size: int) -> None:
        self._pg = pgconn
        self._loop = loop
        self._fd: int = pgconn.socket
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cache_size = cache_size
        self._prefix = secrets.token_hex(6).encode()
        self._counter = 0
        self._waiter: asyncio.Future[None] | None = None
        self._syncs_due = 0
        self._results: list[Any] = []
        self.pid = 0
        self.database = ""
        self.role = ""
        self.clock_offset_ms = 0
        self.schema_epoch = b""
        self.is_broken = False
        self.used_at = time.monotonic()

    @classmethod
    async def open(cls, conninfo: str, role: str, *, timeout_seconds: float, cache_size: int) -> Connection:
        """Connect, take the role, learn pid and clock. Raises ConnectionBroken."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_seconds):
                pgconn = await _connect(conninfo.encode(), loop)
        except (TimeoutError, OSError) as error:
            raise ConnectionBroken(str(error)) from error
        pgconn.nonblocking = 1
        pgconn.enter_pipeline_mode()
        connection = cls(pgconn, loop, cache_size)
        loop.add_reader(connection._fd, connection._on_readable)
        connection.role = role
        try:
            before = time.time()
            rows = await connection.run(
                [
                    (f"set role {quote_ident(role)}", ()),
                    ("select pg_backend_pid()::text, current_database()::text, floor(extract(epoch from clock_timestamp())*1000)::bigint::text", ()),
                ]
            )
        except StatementError as error:
            connection.close()
            raise ConnectionBroken(error.message) from error
        pid, database, clock = rows[1]
        connection.pid = int(pid or b"0")
        connection.database = (database or b"").decode()
        connection.clock_offset_ms = int(clock or b"0") - int((before + time.time()) * 500)
        return connection

    async def run(self, batch: Sequence[tuple[str, Sequence[bytes | None]]], after: Sequence[tuple[str, Sequence[bytes | None]]] = ()) -> list[tuple[bytes | None, ...]]:
        """One round trip: every statement of ``batch``, then Sync: one transaction. First row of each result.

        ``after`` is a second transaction, sent along; its results are read before the connection is free again, without
        keeping the caller waiting. Raises StatementError or ConnectionBroken.
        """
        if self.is_broken:
            raise ConnectionBroken("closed")
        self._results = []
        prepared = self._send_all(batch, after)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        return self._read_rows(prepared, len(batch))

    def _send_all(self, batch: Sequence[tuple[str, Sequence[bytes | None]]], after: Sequence[tuple[str, Sequence[bytes | None]]]) -> list[tuple[int, str | None]]:
        pg = self._pg
        prepared: list[tuple[int, str | None]] = []
        try:
            for index, (sql, params) in enumerate(batch):
                name = self._cache.get(sql)
                if name is None:
                    self._counter += 1
                    name = b"%s%d" % (self._prefix, self._counter)
                    pg.send_prepare(name, sql.encode())
                    prepared.append((index, sql))
                    self._cache[sql] = name
                else:
                    self._cache.move_to_end(sql)
                pg.send_query_prepared(name, params or None)
                prepared.append((index, None))
            pg.pipeline_sync()
            self._syncs_due = 1
            if after:
                for sql, params in after:
                    pg.send_query_params(sql.encode(), params or None)
                pg.pipeline_sync()
                self._syncs_due = 2
            self._flush()
        except Exception as error:
            self._break()
            raise ConnectionBroken(str(error)) from error
        return prepared

    def _flush(self) -> None:
        if self._pg.flush() == 1:
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            if self._pg.flush() == 0:
                self._loop.remove_writer(self._fd)
        except Exception:  # noqa: BLE001 - whatever libpq says, the connection is over
            self._break()

    def _on_readable(self) -> None:
        pg = self._pg
        try:
            pg.consume_input()
            while self._syncs_due and not pg.is_busy():
                result = pg.get_result()
                if result is None:
                    continue
                status = result.status
                if status == _SYNC:
                    self._syncs_due -= 1
                    if self._waiter is not None and not self._waiter.done():
                        self._waiter.set_result(None)
                    if self._syncs_due == 0 and self._idle is not None and not self._idle.done():
                        self._idle.set_result(None)
                elif self._waiter is not None and not self._waiter.done():
                    self._results.append(result)
            if pg.status == pq.ConnStatus.BAD:
                self._break()
        except Exception:  # noqa: BLE001 - whatever libpq says, the connection is over
            self._break()

    _idle: asyncio.Future[None] | None = None

    async def settled(self) -> None:
        """Wait until nothing is under way (the second transaction included). Raises ConnectionBroken."""
        if self._syncs_due and not self.is_broken:
            self._idle = self._loop.create_future()
            try:
                await self._idle
            finally:
                self._idle = None
        if self.is_broken:
            raise ConnectionBroken("closed")

    @property
    def is_settled(self) -> bool:
        """Nothing is under way."""
        return self._syncs_due == 0

    def _read_rows(self, sent: list[tuple[int, str | None]], count: int) -> list[tuple[bytes | None, ...]]:
        rows: list[tuple[bytes | None, ...]] = [()] * count
        error: StatementError | None = None
        for position, result in enumerate(self._results):
            index, preparing = sent[position] if position < len(sent) else (-1, None)
            status = result.status
            if status == _FATAL and error is None:
                error = StatementError(index, result)
            if status in (_FATAL, _ABORTED) and preparing is not None:
                self._cache.pop(preparing, None)
            if status == _TUPLES and preparing is None and result.ntuples:
                rows[index] = tuple(result.get_value(0, column) for column in range(result.nfields))
        self._results = []
        if error is not None:
            if error.sqlstate == "26000":  # somebody deallocated our statements: forget them all
                self._cache.clear()
            raise error
        return rows

    def overdue_statements(self) -> list[str]:
        """Statements beyond the cache's size, forgotten here; the caller sends the DEALLOCATEs along."""
        statements: list[str] = []
        while len(self._cache) > self._cache_size:
            _, name = self._cache.popitem(last=False)
            statements.append(f'deallocate "{name.decode()}"')
        return statements

    def forget_statements(self) -> list[str]:
        """All statements, because roles, grants or policies changed."""
        self._cache.clear()
        return ["deallocate all"]

    async def cancel(self) -> None:
        """Ask PostgreSQL to stop what runs, and wait until that is acknowledged and the line is quiet."""
        cancel = self._pg.get_cancel()
        await self._loop.run_in_executor(None, cancel.cancel)
        async with asyncio.timeout(2):
            await self.settled()

    def _break(self) -> None:
        if self.is_broken:
            return
        self.is_broken = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._syncs_due = 0
        self._pg.finish()
        for future in (self._waiter, self._idle):
            if future is not None and not future.done():
                future.set_exception(ConnectionBroken("the connection was cut"))

    def close(self) -> None:
        """End the connection."""
        self._break()


async def _connect(conninfo: bytes, loop: asyncio.AbstractEventLoop) -> Any:
    pgconn = pq.PGconn.connect_start(conninfo)
    try:
        while True:
            if pgconn.status == pq.ConnStatus.BAD:
                raise OSError(pgconn.get_error_message())
            state = pgconn.connect_poll()
            if state == pq.PollingStatus.OK:
                return pgconn
            if state == pq.PollingStatus.FAILED:
                raise OSError(pgconn.get_error_message())
            await _ready(loop, pgconn.socket, is_reading=state == pq.PollingStatus.READING)
    except BaseException:
        pgconn.finish()
        raise


async def _ready(loop: asyncio.AbstractEventLoop, fd: int, *, is_reading: bool) -> None:
    future = loop.create_future()

    def done() -> None:
        if not future.done():
            future.set_result(None)

    (loop.add_reader if is_reading else loop.add_writer)(fd, done)
    try:
        await future
    finally:
        (loop.remove_reader if is_reading else loop.remove_writer)(fd)

"""One connection in libpq's pipeline mode: several prepared statements and a Sync in one round trip.

Results are held back until the Sync was read, because a deferred constraint fails after the rows (DESIGN invariant 4).
Statement names begin with random bytes, so SQL cannot guess and replace them. A connection belongs to one database and
one role for life (invariant 2); at most one request uses it at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import select
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq

from fluxbase.db import pq as async_pq
from fluxbase.db.failures import ConnectionBroken, DeadlinePassed, LoginSpoilt, StatementError, text_of
from fluxbase.db.sql import quote_ident

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.pq.abc import PGconn, PGresult

    from fluxbase.crypto.identity import BoundSigner

    Row = tuple[bytes | None, ...]
    Batch = Sequence[tuple[str, Sequence[bytes | None] | None]]
    """Text and parameters of each statement; parameters None: sent without a name, for what must not be kept prepared."""
    Sent = tuple[str, bytes] | bool
    """Text and name of a Parse, False for a Close, True for a statement that was run."""
    Group = tuple[list[Sent], list[PGresult], asyncio.Future[bool] | None]
    """What belongs to one Sync: sent, received, and who waits (nobody for a cleaning)."""

_TUPLES, _COMMAND, _SYNC = pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.PIPELINE_SYNC
_FATAL = pq.ExecStatus.FATAL_ERROR
_OK = (_TUPLES, _COMMAND)
_CLOCK = "select current_database()::text, floor(extract(epoch from clock_timestamp()) * 1000)::bigint::text"
_OWN_SETTINGS = "select 1 from pg_db_role_setting s join pg_roles r on r.oid = s.setrole where r.rolname = session_user limit 1"
_FEWEST_STATEMENTS = 32
"""Room for the statements that every request needs, so that a batch never evicts its own."""
NEVER = float("inf")


class Connection:
    """Sends batches, reads results, knows when it is quiet."""

    __slots__ = (
        "_cleaning", "_end", "_fd", "_groups", "_is_forgetful", "_loop", "_names", "_pg", "_prefix", "_quiet_waiter", "_serial", "_size",
        "clock_offset_ms", "database", "epochs", "expires_at", "is_broken", "must_replan", "on_break", "on_quiet", "opened_at", "pid",
        "quiet_since", "role", "role_bytes", "schema_epoch", "signer",
    )  # fmt: skip

    def __init__(self, pgconn: PGconn, role: str, cache_size: int, clean: Batch) -> None:
        self._pg = pgconn
        self._fd = pgconn.socket
        self._end = select.poll()
        self._end.register(self._fd, 0)  # errors and hang-ups only
        self._loop = asyncio.get_running_loop()
        self._names: OrderedDict[str, bytes] = OrderedDict()
        self._size = max(_FEWEST_STATEMENTS, cache_size)
        self._prefix = b"fb_" + secrets.token_hex(8).encode() + b"_"
        self._serial = 0
        self._groups: deque[Group] = deque()
        """What was sent up to each Sync that is still due."""
        self._cleaning = clean
        self._is_forgetful = False
        self._quiet_waiter: asyncio.Future[None] | None = None
        self.role = role
        self.role_bytes = role.encode()
        self.database = ""
        self.pid = pgconn.backend_pid
        self.clock_offset_ms = 0
        self.signer: BoundSigner | None = None
        self.epochs = b""
        self.schema_epoch: int | None = None
        """The schema this connection's plans were made for; None before the first request."""
        self.must_replan = False
        """Roles, grants or policies changed in a way PostgreSQL's own invalidation may not see."""
        self.expires_at = NEVER
        """When the pools' watch gives up on what is under way (monotonic)."""
        self.opened_at = self.quiet_since = time.monotonic()
        self.is_broken = False
        self.on_break: Callable[[Connection], None] | None = None
        self.on_quiet: Callable[[Connection], None] | None = None
        """Called once, when nothing is due any more."""
        self._loop.add_reader(self._fd, self._on_readable)

    @classmethod
    async def connect(cls, conninfo: str, *, timeout_seconds: float, cache_size: int) -> Connection:
        """As the login itself, for our own statements alone: nothing is cleaned after them. Raises ConnectionBroken."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return cls(await async_pq.connect(conninfo), "", cache_size, ())
        except (TimeoutError, OSError) as error:
            raise ConnectionBroken(f"cannot connect: {type(error).__name__}", was_sent=False) from error

    @classmethod
    async def open(
        cls, conninfo: str, role: str, *, timeout_seconds: float, cache_size: int, clean: Batch, is_own_login: bool = False
    ) -> Connection:
        """Connect, take the role, learn database and clock. Raises ConnectionBroken, LoginSpoilt for a login of ours that was changed."""
        try:
            async with asyncio.timeout(timeout_seconds):
                connection = cls(await async_pq.connect(conninfo), role, cache_size, clean)
                try:
                    is_spoilt = is_own_login and await connection.run(((_OWN_SETTINGS, ()),)) != [()]
                    await connection.run(((f"set role {quote_ident(role)}", ()),))
                    await connection.read_clock()
                except BaseException:
                    connection.close()
                    raise
        except (async_pq.LoginRefused, StatementError) as error:
            raise LoginSpoilt(f"cannot connect: {type(error).__name__}", was_sent=False) from error
        except (TimeoutError, OSError) as error:
            raise ConnectionBroken(f"cannot connect: {type(error).__name__}", was_sent=False) from error
        if is_spoilt:
            connection.close()
            raise LoginSpoilt("the login has settings of its own", was_sent=False)
        return connection

    async def read_clock(self) -> None:
        """Learn how far the database's clock is from ours: identities expire by the database's."""
        before = time.time()
        ((database, clock),) = await self.run(((_CLOCK, ()),))
        self.database = (database or b"").decode()
        self.clock_offset_ms = int(clock or b"0") - int((before + time.time()) * 500)

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way."""
        return not self._groups

    @property
    def is_at_rest(self) -> bool:
        """Quiet, and no transaction is open."""
        return not self._groups and self._pg.transaction_status == pq.TransactionStatus.IDLE

    async def quieted(self) -> None:
        """Wait until nothing is under way. Raises ConnectionBroken."""
        if self._groups and not self.is_broken:
            self._quiet_waiter = self._loop.create_future()
            await self._quiet_waiter
        if self.is_broken:
            raise ConnectionBroken("closed")

    # -- sending ----------------------------------------------------------------------------------------------------

    async def run(self, batch: Batch, *, is_cleaned: bool = False) -> list[Row]:
        """One round trip: every statement of ``batch``, then Sync: one transaction. First row of each result.

        ``is_cleaned`` sends the cleaning along as a second transaction; its results do not keep the caller waiting.
        Raises StatementError, ConnectionBroken or DeadlinePassed.
        """
        return [
            tuple([result.get_value(0, column) for column in range(result.nfields)]) if result.ntuples == 1 else _several(result)
            for result in await self.results(batch, is_cleaned=is_cleaned)
        ]  # fmt: skip

    async def results(self, batch: Batch, *, is_cleaned: bool = False) -> list[PGresult]:
        """The same with whole results."""
        if self.is_broken or self._groups:
            raise ConnectionBroken("closed or busy", was_sent=False)
        waiter: asyncio.Future[bool] = self._loop.create_future()
        sent: list[Sent] = []
        results: list[PGresult] = []
        self._send((sent, results, waiter), batch, self._cleaning if is_cleaned else ())
        if not await waiter:
            raise _error_of(sent, results)
        if len(sent) != len(batch):
            results = [result for is_run, result in zip(sent, results, strict=True) if is_run is True]
        return results

    def clean(self, first: Batch = ()) -> None:
        """Send ``first`` and the cleaning without waiting; ``on_quiet`` or ``on_break`` tells the end."""
        if not self.is_broken:
            with contextlib.suppress(ConnectionBroken):  # on_break told it
                self._send(None, (), (*first, *self._cleaning))

    def preamble(self) -> Batch:
        """What must precede the next batch: plans or statements that are no longer trusted are dropped first."""
        if self._is_forgetful:
            self._is_forgetful = self.must_replan = False
            self._names.clear()
            return (("deallocate all", None),)
        self.must_replan = False
        return (("discard plans", None),)

    @property
    def needs_preamble(self) -> bool:
        """Whether ``preamble`` has something to say."""
        return self.must_replan or self._is_forgetful

    def _send(self, group: Group | None, batch: Batch, after: Batch) -> None:
        pg = self._pg
        is_synced = False
        try:
            if group is not None:
                self._groups.append(group)
                self._put(pg, group[0], batch)
                is_synced = True
                pg.pipeline_sync()
            if after:
                second: Group = ([], [], None)
                self._groups.append(second)
                self._put(pg, second[0], after)
                pg.pipeline_sync()
            if pg.flush():
                self._loop.add_writer(self._fd, self._on_writable)
        except psycopg.Error as error:
            if group is not None and group[2] is not None:
                group[2].cancel()
            self._break("cannot send")
            raise ConnectionBroken("cannot send", was_sent=is_synced) from error

    def _put(self, pg: PGconn, sent: list[Sent], batch: Batch) -> None:
        names = self._names
        for text, params in batch:
            if params is None:
                pg.send_query_params(text.encode(), None)
            else:
                name = names.get(text)
                if name is None:
                    name = self._prepare(pg, sent, text)
                else:
                    names.move_to_end(text)
                pg.send_query_prepared(name, params)
            sent.append(True)

    def _prepare(self, pg: PGconn, sent: list[Sent], text: str) -> bytes:
        self._serial += 1
        name = b"%s%d" % (self._prefix, self._serial)
        pg.send_prepare(name, text.encode())
        sent.append((text, name))
        self._names[text] = name
        while len(self._names) > self._size:
            _, oldest = self._names.popitem(last=False)
            pg.send_close_prepared(oldest)
            sent.append(False)
        return name

    def _on_writable(self) -> None:
        try:
            if not self._pg.flush():
                self._loop.remove_writer(self._fd)
        except psycopg.Error:
            self._break("cannot send")

    # -- reading ----------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self.is_broken:
            return
        pg = self._pg
        groups = self._groups
        try:
            pg.consume_input()
            if not groups:
                self._idle_input(pg)
                return
            while not pg.is_busy():
                result = pg.get_result()
                if result is None:
                    self._break("ended by the server")
                    return
                if result.status != _SYNC:
                    groups[0][1].append(result)
                    pg.get_result()  # every result is followed by a None, which is there already
                    continue
                sent, results, waiter = groups.popleft()
                is_well = bool(results) and results[-1].status in _OK
                if not is_well:
                    self._learn(sent, results)
                if waiter is None:
                    if not is_well:
                        self._break("the cleaning failed")
                        return
                    self._is_forgetful |= any(result.ntuples and result.get_value(0, result.nfields - 1) == b"t" for result in results)
                elif not waiter.done():
                    waiter.set_result(is_well)
                if not groups:
                    self._quiet()
                    return
            self._look_for_the_end()
        except psycopg.Error:
            self._break("cut")

    def _idle_input(self, pg: PGconn) -> None:
        """Bytes nobody asked for: notifications (dropped, LISTEN is not ours here), notices, or the server's farewell."""
        pg.is_busy()
        while pg.notifies() is not None:
            pass
        if pg.status == pq.ConnStatus.BAD:
            self._break("ended by the server")
        else:
            self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        """libuv tells once of a socket that ended with an error, whatever is left to be read: then read on until the end."""
        if self._end.poll(0):
            self._loop.call_soon(self._on_readable)

    def _learn(self, sent: list[Sent], results: list[PGresult]) -> None:
        """After an error: forget the statements whose Parse was refused or skipped, and all when somebody deallocated ours."""
        for position, item in enumerate(sent):
            if isinstance(item, tuple) and (position >= len(results) or results[position].status != _COMMAND):
                self._names.pop(item[0], None)
        if any(result.status == _FATAL and text_of(result, pq.DiagnosticField.SQLSTATE) in ("26000", "42P05") for result in results):
            self._is_forgetful = True

    def _quiet(self) -> None:
        waiter, self._quiet_waiter = self._quiet_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        callback, self.on_quiet = self.on_quiet, None
        if callback is not None:
            callback(self)

    # -- ending -----------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Tell the waiting request that its time is over; what runs is still to be cancelled."""
        for _, _, waiter in self._groups:
            if waiter is not None and not waiter.done():
                waiter.set_exception(DeadlinePassed())

    async def recover(self) -> None:
        """After a deadline or a client that left: cancel, drain, clean. Raises ConnectionBroken; the caller then closes.

        A cancel that arrives late would hit the next request: the cleaning is the barrier that takes it instead.
        """
        try:
            async with asyncio.timeout(_RECOVERY_SECONDS):
                if self._groups:
                    await async_pq.cancel(self._pg)
                    await self.quieted()
                for _ in range(_BARRIERS):
                    try:
                        rows = await self.run((("rollback", ()), *self._cleaning))
                        self._is_forgetful |= any(row and row[-1] == b"t" for row in rows)
                    except StatementError as error:
                        if error.sqlstate != "57014":
                            raise
                    else:
                        return
        except (TimeoutError, OSError, StatementError, psycopg.Error) as error:
            raise ConnectionBroken("not recovered") from error
        raise ConnectionBroken("not recovered")

    def close(self) -> None:
        """End the connection."""
        self._break("closed")

    def _break(self, why: str) -> None:
        if self.is_broken:
            return
        self.is_broken = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._pg.finish()
        waiters = [waiter for _, _, waiter in self._groups]
        self._groups.clear()
        for future in (*waiters, self._quiet_waiter):
            if future is not None and not future.done():
                future.set_exception(ConnectionBroken(why))
        if self.on_break is not None:
            self.on_break(self)


_RECOVERY_SECONDS = 3.0
_BARRIERS = 3


def _several(result: PGresult) -> Row:
    """No row, the first of many, or the lines of an EXPLAIN as one text."""
    if not result.ntuples:
        return ()
    if result.command_status == b"EXPLAIN":
        return (b"\n".join(result.get_value(line, 0) or b"" for line in range(result.ntuples)),)
    return tuple([result.get_value(0, column) for column in range(result.nfields)])


def _error_of(sent: list[Sent], results: list[PGresult]) -> StatementError:
    """The first error of a batch; statements are counted as the caller gave them, a Parse belongs to its statement."""
    index = 0
    for position, result in enumerate(results):
        if result.status == _FATAL:
            return StatementError(index if position < len(sent) else -1, result)
        if position < len(sent) and sent[position] is True:
            index += 1
    return StatementError(-1, results[-1])

"""Sessions of ``fluxbase_system`` for the stores of auth, audit and tenancy. The tenant is a required argument.

Everything here passes Row Level Security, so it says ``system`` and why (``reason=``). BEGIN travels with the first statement, and so
does the question whether the caller's credential still holds (``caller=``): its answer is read before any row is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import PyFormat, Transformer

from fluxbase.db.connection import Connection
from fluxbase.db.errors import OWN_SQLSTATES, STALE_CLAIMS, nul_refused, translate, unwritable
from fluxbase.db.failures import ConnectionBroken, StatementError
from fluxbase.db.settings import deny_array
from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import DeadlineExceeded, Unavailable
from fluxbase.kernel.principal import standing_keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from psycopg.pq.abc import PGresult

    from fluxbase.db.settings import Statement
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

CONNECT_SECONDS = 5
GATHER_SECONDS = 0.25
MOST_OPEN = 8
"""Databases a worker keeps such a connection to; with a database a tenant there would be thousands."""
STATEMENTS = 200
"""Prepared on a connection."""
ADMIT = "select set_config('statement_timeout', $2, true), fluxbase.admit($1::text[], -1)"
_BEGIN, _COMMIT, _ROLLBACK = (("begin", ()), ("commit", ()), ("rollback", ()))
_AWAY = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that say nothing of the statement: try again later."""
_DATA = "22"
"""Class of SQLSTATE of values that a type or a function refuses: who sent them hears of it."""
_OURS = ("22004", "22012", "2202H")
"""Of that class, what no value that was sent can cause: a null, a division by zero, a repeatable sample."""
_adapter = Transformer()
"""Turns results into Python's types; keeps nothing between two calls."""


class SystemTx:
    """One transaction of ``fluxbase_system`` in one tenant's database."""

    def __init__(
        self, sessions: SystemSessions, conninfo: str, reason: str, *, is_single: bool, caller: Principal | None, deadline: float | None
    ) -> None:
        self.reason = reason
        self.connection: Connection | None = None
        self._sessions = sessions
        self._conninfo = conninfo
        self._opening: list[Statement] = [] if is_single else [_BEGIN]
        self._is_single = is_single
        self._is_open = False
        self._caller = caller
        self._deadline = deadline
        self.committed: list[Callable[[], None]] = []

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call this when the transaction is committed, and not at all when it is not."""
        self.committed.append(call)

    async def fetch(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters. Raises Unavailable, and of a caller's transaction Revoked or DeadlineExceeded."""
        batch = [(sql, [_dumped(value) for value in params])]
        first = 0
        if self._opening or self._caller is not None:
            batch = [*self._opening, *self._question(), *batch]
            first = len(batch) - 1
            self._is_open |= bool(self._opening)
            self._opening = []
        try:
            results = await self._answers(batch)
        except StatementError as error:
            if self._caller is not None and error.sqlstate in OWN_SQLSTATES and error.index < first:
                await self._refuse(self._caller, error)
            raise
        if self._caller is not None:
            epochs = results[first - 1].get_value(0, 1) or b""
            if self._sessions.on_epochs is not None:
                self._sessions.on_epochs(self._caller.tenant, epochs.decode())
            self._caller = None
        return _rows(results[-1])

    execute = fetch

    async def end(self, *, is_kept: bool) -> None:
        """COMMIT or ROLLBACK, when anything was begun."""
        connection = self.connection
        if self._is_open and connection is not None and not connection.is_broken and connection.is_quiet:
            self._is_open = False
            await connection.results((_COMMIT if is_kept else _ROLLBACK,))

    def _question(self) -> list[Statement]:
        if self._caller is None:
            return []
        left = 60.0 if self._deadline is None else self._deadline - time.monotonic()
        if left <= 0:
            raise _too_late()
        return [(ADMIT, (deny_array(standing_keys(self._caller)), b"%d" % (left * 1000)))]

    async def _answers(self, batch: Sequence[Statement]) -> list[PGresult]:
        """Sent once more when the connection turns out to be dead before anything can have been kept."""
        has_begun, is_first = self.connection is not None, True
        while True:
            if self.connection is None:
                self.connection = await self._sessions.take(self._conninfo)
            try:
                if self._deadline is None:
                    return await self.connection.results(batch)
                async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                    return await self.connection.results(batch)
            except TimeoutError:
                raise _too_late() from None
            except ConnectionBroken as broken:
                if has_begun or not is_first or (broken.was_sent and self._is_single):
                    raise
                self.connection, is_first = None, False

    async def _refuse(self, caller: Principal, error: StatementError) -> None:
        if error.sqlstate == STALE_CLAIMS:
            await self._sessions.renew(caller)  # of a key: raises, its rights have changed
        raise translate(error.sqlstate, error.message) from None


class SystemSessions:
    """Opens such transactions; commits when the block ends well.

    At most ``size`` connections a database, one transaction at a time on each; those used last stay open.
    """

    def __init__(
        self, conninfo_of: Callable[[Any], str], *, size: int = 1, on_epochs: Callable[[TenantId, str], None] | None = None,
        renew: Callable[[Principal], Awaitable[Principal]] | None = None,
    ) -> None:  # fmt: skip
        self._conninfo_of = conninfo_of
        self._size = size
        self.on_epochs = on_epochs
        self._renew = renew
        self._idle: OrderedDict[str, list[Connection]] = OrderedDict()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def __call__(
        self, tenant: Any, *, reason: str, is_single: bool = False, caller: Principal | None = None, deadline: float | None = None
    ) -> AsyncGenerator[SystemTx]:
        """A transaction in the tenant's database; ``is_single``: each statement is its own, which saves two round trips.

        ``caller``: the first statement runs only if this credential still holds (``fluxbase.admit``, DESIGN invariant 5) and before
        ``deadline``. Raises Unavailable when the database cannot be reached.
        """
        conninfo = self._conninfo_of(tenant)
        async with self._slots.get(conninfo) or self._slots.setdefault(conninfo, asyncio.Semaphore(self._size)):
            tx = SystemTx(self, conninfo, reason, is_single=is_single, caller=caller, deadline=deadline)
            try:
                try:
                    yield tx
                except BaseException:
                    with contextlib.suppress(ConnectionBroken):
                        await tx.end(is_kept=False)
                    raise
                await tx.end(is_kept=True)
            except ConnectionBroken as error:
                for other in self._idle.pop(conninfo, []):
                    other.close()  # they are of the same server
                raise _unavailable() from error
            except StatementError as error:
                if error.sqlstate.startswith(_AWAY):
                    raise _unavailable() from error
                if error.sqlstate.startswith(_DATA) and error.sqlstate not in _OURS:
                    raise unwritable() from None  # its message and context would repeat what was sent
                raise
            finally:
                self._give_back(conninfo, tx.connection)
        for call in tx.committed:
            call()
        while len(self._idle) > MOST_OPEN:
            _, connections = self._idle.popitem(last=False)
            for connection in connections:
                connection.close()

    async def take(self, conninfo: str) -> Connection:
        """A connection at hand, or a new one. Raises ConnectionBroken."""
        held = self._idle.get(conninfo)
        while held:
            connection = held.pop()
            if not connection.is_broken:
                return connection
        return await Connection.connect(conninfo, timeout_seconds=CONNECT_SECONDS, cache_size=STATEMENTS)

    async def renew(self, caller: Principal) -> None:
        """A key's rights changed since its claims were read. Raises Unavailable."""
        if self._renew is not None:
            await self._renew(caller)

    async def close(self) -> None:
        """End the connections."""
        while self._idle:
            for connection in self._idle.popitem()[1]:
                connection.close()

    def _give_back(self, conninfo: str, connection: Connection | None) -> None:
        if connection is None or connection.is_broken:
            return
        if not connection.is_at_rest:  # who waited left: what runs is cancelled first
            task = asyncio.get_running_loop().create_task(_end(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if connection.needs_preamble:  # a trigger of the application on auth.users deallocated what we had prepared
            connection.close()
            return
        self._idle.setdefault(conninfo, []).append(connection)
        self._idle.move_to_end(conninfo)


async def _end(connection: Connection) -> None:
    with contextlib.suppress(ConnectionBroken):
        await connection.recover()
    connection.close()


def _dumped(value: Any) -> bytes | None:
    """A parameter as text, whose type the statement says."""
    match value:
        case None:
            return None
        case str():
            try:
                text = value.encode()
            except UnicodeEncodeError:
                raise unwritable() from None
        case bytes():
            return b"\\x" + value.hex().encode()
        case _:
            text = bytes(_adapter.dump_sequence([value], [PyFormat.TEXT])[0] or b"")
    if b"\0" in text:  # libpq would cut the value there
        raise nul_refused()
    return text


def _rows(result: PGresult) -> list[tuple[Any, ...]]:
    if not result.nfields:
        return []
    _adapter.set_pgresult(result)
    return _adapter.load_rows(0, result.ntuples, tuple)


def _unavailable() -> Unavailable:
    return Unavailable("Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable")


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("canceling statement due to statement timeout", sqlstate="57014", code="statement_timeout")


async def notifications(conninfo: str, channel: str) -> AsyncGenerator[set[str]]:
    """Payloads of NOTIFY on the channel, reconnecting for ever: the first at once, then what a quarter of a second brought.

    Anybody may NOTIFY, so that a thousand of them must not cost a thousand reloads. After a reconnect one empty payload:
    some may be lost.
    """
    is_first = True
    while True:
        try:
            async with await AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
                await connection.execute(f"listen {quote_ident(channel)}".encode())
                if not is_first:
                    yield {""}
                is_first = False
                while True:
                    async for notify in connection.notifies(stop_after=1):
                        yield {notify.payload}
                    while gathered := {notify.payload async for notify in connection.notifies(timeout=GATHER_SECONDS)}:
                        yield gathered
        except (psycopg.Error, OSError):
            await asyncio.sleep(1)


async def role_fingerprint(tx: SystemTx) -> str:
    """Changes when a role or membership does: no event trigger tells that. Our own logins, which come with tenants, are left out."""
    return str((await tx.fetch(_ROLES))[0][0])


_ROLES = """
with logins as (select oid from pg_catalog.pg_roles where rolname ~ '^(fb|fdw)_')
select pg_catalog.md5(pg_catalog.concat(
  (select pg_catalog.string_agg(r::text, ',' order by r.oid) from pg_catalog.pg_roles r where r.oid not in (select oid from logins)),
  (select pg_catalog.string_agg(m::text, ',' order by m.roleid, m.member) from pg_catalog.pg_auth_members m
    where m.member not in (select oid from logins))))"""

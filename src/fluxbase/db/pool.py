"""Connections of one (database, role), first come first served, and a limit over all pools of a worker.

Only quiet, clean connections are handed out. A database that is away costs one connect attempt a back-off, not one a
request: everybody else gets 503 at once, and the pool recovers by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from fluxbase.db.connection import NEVER, Connection, ConnectionBroken, cleaning
from fluxbase.kernel.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fluxbase.db.connection import Batch

FIRST_BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 1.0
WATCH_SECONDS = 0.1
CLEANING_SECONDS = 5.0
TRIM_SECONDS = 10.0
IDLE_SECONDS = 60.0
LIFE_SECONDS = 1800.0
"""A connection is replaced after this: memory of old sessions and a clock that moved go with it."""


def unavailable() -> Unavailable:
    """The database cannot be reached."""
    return Unavailable("Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable")


class Gate:
    """Says whether it is worth trying to connect to a database now."""

    __slots__ = ("_back_off", "_closed_until")

    def __init__(self) -> None:
        self._back_off = 0.0
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether an attempt may start."""
        return time.monotonic() >= self._closed_until

    def trying(self, seconds: float) -> None:
        """While it is doubtful, one attempt at a time."""
        if self._back_off:
            self._closed_until = time.monotonic() + seconds

    def failed(self) -> None:
        """Wait longer before the next one."""
        self._back_off = min(LONGEST_BACK_OFF_SECONDS, self._back_off * 2 or FIRST_BACK_OFF_SECONDS)
        self._closed_until = time.monotonic() + self._back_off

    def succeeded(self) -> None:
        """It answers."""
        self._back_off = self._closed_until = 0.0


class Pool:
    """Connections of one role in one database."""

    def __init__(self, pools: Pools, gate: Gate, conninfo: str, role: str) -> None:
        self._pools = pools
        self._gate = gate
        self._conninfo = conninfo
        self._role = role
        self._idle: list[Connection] = []
        """The one used last is taken first: the coldest are at the front."""
        self._waiters: deque[tuple[float, asyncio.Future[Connection]]] = deque()
        """First come, first served; since when, and who."""
        self._connecting = 0
        self.all: set[Connection] = set()

    @property
    def in_use(self) -> int:
        """Connections that are out."""
        return len(self.all) - len(self._idle)

    @property
    def places(self) -> int:
        """Connections open or being opened."""
        return len(self.all) + self._connecting

    @property
    def waited_since(self) -> float:
        """When the first in line came; NEVER when nobody waits."""
        self._forget_the_gone()
        return self._waiters[0][0] if self._waiters else NEVER

    # -- taking -----------------------------------------------------------------------------------------------------

    def take(self) -> Connection | None:
        """A quiet connection when one is idle."""
        return self._idle.pop() if self._idle else None

    async def acquire(self, deadline: float) -> Connection:
        """A quiet connection. Raises Unavailable (cannot connect) or DeadlineExceeded (pool exhausted)."""
        if self._idle:
            return self._idle.pop()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Connection] = loop.create_future()
        now = time.monotonic()
        self._waiters.append((now, future))
        self._pools.feed(self)
        timer = loop.call_later(max(0.0, min(self._pools.wait_seconds, deadline - now)), self._give_up, future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._free(future.result())  # it arrived in the moment the client left
            raise
        finally:
            timer.cancel()

    def _give_up(self, future: asyncio.Future[Connection]) -> None:
        if not future.done() and not self.all:  # nobody holds one either: the database does not let us in
            future.set_exception(unavailable())
        elif not future.done():
            future.set_exception(
                DeadlineExceeded("Timed out acquiring connection from connection pool.", pgrst="PGRST003", code="pool_timeout")
            )

    def grow(self) -> None:
        """Open connections for those who wait, as far as the size allows."""
        self._forget_the_gone()
        while self._connecting < len(self._waiters) and self.places < self._pools.size:
            if not self._gate.is_open:
                if not self.places:
                    self._fail_waiters()
                return
            if not self._pools.has_room(self):
                return
            self._gate.trying(self._pools.connect_timeout_seconds)
            self._connecting += 1
            self._pools.spawn(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await Connection.open(
                self._conninfo, self._role, timeout_seconds=self._pools.connect_timeout_seconds, clean=self._pools.cleaning(self._role),
                cache_size=self._pools.statement_cache_size,
            )  # fmt: skip
        except ConnectionBroken:
            self._connecting -= 1
            self._gate.failed()
            if not self.places:
                self._fail_waiters()
            self._pools.feed()
            return
        except BaseException:
            self._connecting -= 1
            raise
        self._connecting -= 1
        self._gate.succeeded()
        self.all.add(connection)
        connection.on_break = self._gone
        self._free(connection)
        self._pools.watch()

    def _forget_the_gone(self) -> None:
        while self._waiters and self._waiters[0][1].done():
            self._waiters.popleft()

    def _fail_waiters(self) -> None:
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(unavailable())

    # -- giving back ------------------------------------------------------------------------------------------------

    def release(self, connection: Connection) -> None:
        """Give a connection back; one that is being cleaned joins the pool when it is quiet. Broken ones have left already."""
        if connection.is_broken:
            return
        if connection.is_quiet:
            self._free(connection)
        else:
            connection.expires_at = time.monotonic() + CLEANING_SECONDS
            connection.on_quiet = self._free

    def recover(self, connection: Connection) -> None:
        """Give back a connection whose statement may still run: only after cancel, drain and cleaning."""
        if connection.is_broken:
            return
        connection.on_quiet = None
        connection.expires_at = NEVER
        self._pools.spawn(self._recover(connection))

    async def _recover(self, connection: Connection) -> None:
        try:
            await connection.recover()
        except ConnectionBroken:
            connection.close()
        else:
            self._free(connection)

    def _free(self, connection: Connection) -> None:
        """To the first in line; unless it is old, or a pool without any connection has waited longer for its place."""
        connection.expires_at = NEVER
        now = time.monotonic()
        if self._pools.is_closed or now - connection.opened_at > LIFE_SECONDS or self._pools.is_hungry(self):
            connection.close()
            return
        self._forget_the_gone()
        if self._waiters:
            self._waiters.popleft()[1].set_result(connection)
            return
        connection.quiet_since = now
        self._idle.append(connection)

    def _gone(self, connection: Connection) -> None:
        self.all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pools.feed()

    # -- upkeep -----------------------------------------------------------------------------------------------------

    def evict(self) -> bool:
        """Close the coldest idle connection to make room for another pool."""
        if not self._idle:
            return False
        connection = self._idle.pop(0)
        self.all.discard(connection)
        connection.on_break = None  # the place is taken already: nobody else must be told that it is free
        connection.close()
        return True

    def trim(self, now: float) -> None:
        """Close what has been idle for long, and what is old; one stays."""
        for connection in self._idle[:]:
            is_old = now - connection.opened_at > LIFE_SECONDS
            if is_old or (len(self.all) > 1 and now - connection.quiet_since > IDLE_SECONDS):
                connection.close()

    def check(self, now: float) -> bool:
        """Expire what ran out of time; whether anything is still under way."""
        is_busy = False
        for connection in list(self.all):
            if connection.is_quiet:
                continue
            is_busy = True
            if connection.expires_at < now:
                connection.expires_at = NEVER
                if connection.on_quiet is not None:  # a cleaning that hangs: nobody waits for it
                    self.recover(connection)
                connection.expire()
        return is_busy

    def close(self) -> None:
        """End every connection and send those who wait away."""
        self._fail_waiters()
        for connection in list(self.all):
            connection.close()


class Pools:
    """All pools of a worker. ``conninfo_of(database, role)`` names the login; ``total`` bounds them together."""

    def __init__(
        self, conninfo_of: Callable[[str, str], str], *, size: int, wait_seconds: float, connect_timeout_seconds: float,
        statement_cache_size: int, total: int | None = None, cleaning: Callable[[str], Batch] = cleaning,
    ) -> None:  # fmt: skip
        self._conninfo_of = conninfo_of
        self.size = size
        self.total = max(size, total or 4 * size)
        self.wait_seconds = wait_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self.statement_cache_size = statement_cache_size
        self.cleaning = cleaning
        """What a session of a role needs after a request that may have left something behind."""
        self.is_closed = False
        self._is_starved = False
        self._pools: dict[tuple[str, str], Pool] = {}
        self._gates: dict[str, Gate] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._trim: asyncio.TimerHandle | None = None

    def of(self, database: str, role: str) -> Pool:
        """The pool of a role in a database."""
        pool = self._pools.get((database, role))
        if pool is None:
            gate = self._gates.setdefault(database, Gate())
            pool = self._pools[database, role] = Pool(self, gate, self._conninfo_of(database, role), role)
        return pool

    def forget_plans(self, database: str | None = None) -> None:
        """Every connection plans anew before its next statement: for changes no event trigger sees (roles, memberships)."""
        for (name, _), pool in self._pools.items():
            if database is None or name == database:
                for connection in pool.all:
                    connection.must_replan = True

    def in_use(self) -> int:
        """Connections out, over all pools."""
        return sum(pool.in_use for pool in self._pools.values())

    def close(self) -> None:
        """End every connection."""
        self.is_closed = True
        for timer in (self._watch, self._trim):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()
        for pool in self._pools.values():
            pool.close()

    # -- for the pools ----------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Background work that must not be lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def has_room(self, for_pool: Pool) -> bool:
        """Whether one more connection fits; an idle one of another pool makes room."""
        if sum(pool.places for pool in self._pools.values()) < self.total:
            return True
        others = (pool for pool in self._pools.values() if pool is not for_pool)
        has_room = any(pool.evict() for pool in others)
        self._is_starved = not has_room
        return has_room

    def is_hungry(self, freed_by: Pool) -> bool:
        """Whether another pool must get the place of a connection: it waits and this one does not, or it has none and waits longer."""
        if not self._is_starved:
            return False
        hungry = [pool for pool in self._pools.values() if pool.waited_since < NEVER and pool.places < self.size]
        self._is_starved = bool(hungry)
        since = freed_by.waited_since
        return any(pool is not freed_by and pool.waited_since < since and (since == NEVER or not pool.places) for pool in hungry)

    def feed(self, first: Pool | None = None) -> None:
        """Somebody waits or a place became free: grow whoever may."""
        if self.is_closed:
            return
        if first is not None:
            first.grow()
            return
        for pool in sorted(self._pools.values(), key=lambda pool: pool.waited_since):
            if pool.waited_since == NEVER:
                return
            pool.grow()

    def watch(self) -> None:
        """Start looking after deadlines, until nothing is under way."""
        loop = asyncio.get_running_loop()
        if self._watch is None and not self.is_closed:
            self._watch = loop.call_later(WATCH_SECONDS, self._look)
        if self._trim is None and not self.is_closed:
            self._trim = loop.call_later(TRIM_SECONDS, self._trim_all)

    def _look(self) -> None:
        self._watch = None
        now = time.monotonic()
        busy = [pool.check(now) for pool in self._pools.values()]  # each must look, so not any() over a generator
        if any(busy):
            self.watch()

    def _trim_all(self) -> None:
        self._trim = None
        now = time.monotonic()
        for name, pool in list(self._pools.items()):
            pool.trim(now)
            if not pool.places and pool.waited_since == NEVER:
                del self._pools[name]
        if self._pools:
            self.watch()

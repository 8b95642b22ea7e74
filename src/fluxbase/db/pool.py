"""Connections by (database, role), bounded, first come first served (DESIGN invariant 2).

A dead database costs a request one short back-off, not a connect timeout; a waiter gets 504 when its time is over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from fluxbase.db.connection import Connection, ConnectionBroken
from fluxbase.kernel.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

BACK_OFF_SECONDS = 0.25


class Pool:
    """Connections of one role in one database."""

    def __init__(self, conninfo: str, role: str, *, size: int, wait_seconds: float, connect_timeout_seconds: float, cache_size: int) -> None:
        self._conninfo = conninfo
        self._role = role
        self._size = size
        self._wait_seconds = wait_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._cache_size = cache_size
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._failed_until = 0.0

    @property
    def in_use(self) -> int:
        """Connections that are out."""
        return self._open - len(self._idle)

    async def acquire(self, deadline: float) -> Connection:
        """A quiet connection. Raises Unavailable (cannot connect) or DeadlineExceeded (pool exhausted)."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_broken:
                return connection
            self._open -= 1
        if self._open < self._size:
            return await self._connect()
        future: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        try:
            async with asyncio.timeout(max(0.0, min(self._wait_seconds, deadline - time.monotonic()))):
                connection_or_place = await future
        except TimeoutError:
            raise DeadlineExceeded("Timed out acquiring connection from connection pool.", pgrst="PGRST003", code="pool_timeout") from None
        finally:
            if not future.done():
                future.cancel()
        return connection_or_place if connection_or_place is not None else await self._connect()

    async def _connect(self) -> Connection:
        if time.monotonic() < self._failed_until:
            raise Unavailable("Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable")
        self._open += 1
        try:
            return await Connection.open(
                self._conninfo, self._role, timeout_seconds=self._connect_timeout_seconds, cache_size=self._cache_size
            )
        except ConnectionBroken:
            self._failed_until = time.monotonic() + BACK_OFF_SECONDS
            self._gone()
            raise Unavailable("Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable") from None
        except BaseException:
            self._gone()
            raise

    def release(self, connection: Connection) -> None:
        """Give a quiet connection back, or a place free when it is broken."""
        if connection.is_broken:
            self._gone()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def _gone(self) -> None:
        self._open -= 1
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def close(self) -> None:
        """End the idle connections."""
        while self._idle:
            self._idle.pop().close()
            self._open -= 1


class Pools:
    """All pools of a worker. ``conninfo_of(database, role)`` names the login."""

    def __init__(
        self, conninfo_of: Callable[[str, str], str], *, size: int, wait_seconds: float, connect_timeout_seconds: float, statement_cache_size: int
    ) -> None:
        self._conninfo_of = conninfo_of
        self._options = (size, wait_seconds, connect_timeout_seconds, statement_cache_size)
        self._pools: dict[tuple[str, str], Pool] = {}

    def of(self, database: str, role: str) -> Pool:
        """The pool of a role in a database."""
        pool = self._pools.get((database, role))
        if pool is None:
            size, wait, connect, cache = self._options
            pool = Pool(
                self._conninfo_of(database, role), role, size=size, wait_seconds=wait, connect_timeout_seconds=connect, cache_size=cache
            )
            self._pools[database, role] = pool
        return pool

    def in_use(self) -> int:
        """Connections out, over all pools."""
        return sum(pool.in_use for pool in self._pools.values())

    def close(self) -> None:
        """End every idle connection."""
        for pool in self._pools.values():
            pool.close()

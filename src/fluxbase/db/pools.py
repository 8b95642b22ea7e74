"""All pools of a worker: bounded together, the connection used longest ago makes room, no tenant takes what the others need."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from fluxbase.db.cleaning import cleaning
from fluxbase.db.connection import NEVER
from fluxbase.db.gate import Gate
from fluxbase.db.pool import Pool
from fluxbase.db.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from fluxbase.db.connection import Batch

WATCH_SECONDS = 0.1
TRIM_SECONDS = 10.0


class Pools:
    """``conninfo_of(database, role)`` names the login; ``size`` bounds a tenant's connections of one role, ``total`` all of them.

    ``renew_login(database, role)`` repairs a login that its own SQL has spoilt, where logins are ours; it raises ConnectionBroken.
    """

    def __init__(
        self, conninfo_of: Callable[[str, str], str], *, size: int, wait_seconds: float, connect_timeout_seconds: float,
        statement_cache_size: int, total: int | None = None, cleaning: Callable[[str], Batch] = cleaning,
        renew_login: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self._conninfo_of = conninfo_of
        self._renew_login = renew_login
        self.size = size
        self.total = max(size, total or 4 * size)
        self.shares = Shares(self.total)
        self.wait_seconds = wait_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self.statement_cache_size = statement_cache_size
        self.cleaning = cleaning
        """What a session of a role needs after a request that may have left something behind."""
        self.is_closed = False
        self.waiting: dict[Pool, None] = {}
        """The pools somebody waits in."""
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
            renew = None if self._renew_login is None else partial(self._renew_login, database, role)
            pool = self._pools[database, role] = Pool(self, gate, self._conninfo_of(database, role), role, renew)
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

    def places(self) -> int:
        """Connections open or being opened, over all pools: never more than ``total``."""
        return sum(pool.places for pool in self._pools.values())

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
        """Whether one more connection fits; of the other pools' idle ones the one used longest ago makes room."""
        if self.places() < self.total:
            return True
        coldest = self._coldest_but(for_pool)
        if coldest is None:
            return False
        coldest.evict()
        self._forget_empty()
        return True

    def _coldest_but(self, excepted: Pool) -> Pool | None:
        """The pool of the idle connection used longest ago."""
        others = (pool for pool in self._pools.values() if pool is not excepted and pool.idle_since < NEVER)
        return min(others, key=lambda pool: pool.idle_since, default=None)

    def is_hungry(self, freed_by: Pool) -> bool:
        """Whether another pool must get the place of a connection: it waits and this one does not, or it has none and waits longer."""
        if not self.waiting or (len(self.waiting) == 1 and freed_by in self.waiting):
            return False
        if self.places() < self.total or self._coldest_but(freed_by) is not None:
            return False
        since = freed_by.waited_since
        others = [pool for pool in list(self.waiting) if pool is not freed_by]
        return any(pool.waited_since < since and (since == NEVER or not pool.places) for pool in others)

    def feed(self) -> None:
        """A place or a share became free: serve whoever may have it, those first who wait longest."""
        if not self.is_closed:
            for pool in sorted(self.waiting, key=lambda pool: pool.waited_since):
                pool.serve()

    def watch(self) -> None:
        """Start looking after deadlines, until nothing is under way."""
        if (self._watch is None or self._trim is None) and not self.is_closed:
            loop = asyncio.get_running_loop()
            self._watch = self._watch or loop.call_later(WATCH_SECONDS, self._look)
            self._trim = self._trim or loop.call_later(TRIM_SECONDS, self._trim_all)

    def _look(self) -> None:
        self._watch = None
        now = time.monotonic()
        busy = [pool.check(now) for pool in self._pools.values()]  # each must look, so not any() over a generator
        if any(busy):
            self.watch()

    def _trim_all(self) -> None:
        self._trim = None
        now = time.monotonic()
        for pool in list(self._pools.values()):
            pool.trim(now)
        self._forget_empty()
        if self._pools:
            self.watch()

    def _forget_empty(self) -> None:
        """Thousands of tenants come and go; what is kept is bounded by the connections there are."""
        for name, pool in list(self._pools.items()):
            if pool.is_empty:
                del self._pools[name]
        for database in self._gates.keys() - {database for database, _ in self._pools}:
            if not self._gates[database].is_troubled:
                del self._gates[database]

"""Connections of one (database, role): quiet and clean ones are handed out, tenants in turn, each in order of arrival.

A database of its own has one tenant; in a shared one a tenant with a thousand requests in line delays another by one of
them. How many a tenant may hold is said by ``shares.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from fluxbase.db.connection import NEVER, Connection
from fluxbase.db.failures import ConnectionBroken, LoginSpoilt
from fluxbase.db.gate import unavailable
from fluxbase.kernel.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.db.gate import Gate
    from fluxbase.db.pools import Pools
    from fluxbase.kernel.ids import TenantId

    Line = deque[tuple[float, asyncio.Future[Connection], float]]
    """Of each who waits: since when, what he waits for, and until when."""

CLEANING_SECONDS = 5.0
IDLE_SECONDS = 60.0
LAST_IDLE_SECONDS = 300.0
"""The last connection of a pool is kept longer; then a tenant nobody asks for costs none."""
RENEW_SECONDS = 2.0
LIFE_SECONDS = 1800.0
"""A connection is replaced after this: memory of old sessions and a clock that moved go with it."""


class Pool:
    """Connections of one role in one database."""

    def __init__(self, pools: Pools, gate: Gate, conninfo: str, role: str, renew: Callable[[], Awaitable[None]] | None) -> None:
        self._pools = pools
        self._renew = renew
        self._renew_again_at = 0.0
        self._gate = gate
        self._conninfo = conninfo
        self._role = role
        self._idle: list[Connection] = []
        """The one used last is taken first: the coldest are at the front."""
        self._out: dict[Connection, TenantId] = {}
        self._lines: OrderedDict[TenantId, Line] = OrderedDict()
        """Who waits; the tenant that was served last is at the end."""
        self._connecting: dict[TenantId, int] = {}
        self._held: dict[TenantId, int] = {}
        """Connections out or being opened."""
        self.all: set[Connection] = set()

    @property
    def in_use(self) -> int:
        """Connections that are out."""
        return len(self._out)

    @property
    def places(self) -> int:
        """Connections open or being opened."""
        return len(self.all) + sum(self._connecting.values())

    @property
    def waited_since(self) -> float:
        """When the first came of those who might be served; NEVER when there is none."""
        return min((line[0][0] for tenant in list(self._lines) if (line := self._line(tenant)) and self._may_take(tenant)), default=NEVER)

    @property
    def idle_since(self) -> float:
        """When the coldest idle connection was used; NEVER when none is idle."""
        return self._idle[0].quiet_since if self._idle else NEVER

    @property
    def is_empty(self) -> bool:
        """Whether it may be forgotten."""
        return not self.all and not self._connecting and not self._lines and self._renew_again_at < time.monotonic()

    # -- taking -----------------------------------------------------------------------------------------------------

    def take(self, tenant: TenantId) -> Connection | None:
        """A quiet connection when one is idle and the tenant may have it."""
        return self._hand_out(self._idle.pop(), tenant) if self._idle and self._may_take(tenant) else None

    async def acquire(self, tenant: TenantId, deadline: float) -> Connection:
        """A quiet connection. Raises Unavailable (cannot connect) or DeadlineExceeded (none became free in time)."""
        connection = self.take(tenant)
        if connection is not None:
            return connection
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Connection] = loop.create_future()
        now = time.monotonic()
        self._lines.setdefault(tenant, deque()).append((now, future, min(now + self._pools.wait_seconds, deadline)))
        self._pools.waiting[self] = None
        self._pools.watch()
        self._grow(tenant)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._free(future.result())  # it arrived in the moment the client left
            raise

    def _give_up(self, future: asyncio.Future[Connection]) -> None:
        is_away = not self.all and (self._connecting or self._gate.is_troubled)  # not only full: the database does not let us in
        if not future.done() and is_away:
            future.set_exception(unavailable())
        elif not future.done():
            future.set_exception(
                DeadlineExceeded("Timed out acquiring connection from connection pool.", pgrst="PGRST003", code="pool_timeout")
            )

    def _may_take(self, tenant: TenantId) -> bool:
        held = self._held.get(tenant, 0)
        return held < self._pools.size and self._pools.shares.may_take(tenant, is_first=not held)

    def _hand_out(self, connection: Connection, tenant: TenantId) -> Connection:
        self._hold(tenant)
        self._out[connection] = tenant
        return connection

    def _hold(self, tenant: TenantId) -> None:
        self._held[tenant] = self._held.get(tenant, 0) + 1
        self._pools.shares.take(tenant)

    def _let_go(self, tenant: TenantId | None) -> None:
        if tenant is not None:
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]
            self._pools.shares.give_back(tenant)

    def _line(self, tenant: TenantId) -> Line | None:
        """Who of a tenant still waits; those who left are forgotten."""
        line = self._lines.get(tenant)
        while line and line[0][1].done():
            line.popleft()
        if not line:
            self._lines.pop(tenant, None)
            if not self._lines:
                self._pools.waiting.pop(self, None)
        return line

    def _serve_next(self, connection: Connection) -> bool:
        """Give it to the tenant whose turn it is; whether there was one."""
        for tenant in list(self._lines) if len(self._lines) > 1 else tuple(self._lines):
            line = self._line(tenant)
            if line and self._may_take(tenant):
                self._lines.move_to_end(tenant)
                line.popleft()[1].set_result(self._hand_out(connection, tenant))
                self._line(tenant)
                return True
        return False

    def _fail_waiters(self) -> None:
        while self._lines:
            _, line = self._lines.popitem()
            for _, waiter, _ in line:
                if not waiter.done():
                    waiter.set_exception(unavailable())
        self._pools.waiting.pop(self, None)

    # -- opening ----------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Give those who wait what is idle, then open what is missing."""
        while self._idle and self._lines:
            connection = self._idle.pop()
            if not self._serve_next(connection):
                self._idle.append(connection)
                return
        for tenant in list(self._lines):
            self._grow(tenant)

    def _grow(self, tenant: TenantId) -> None:
        """Open connections for those of a tenant who wait, as far as its share allows. Nothing is idle that it could have."""
        line = self._line(tenant)
        while line and self._connecting.get(tenant, 0) < len(line) and self._may_take(tenant):
            if not self._gate.is_open:
                if not self.places:
                    self._fail_waiters()
                return
            if not self._pools.has_room(self):
                return
            self._gate.trying(self._pools.connect_timeout_seconds)
            self._connecting[tenant] = self._connecting.get(tenant, 0) + 1
            self._hold(tenant)
            self._pools.spawn(self._connect(tenant))

    async def _connect(self, tenant: TenantId) -> None:
        try:
            try:
                connection = await self._open()
            except LoginSpoilt:
                await self._renew_login()
                connection = await self._open()
        except ConnectionBroken:
            self._connected(tenant)
            self._gate.failed()
            if not self.places:
                self._fail_waiters()
            self._pools.feed()
            return
        except BaseException:
            self._connected(tenant)
            raise
        self._connected(tenant)
        self._gate.succeeded()
        self.all.add(connection)
        connection.on_break = self._gone
        self._free(connection)
        self._pools.watch()

    def _connected(self, tenant: TenantId) -> None:
        """Well or not: the attempt made for a tenant is over."""
        self._let_go(tenant)
        self._connecting[tenant] -= 1
        if not self._connecting[tenant]:
            del self._connecting[tenant]

    async def _open(self) -> Connection:
        return await Connection.open(
            self._conninfo, self._role, timeout_seconds=self._pools.connect_timeout_seconds, cache_size=self._pools.statement_cache_size,
            clean=self._pools.cleaning(self._role), is_own_login=self._renew is not None,
        )  # fmt: skip

    async def _renew_login(self) -> None:
        """Make the login again what provisioning made it, at most once in a while. Raises ConnectionBroken."""
        now = time.monotonic()
        if self._renew is None or now < self._renew_again_at:
            raise ConnectionBroken("the login is refused", was_sent=False)
        self._renew_again_at = now + RENEW_SECONDS
        await self._renew()

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
        """To whoever's turn it is; unless it is old, or a pool without any connection has waited longer for its place."""
        connection.expires_at = NEVER
        self._let_go(self._out.pop(connection, None))
        now = time.monotonic()
        if self._pools.is_closed or now - connection.opened_at > LIFE_SECONDS or self._pools.is_hungry(self):
            connection.close()
            return
        if self._lines and self._serve_next(connection):
            return
        connection.quiet_since = now
        self._idle.append(connection)
        if self._pools.waiting:  # in another pool, for this place or for its tenant's share
            self._pools.feed()

    def _gone(self, connection: Connection) -> None:
        self.all.discard(connection)
        self._let_go(self._out.pop(connection, None))
        if connection in self._idle:
            self._idle.remove(connection)
        self._pools.feed()

    # -- upkeep -----------------------------------------------------------------------------------------------------

    def evict(self) -> None:
        """Close the coldest idle connection to make room for another pool."""
        connection = self._idle.pop(0)
        self.all.discard(connection)
        connection.on_break = None  # the place is taken already: nobody else must be told that it is free
        connection.close()

    def trim(self, now: float) -> None:
        """Close what has been idle for long, and what is old."""
        for connection in self._idle[:]:
            longest = IDLE_SECONDS if len(self.all) > 1 else LAST_IDLE_SECONDS
            if now - connection.opened_at > LIFE_SECONDS or now - connection.quiet_since > longest:
                connection.close()

    def check(self, now: float) -> bool:
        """Expire what ran out of time, waiting or working; whether anything is still under way."""
        for tenant in list(self._lines):
            for _, waiter, ends_at in self._line(tenant) or ():
                if ends_at < now:
                    self._give_up(waiter)
        is_busy = bool(self._lines)
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

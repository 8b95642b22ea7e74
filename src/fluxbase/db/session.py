"""Sessions of ``fluxbase_system`` for the stores of auth, audit and tenancy. The tenant is a required argument.

Everything here passes Row Level Security, so it says ``system`` and why (``reason=``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor

from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

CONNECT_SECONDS = 5
GATHER_SECONDS = 0.25
MOST_OPEN = 8
"""Databases a worker keeps such a connection to; with a database a tenant there would be thousands."""


class SystemTx:
    """One transaction of ``fluxbase_system`` in one tenant's database."""

    def __init__(self, connection: AsyncConnection[Any], reason: str) -> None:
        self._connection = connection
        self.reason = reason
        self.committed: list[Callable[[], None]] = []

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call this when the transaction is committed, and not at all when it is not."""
        self.committed.append(call)

    async def fetch(self, sql: Any, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchall() if cursor.description else []

    execute = fetch


class SystemSessions:
    """Opens such transactions; commits when the block ends well.

    At most ``size`` connections a database, one transaction at a time on each; those used last stay open.
    """

    def __init__(self, conninfo_of: Callable[[Any], str], *, size: int = 1) -> None:
        self._conninfo_of = conninfo_of
        self._size = size
        self._idle: OrderedDict[str, list[AsyncConnection[Any]]] = OrderedDict()
        self._slots: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def __call__(self, tenant: Any, *, reason: str, is_single: bool = False) -> AsyncGenerator[SystemTx]:
        """A transaction in the tenant's database; ``is_single``: each statement is its own, which saves two round trips.

        Raises Unavailable when the database cannot be reached.
        """
        conninfo = self._conninfo_of(tenant)
        async with self._slots.setdefault(conninfo, asyncio.Semaphore(self._size)):
            connection: AsyncConnection[Any] | None = None
            try:
                async with AsyncExitStack() as stack:
                    connection = await self._begin(conninfo, stack, is_single=is_single)
                    tx = SystemTx(connection, reason)
                    yield tx
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                for broken in [*([connection] if connection is not None else []), *self._idle.pop(conninfo, [])]:
                    await broken.close()  # the others are of the same server
                raise Unavailable(
                    "Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable"
                ) from error
            finally:
                if connection is not None and not connection.closed:
                    self._idle.setdefault(conninfo, []).append(connection)
                    self._idle.move_to_end(conninfo)
        for call in tx.committed:
            call()
        await self._drop_the_coldest()

    async def _begin(self, conninfo: str, stack: AsyncExitStack, *, is_single: bool) -> AsyncConnection[Any]:
        """Begin on a connection at hand, or on a new one when there is none or PostgreSQL was restarted meanwhile."""
        held = self._idle.get(conninfo)
        while held:
            connection = held.pop()
            if is_single and not connection.closed:
                return connection
            try:
                await stack.enter_async_context(connection.transaction())
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await connection.close()
            else:
                return connection
        connection = await AsyncConnection.connect(
            conninfo, autocommit=True, cursor_factory=AsyncRawCursor, connect_timeout=CONNECT_SECONDS
        )
        # A trigger of the application on auth.users runs in this session: it must not guess what our statements are called.
        connection._prepared._prepared_idx = secrets.randbits(64)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no setting
        if not is_single:
            await stack.enter_async_context(connection.transaction())
        return connection

    async def _drop_the_coldest(self) -> None:
        while len(self._idle) > MOST_OPEN:
            _, connections = self._idle.popitem(last=False)
            for connection in connections:
                await connection.close()

    async def close(self) -> None:
        """End the connections."""
        while self._idle:
            for connection in self._idle.popitem()[1]:
                await connection.close()


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

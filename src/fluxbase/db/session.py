"""Sessions of ``fluxbase_system`` for the stores of auth, audit and tenancy. The tenant is a required argument.

Everything here passes Row Level Security, so it says ``system`` and why (``reason=``).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor

from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class SystemTx:
    """One transaction of ``fluxbase_system`` in one tenant's database."""

    def __init__(self, connection: AsyncConnection[Any], reason: str) -> None:
        self._connection = connection
        self.reason = reason

    async def fetch(self, sql: Any, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters."""
        cursor = await self._connection.execute(sql, params)
        return await cursor.fetchall() if cursor.description else []

    execute = fetch


class SystemSessions:
    """Opens such transactions; commits when the block ends well. One connection, one at a time, is enough for key work."""

    def __init__(self, conninfo_of: Callable[[Any], str]) -> None:
        self._conninfo_of = conninfo_of
        self._connections: dict[str, AsyncConnection[Any]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def __call__(self, tenant: Any, *, reason: str) -> AsyncGenerator[SystemTx]:
        """A transaction in the tenant's database. Raises Unavailable when it cannot be reached."""
        conninfo = self._conninfo_of(tenant)
        async with self._locks.setdefault(conninfo, asyncio.Lock()):
            try:
                connection = await self._connection(conninfo)
                async with connection.transaction():
                    yield SystemTx(connection, reason)
            except psycopg.OperationalError as error:
                stale = self._connections.pop(conninfo, None)
                if stale is not None:
                    await stale.close()
                raise Unavailable(
                    "Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable"
                ) from error

    async def _connection(self, conninfo: str) -> AsyncConnection[Any]:
        connection = self._connections.get(conninfo)
        if connection is None or connection.closed:
            connection = await AsyncConnection.connect(conninfo, autocommit=True, cursor_factory=AsyncRawCursor)
            self._connections[conninfo] = connection
        return connection

    async def close(self) -> None:
        """End the connections."""
        for connection in self._connections.values():
            await connection.close()
        self._connections.clear()


async def notifications(conninfo: str, channel: str) -> AsyncGenerator[None]:
    """Yields for each NOTIFY on the channel, reconnecting for ever."""
    while True:
        try:
            async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await connection.execute(f"listen {quote_ident(channel)}".encode())
                async for _ in connection.notifies():
                    yield
        except (psycopg.Error, OSError):
            await asyncio.sleep(1)

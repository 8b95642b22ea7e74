"""One round trip: who asks, whether they still may, and the statement (DESIGN section 2, invariants 2 to 5).

The settings statement and the statement travel in one pipeline and are one transaction; nothing is answered before the
Sync was read. After anything but a plain read the connection is cleaned in a second transaction sent along.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from fluxbase.db.connection import Connection, ConnectionBroken, StatementError
from fluxbase.db.errors import translate
from fluxbase.db.sql import array_literal, quote_ident
from fluxbase.kernel.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.crypto.identity import IdentitySigner
    from fluxbase.db.pool import Pool, Pools
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

IDENTITY_LIFE_MS = 2000

SETTINGS = (
    "select set_config('role',$1,true),set_config('request.jwt.claims',$2,true),set_config('fluxbase.identity',$3,true),"
    "set_config('request.method',$4,true),set_config('request.path',$5,true),set_config('request.headers',$6,true),"
    "set_config('request.cookies',$7,true),set_config('response.headers','',true),set_config('response.status','',true),"
    "set_config('search_path',$8,true),set_config('statement_timeout',$9,true),set_config('app.current_tenant_id',$10,true),"
    "set_config('timezone',coalesce($11,current_setting('timezone')),true),set_config('transaction_read_only',$12,true),"
    "fluxbase.admit($13::text[],$14::bigint)"
)


class Mode(Enum):
    """What the statement may do, and so what is left to clean."""

    PLAIN_READ = "plain_read"
    FUNCTION_READ = "function_read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """The ``request.*`` settings, all set on every request."""

    method: str
    path: str
    headers_json: str
    cookies_json: str
    search_path: str
    timezone: str | None = None


Row = "tuple[bytes | None, ...]"


class Executor:
    """Runs statements for principals. Holds no state of a request."""

    def __init__(
        self,
        pools: Pools,
        *,
        database_of: Callable[[TenantId], str],
        signer_of: Callable[[TenantId], IdentitySigner],
        on_epochs: Callable[[TenantId, str], None],
        timeout_of: Callable[[str], float],
    ) -> None:
        self._pools = pools
        self._database_of = database_of
        self._signer_of = signer_of
        self._on_epochs = on_epochs
        self._timeout_of = timeout_of

    async def run(
        self,
        principal: Principal,
        settings: RequestSettings,
        sql: str,
        params: Sequence[bytes | str | None],
        *,
        mode: Mode,
        deadline: float,
        expected_epoch: int = -1,
        verdict: Callable[[tuple[bytes | None, ...]], bool] | None = None,
    ) -> tuple[bytes | None, ...]:
        """The first row of the statement. ``verdict`` decides between COMMIT and ROLLBACK; what it raises is raised after the rollback.

        Raises DatabaseError, Revoked, StalePlan, Unavailable or DeadlineExceeded.
        """
        values = [value.encode() if isinstance(value, str) else value for value in params]
        pool = self._pools.of(self._database_of(principal.tenant), principal.role)
        for attempt in (1, 2):
            connection = await pool.acquire(deadline)
            try:
                return await self._attempt(pool, connection, principal, settings, sql, values, mode, deadline, expected_epoch, verdict)
            except ConnectionBroken:
                # Whether a write ran is unknown once it was sent: only reads are asked again.
                if attempt == 2 or mode is Mode.WRITE:
                    raise Unavailable("The database connection was lost.", pgrst="PGRST001", code="connection_lost") from None
            except StatementError as error:
                if attempt == 1 and (error.sqlstate == "26000" or (error.index == 0 and error.sqlstate == "42501")):
                    continue  # nothing ran: statements were deallocated, or a role was left behind; the connection is dealt with
                raise translate(error.sqlstate, error.message, error.detail, error.hint, values) from None
        raise Unavailable("The database connection was lost.", pgrst="PGRST001", code="connection_lost")

    async def _attempt(
        self, pool: Pool, connection: Connection, principal: Principal, settings: RequestSettings, sql: str, values: list[bytes | None],
        mode: Mode, deadline: float, expected_epoch: int, verdict: Callable[[tuple[bytes | None, ...]], bool] | None,
    ) -> tuple[bytes | None, ...]:  # fmt: skip
        remaining = min(deadline - time.monotonic(), self._timeout_of(principal.role))
        if remaining <= 0:
            pool.release(connection)
            raise DeadlineExceeded("The request's time is over.", code="deadline_exceeded")
        first = (SETTINGS, self._settings(connection, principal, settings, mode, remaining, expected_epoch))
        has_clean_state = True
        timer = connection._loop.call_later(remaining + 0.5, self._expire, connection)  # noqa: SLF001 - same package
        try:
            if verdict is None:
                rows = await connection.run([first, (sql, values)], self._after(connection, mode))
                self._on_epochs(principal.tenant, (rows[0][-1] or b"").decode())
                return rows[1]
            return await self._with_verdict(connection, principal, first, sql, values, verdict)
        except StatementError as error:
            has_clean_state = not (error.index == 0 and error.sqlstate == "42501")
            raise
        except asyncio.CancelledError:
            has_clean_state = False
            raise
        finally:
            timer.cancel()
            self._give_back(pool, connection, is_reusable=has_clean_state)

    async def _with_verdict(
        self, connection: Connection, principal: Principal, first: tuple[str, list[bytes | None]], sql: str, values: list[bytes | None],
        verdict: Callable[[tuple[bytes | None, ...]], bool],
    ) -> tuple[bytes | None, ...]:  # fmt: skip
        try:
            rows = await connection.run([("begin", ()), first, (sql, values)])
        except StatementError as error:
            error.index -= 1
            await connection.run([("rollback", ())], self._after(connection, Mode.WRITE))
            raise
        is_kept = False
        try:
            is_kept = verdict(rows[2])
        finally:
            await connection.run([("commit" if is_kept else "rollback", ())], self._after(connection, Mode.WRITE))
        self._on_epochs(principal.tenant, (rows[1][-1] or b"").decode())
        return rows[2]

    def _settings(
        self, connection: Connection, principal: Principal, settings: RequestSettings, mode: Mode, remaining: float, expected_epoch: int
    ) -> list[bytes | None]:
        expires_ms = int(time.time() * 1000) + connection.clock_offset_ms + IDENTITY_LIFE_MS
        proof = self._signer_of(principal.tenant).sign(connection.database, principal.role, connection.pid, expires_ms, principal.claims_json)
        return [
            principal.role.encode(),
            principal.claims_json.encode(),
            proof.encode(),
            settings.method.encode(),
            settings.path.encode(),
            settings.headers_json.encode(),
            settings.cookies_json.encode(),
            settings.search_path.encode(),
            b"%d" % max(1, int(remaining * 1000)),
            principal.tenant.encode(),
            None if settings.timezone is None else settings.timezone.encode(),
            b"off" if mode is Mode.WRITE else b"on",
            array_literal(principal.deny_keys).encode(),
            b"%d" % expected_epoch,
        ]

    @staticmethod
    def _after(connection: Connection, mode: Mode) -> list[tuple[str, tuple[()]]]:
        """The second transaction: what SQL of a user may have left in the session."""
        statements = connection.overdue_statements()
        if mode is not Mode.PLAIN_READ:
            statements += ["reset all", f"set role {quote_ident(connection.role)}", "select pg_advisory_unlock_all()", "unlisten *", "close all"]
        return [(text, ()) for text in statements]

    @staticmethod
    def _expire(connection: Connection) -> None:
        """PostgreSQL did not keep its own statement_timeout: cancel from outside, and end the connection if even that hangs."""
        if connection.is_settled or connection.is_broken:
            return
        task = asyncio.ensure_future(connection.cancel())
        task.add_done_callback(lambda done: connection.close() if done.exception() is not None else None)

    @staticmethod
    def _give_back(pool: Pool, connection: Connection, *, is_reusable: bool) -> None:
        """Back to the pool only when quiet; a cancelled one only after the cancel was acknowledged."""
        if connection.is_broken:
            pool.release(connection)
        elif not is_reusable:
            _background(_cancel_and_close(pool, connection))
        elif connection.is_settled:
            pool.release(connection)
        else:
            _background(_release_when_quiet(pool, connection))


_tasks: set[asyncio.Task[None]] = set()


def _background(coroutine: object) -> None:
    task: asyncio.Task[None] = asyncio.ensure_future(coroutine)  # type: ignore[arg-type]
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _release_when_quiet(pool: Pool, connection: Connection) -> None:
    try:
        async with asyncio.timeout(5):
            await connection.settled()
    except (ConnectionBroken, TimeoutError):
        connection.close()
    pool.release(connection)


async def _cancel_and_close(pool: Pool, connection: Connection) -> None:
    try:
        if not connection.is_settled:
            await connection.cancel()
    except (ConnectionBroken, TimeoutError, OSError):
        pass
    connection.close()
    pool.release(connection)

"""One round trip: who asks, whether they still may, and the statement (DESIGN section 2, invariants 2 to 5).

The settings statement and the statement travel in one pipeline and are one transaction; nothing is answered before the
Sync was read. After anything but a plain read the session is cleaned by a second transaction that is sent along.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fluxbase.db.errors import FACTOR_REMOVED, OWN_SQLSTATES, STALE_CLAIMS, nul_refused, translate
from fluxbase.db.failures import ConnectionBroken, DeadlinePassed, StatementError
from fluxbase.db.settings import Mode, RequestSettings, isolation_statement
from fluxbase.kernel.errors import DeadlineExceeded, FluxbaseError, Unavailable
from fluxbase.kernel.principal import lowered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fluxbase.db.connection import Batch, Connection
    from fluxbase.db.errors import Translate
    from fluxbase.db.pool import Pool
    from fluxbase.db.pools import Pools
    from fluxbase.db.settings import SessionSettings, Statement
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

__all__ = ["Executor", "Mode", "RequestSettings", "Row"]

GRACE_SECONDS = 0.3
"""PostgreSQL's own statement_timeout comes first; our watch is for a server that does not answer at all."""
MOST_RENEWALS = 3
"""How often the claims of one statement may turn out to be outdated: whoever changes them must win some time."""
_BEGIN: Batch = (("begin", ()),)
_COMMIT: Batch = (("commit", ()),)
_CHECK_NOW: Batch = (("set constraints all immediate", ()),)
"""Before a rollback that was asked for: a deferred constraint fails as it would at COMMIT."""
_CARRY_OUT = "select fluxbase.carry_out($1::uuid)"
_ROLLBACK: Batch = (("rollback", ()),)

Row = tuple[bytes | None, ...]


class Executor:
    """Runs statements for principals. Holds no state of a request."""

    def __init__(
        self,
        pools: Pools,
        *,
        database_of: Callable[[TenantId], str],
        session_settings: SessionSettings,
        on_epochs: Callable[[TenantId, str], None],
        timeout_of: Callable[[str], float],
        renew: Callable[[Principal], Awaitable[Principal]] | None = None,
        translate: Translate = translate,
    ) -> None:
        self._pools = pools
        self._database_of = database_of
        self._session_settings = session_settings
        self._on_epochs = on_epochs
        self._timeout_of = timeout_of
        self._renew = renew
        self._translate = translate

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
        verdict: Callable[[Row], bool] | None = None,
        rollback: bool = False,
    ) -> Row:
        """The first row of the statement.

        ``verdict`` decides between COMMIT and ROLLBACK; what it raises is raised after the rollback. ``rollback``
        undoes in any case. Raises DatabaseError, Revoked, StalePlan, Unavailable or DeadlineExceeded.
        """
        values = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in params]
        for value in values:
            if value is not None and b"\0" in value:  # libpq would cut the value there
                raise nul_refused()
        sql = self._session_settings.statement(principal, sql)
        database, role = self._database_of(principal.tenant), self._session_settings.login_role(principal)
        is_last, renewals = False, 0
        while True:
            pool = self._pools.of(database, role)
            connection = pool.take(principal.tenant) or await pool.acquire(principal.tenant, deadline)
            try:
                if verdict is None and not rollback:
                    return await self._in_one_trip(pool, connection, principal, settings, sql, values, mode, deadline, expected_epoch)
                return await self._judged(
                    pool, connection, principal, settings, sql, values, mode, deadline, expected_epoch, verdict, rollback=rollback
                )
            except ConnectionBroken as broken:
                # Whether a write was committed is unknown once its Sync was sent: only reads are asked again.
                if is_last or (broken.was_sent and mode is Mode.WRITE):
                    raise Unavailable("The database connection was lost.", pgrst="PGRST001", code="connection_lost") from None
            except StatementError as error:
                # Nothing ran: our statements had been deallocated, or a role was left behind (that connection is closed).
                if error.sqlstate == STALE_CLAIMS and error.index == 0 and self._renew is not None and renewals < MOST_RENEWALS:
                    principal, renewals = await self._renew(principal), renewals + 1
                    continue
                if error.sqlstate == FACTOR_REMOVED and error.index == 0:
                    principal = lowered(principal)  # has no such deny key any more, so this happens once
                    continue
                is_leftover = self._is_leftover(error)
                if is_last and is_leftover:
                    raise Unavailable("The database is not prepared for this role.", code="role_not_provisioned") from error
                if is_last or not (is_leftover or error.sqlstate == "26000"):
                    raise self._error(error, settings, values) from None
            is_last = True

    async def _in_one_trip(
        self, pool: Pool, connection: Connection, principal: Principal, settings: RequestSettings, sql: str, values: list[bytes | None],
        mode: Mode, deadline: float, expected_epoch: int,
    ) -> Row:  # fmt: skip
        batch: list[Statement] = []
        first = 0
        try:
            first = self._open(batch, connection, principal, settings, mode, deadline, expected_epoch)
            batch.append((sql, values))
            rows = await connection.run(batch, is_cleaned=mode is not Mode.PLAIN_READ)
        except StatementError as error:
            error.index -= first
            self._after_error(pool, connection, error)
            raise
        except DeadlinePassed:
            pool.recover(connection)
            raise _too_late() from None
        except BaseException:
            if connection.is_quiet:
                pool.release(connection)
            else:
                pool.recover(connection)
            raise
        pool.release(connection)
        self._note_epochs(connection, principal.tenant, rows[first])
        return rows[-1]

    async def _judged(
        self, pool: Pool, connection: Connection, principal: Principal, settings: RequestSettings, sql: str, values: list[bytes | None],
        mode: Mode, deadline: float, expected_epoch: int, verdict: Callable[[Row], bool] | None, *, rollback: bool,
    ) -> Row:  # fmt: skip
        batch: list[Statement] = list(_BEGIN)
        first = place = 1
        try:
            first = place = self._open(batch, connection, principal, settings, mode, deadline, expected_epoch)
            batch.append((sql, values))
            try:
                rows = await connection.run(batch)
            except ConnectionBroken as broken:
                broken.was_sent = False  # COMMIT was not sent, so nothing was kept
                raise
            is_kept = (verdict is None or verdict(rows[-1])) and not rollback
            first = 1  # what fails now is none of the statements before
            if is_kept:
                await connection.run(_COMMIT, is_cleaned=True)
            elif rollback:
                await connection.run(_CHECK_NOW)
        except StatementError as error:
            error.index -= first
            if connection.is_quiet:
                connection.clean(_ROLLBACK)
            self._after_error(pool, connection, error)
            raise
        except DeadlinePassed:
            pool.recover(connection)
            raise _too_late() from None
        except FluxbaseError:
            connection.clean(_ROLLBACK)
            pool.release(connection)
            raise
        except BaseException:
            pool.recover(connection)
            raise
        if not is_kept:
            connection.clean(_ROLLBACK)
        pool.release(connection)
        self._note_epochs(connection, principal.tenant, rows[place])
        return rows[-1]

    def _open(
        self, batch: list[Statement], connection: Connection, principal: Principal, settings: RequestSettings, mode: Mode,
        deadline: float, expected_epoch: int,
    ) -> int:  # fmt: skip
        """What precedes the statement: distrusted plans dropped, then the settings. Gives the place of the settings statement."""
        now = time.monotonic()
        own = settings.timeout_ms
        longest = self._timeout_of(principal.role) if own is None else own / 1000 or deadline
        remaining = min(deadline - now, longest)
        if remaining <= 0:
            raise _too_late()
        connection.expires_at = now + remaining + GRACE_SECONDS
        if connection.schema_epoch != expected_epoch and connection.schema_epoch is not None and expected_epoch >= 0:
            connection.must_replan = True
            connection.schema_epoch = expected_epoch
        if settings.isolation:
            batch.append(isolation_statement(settings.isolation))
        if connection.needs_preamble:
            batch.extend(connection.preamble())
        first = len(batch)
        batch.extend(self._session_settings.opening(connection, principal, settings, mode, max(1, int(remaining * 1000)), expected_epoch))
        if settings.claim is not None and mode is Mode.WRITE:
            batch.append((_CARRY_OUT, (settings.claim.encode(),)))
        self._pools.watch()
        return first

    def _note_epochs(self, connection: Connection, tenant: TenantId, settings_row: Row) -> None:
        """Plans of a connection belong to one schema epoch; whoever keeps keys and snapshots hears of a change."""
        epochs = settings_row[-1] if settings_row else None
        if epochs is None or epochs == connection.epochs:
            return
        schema_epoch = int(epochs.split(b":", 1)[0])
        if connection.schema_epoch not in (None, schema_epoch) and not connection.must_replan:
            connection.must_replan = True
        connection.schema_epoch = schema_epoch
        connection.epochs = epochs
        self._on_epochs(tenant, epochs.decode())

    def _error(self, error: StatementError, settings: RequestSettings, values: list[bytes | None]) -> FluxbaseError:
        """What the client may see. Our own SQLSTATEs count only where we raise them: a user's function cannot speak for us."""
        is_borrowed = error.index > 0 and error.sqlstate in OWN_SQLSTATES and self._translate is translate
        sqlstate = "P0001" if is_borrowed else error.sqlstate
        sent = values if settings.timezone is None else [*values, settings.timezone.encode()]
        return self._translate(sqlstate, error.message, error.detail, error.hint, sent, is_raised=error.is_raised)

    def _is_leftover(self, error: StatementError) -> bool:
        """Refused before anybody was admitted: not by the deny list but by missing rights, so the role is not what it must be."""
        return error.sqlstate == "42501" and error.index == 0 and self._session_settings.is_role_for_life

    def _after_error(self, pool: Pool, connection: Connection, error: StatementError) -> None:
        if self._is_leftover(error):
            connection.close()
        else:
            pool.release(connection)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("canceling statement due to statement timeout", sqlstate="57014", code="statement_timeout")

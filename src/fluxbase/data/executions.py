"""Functions called in the background: begin, run, record, read (contract-native 1.4).

Everything happens as the caller: a revoked session cannot begin, end or read an execution, and the row's owner is the
signed identity of its transaction (``sql/migrations``). Success is recorded in the transaction of the call itself; a
failure in one of its own, because that of the call is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson

from fluxbase.data.store import BEGIN_EXECUTION, FAIL_EXECUTION, READ_EXECUTION, START_EXECUTION, ending_itself
from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import DeadlineExceeded, FluxbaseError, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.data.engine import StatementRunner
    from fluxbase.data.request import DataRequest
    from fluxbase.data.service import DataService
    from fluxbase.kernel.principal import Principal

    Describe = Callable[[FluxbaseError], dict[str, object]]

MAX_RUNNING = 4
"""Background calls of one worker at a time, so that they cannot take every connection of a pool."""
MAX_WAITING = 200
LIFE_SECONDS = 300.0
STEP_SECONDS = 5.0


class Executions:
    """The background calls of one worker."""

    def __init__(self, service: DataService, executor: StatementRunner) -> None:
        self._service = service
        self._executor = executor
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, principal: Principal, request: DataRequest, namespace: str, describe: Describe) -> str:
        """Record the call and begin it; its id. ``describe`` words a failure for the caller.

        Raises NotFound for an unknown function, Unavailable when too many wait here, and PT429 when too many of the caller's run.
        """
        if len(self._tasks) >= MAX_WAITING:
            raise Unavailable("Too many functions wait in the background.", code="background_full", hint="Try again later.")
        await self._service.handle(principal, replace(request, method="OPTIONS"))
        execution = str(uuid4())
        await self._run(principal, request, BEGIN_EXECUTION, (execution, namespace, request.target, str(LIFE_SECONDS)))
        task = asyncio.create_task(self._work(principal, request, execution, describe))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return execution

    async def find(self, principal: Principal, request: DataRequest, execution: str) -> dict[str, Any]:
        """The caller's own execution. Raises NotFound, the same for another's, for none and for an id that is no UUID."""
        missing = NotFound("There is no such execution.", code="unknown_execution")
        try:
            identifier = str(UUID(execution))
        except ValueError:
            raise missing from None
        row = await self._run(principal, request, READ_EXECUTION, (identifier,), mode=Mode.FUNCTION_READ)
        if row[0] is None:
            raise missing
        return orjson.loads(row[0])

    async def close(self) -> None:
        """Stop what runs; each is recorded as cancelled if the database still answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, principal: Principal, request: DataRequest, execution: str, describe: Describe) -> None:
        ends_at = time.monotonic() + LIFE_SECONDS
        try:
            async with self._slots:
                if principal.expires_at is not None and principal.expires_at < time.time():
                    raise DeadlineExceeded("The token expired before the function could run.", code="token_expired")
                await self._run(principal, request, START_EXECUTION, (execution,))
                await self._service.handle(principal, replace(request, deadline=ends_at, wrap=partial(_ending, execution)))
        except FluxbaseError as error:
            outcome = "timeout" if isinstance(error, DeadlineExceeded) else "failed"
            await self._fail(principal, request, execution, outcome, describe(error))
        except asyncio.CancelledError:
            await self._fail(principal, request, execution, "cancelled", {"error": "The server stopped.", "code": "OPERATION_FAILED"})
            raise

    async def _fail(self, principal: Principal, request: DataRequest, execution: str, outcome: str, failure: dict[str, object]) -> None:
        with contextlib.suppress(FluxbaseError):  # a revoked caller or a lost database: the row ends as a timeout
            await self._run(principal, request, FAIL_EXECUTION, (execution, outcome, orjson.dumps(failure).decode()))

    async def _run(
        self, principal: Principal, request: DataRequest, sql: str, params: Sequence[str], *, mode: Mode = Mode.WRITE
    ) -> tuple[bytes | None, ...]:
        return await self._executor.run(principal, request.settings, sql, params, mode=mode, deadline=time.monotonic() + STEP_SECONDS)


def _ending(execution: str, sql: str, params: Sequence[bytes | str | None]) -> tuple[str, Sequence[bytes | str | None]]:
    return ending_itself(sql, len(params) + 1), (*params, execution)

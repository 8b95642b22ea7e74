"""Refused attempts, written to ``audit.entries`` in the background (DESIGN invariant 13): a bounded queue that counts what it drops.

Equal refusals of one second (code, address, route) are one row with their number, so a flood cannot fill the table.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.audit.store import record_refusals
from fluxbase.kernel.errors import FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.db.session import SystemSessions

MOST = 1000
"""Different refusals that wait to be written."""
EVERY_SECONDS = 1.0
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who was refused what."""

    code: str
    address: str
    resource: str
    status: int
    limit: str = ""
    """The limit it went over, where one refused."""


class Refusals:
    """``note`` never waits and never fails."""

    def __init__(self, sessions: SystemSessions, on_drop: Callable[[int], None]) -> None:
        self._sessions = sessions
        self._on_drop = on_drop
        self._waiting: dict[Refusal, tuple[int, str]] = {}
        self._dropped = 0

    def note(self, refusal: Refusal, request_id: str) -> None:
        """Count it; the first request's id is kept. What does not fit is dropped and counted."""
        known = self._waiting.get(refusal)
        if known is not None:
            self._waiting[refusal] = known[0] + 1, known[1]
        elif len(self._waiting) < MOST:
            self._waiting[refusal] = 1, request_id
        else:
            self._dropped += 1
            self._on_drop(1)

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            with contextlib.suppress(FluxbaseError):
                await self.flush()

    async def flush(self) -> None:
        """Write what waits now. Raises Unavailable; then it waits on, within its bound."""
        if not self._waiting:
            return
        batch, dropped = self._waiting, self._dropped
        self._waiting, self._dropped = {}, 0
        rows: list[tuple[str, str, str, str, dict[str, object]]] = [
            (f"address:{refusal.address}", "request.refused", refusal.resource, request_id,
             {"code": refusal.code, "status": refusal.status, "count": count, **({"limit": refusal.limit} if refusal.limit else {})})
            for refusal, (count, request_id) in batch.items()
        ]  # fmt: skip
        if dropped:
            rows.append(("system", "audit.dropped", "audit.entries", "", {"count": dropped}))
        try:
            async with self._sessions(MAIN, reason="record refusals") as tx:
                await record_refusals(tx, rows)
        except FluxbaseError:
            self._waiting = {**batch, **self._waiting}
            self._dropped += dropped
            raise

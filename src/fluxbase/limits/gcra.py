"""In-process GCRA (generic cell rate algorithm) by (limit, address): threat G61 in one process.

The first line of defence of a node; the exact limiter shared by workers and nodes comes with authentication.
Memory is bounded: at most ``max_keys`` addresses, the least recently seen are forgotten first.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.kernel.access import Limit


class AddressLimiter:
    """Counts requests by address and named limit. Not thread-safe; one event loop owns it."""

    def __init__(self, overrides: dict[str, tuple[int, float, int]] | None = None, max_keys: int = 100_000) -> None:
        self._arrival: dict[tuple[str, str], float] = {}
        self._overrides = overrides or {}
        self._rules: dict[str, tuple[float, float]] = {}
        self._max_keys = max_keys

    def admit(self, limit: Limit, address: str, now: float | None = None) -> int:
        """0 when admitted, else the whole seconds to wait (at least 1)."""
        interval, tolerance = self._rules.get(limit.name) or self._rule(limit)
        at = time.monotonic() if now is None else now
        key = (limit.name, address)
        theoretical = self._arrival.pop(key, at)
        theoretical = max(theoretical, at)
        wait = theoretical - at - tolerance
        if wait > 0:
            self._arrival[key] = theoretical
            return max(1, math.ceil(wait))
        self._arrival[key] = theoretical + interval
        if len(self._arrival) > self._max_keys:
            del self._arrival[next(iter(self._arrival))]
        return 0

    def _rule(self, limit: Limit) -> tuple[float, float]:
        """Seconds between two arrivals, and how many seconds ahead a burst may run."""
        rate, per_seconds, burst = self._overrides.get(limit.name, (limit.rate, limit.per_seconds, limit.burst))
        interval = per_seconds / rate
        tolerance = interval * (burst + rate - 1) if per_seconds > 1 else interval * (burst + max(rate // 10, 1))
        self._rules[limit.name] = interval, tolerance
        return interval, tolerance

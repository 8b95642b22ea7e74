"""Counting in one process: the data plane's limit by address, and what is left when the shared store is away.

Memory is bounded: at most ``max_keys`` keys, the least recently seen are forgotten first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fluxbase.limits.rules import Grant, take

if TYPE_CHECKING:
    from fluxbase.limits.rules import Rule


class LocalLimiter:
    """Counts by key. Not thread-safe; one event loop owns it."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._spent: dict[str, int] = {}
        self._locked: dict[str, int] = {}
        self._max_keys = max_keys

    def passes(self, rule: Rule, key: str) -> bool:
        """Count one request. The hot path: no object is made."""
        now = time.monotonic_ns() // 1000
        spent = self._spent
        ahead = spent.pop(key, 0) - now
        if ahead <= 0:
            spent[key] = now + rule.interval_us
        elif ahead <= (rule.capacity - 1) * rule.interval_us:
            spent[key] = now + ahead + rule.interval_us
        else:
            spent[key] = now + ahead
            return False
        if len(spent) > self._max_keys:
            del spent[next(iter(spent))]
        return True

    def take(self, rule: Rule, key: str, wanted: int = 1) -> Grant:
        """The same with locks and batches."""
        now = time.monotonic_ns() // 1000
        granted, spent_until, locked_until = take(rule, self._spent.pop(key, 0), self._locked.pop(key, 0), now, wanted)
        self._spent[key] = spent_until
        if locked_until:
            self._locked[key] = locked_until
        for held in (self._spent, self._locked):
            if len(held) > self._max_keys:
                del held[next(iter(held))]
        return Grant(granted, max(0, spent_until - now), max(0, locked_until - now))

    def grant(self, _: Rule, key: str) -> Grant:
        """Where a key stands that ``passes`` refused."""
        now = time.monotonic_ns() // 1000
        return Grant(0, max(0, self._spent.get(key, 0) - now), max(0, self._locked.get(key, 0) - now))

    def forget(self, key: str) -> None:
        """Give the whole quota back."""
        self._spent.pop(key, None)
        self._locked.pop(key, None)

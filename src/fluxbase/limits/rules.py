"""A limit with what the configuration says of it, in the whole numbers that every store counts with.

GCRA: a key has spent its quota until some moment (``spent_until``); each request moves that moment on by ``interval_us``, and
is refused when it would lie more than ``capacity`` intervals ahead. So exactly ``capacity`` requests pass at once, then one an interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.access import Quota

if TYPE_CHECKING:
    from fluxbase.config.limits import Limits
    from fluxbase.kernel.access import Limit

LEASED_FROM = 2000
"""Limits of this many requests are taken from the store in batches; smaller ones one by one, so they are exact."""
BATCHES = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit as it is counted. Microseconds are whole numbers, so that no store rounds differently."""

    declared: Limit
    name: str
    rate: int
    per_seconds: int
    capacity: int
    interval_us: int
    lock_us: int
    is_strict: bool
    is_local: bool

    @property
    def batch(self) -> int:
        """How many requests are taken from the store at once."""
        return self.capacity // BATCHES if self.capacity >= LEASED_FROM else 1


def rule_of(limit: Limit, settings: Limits, *, route: str = "") -> Rule:
    """The limit as configured: by the route's name, else by its own, else as declared."""
    text = (settings.rate_of(route) if route else None) or settings.rate_of(limit.name)
    rate, per_seconds, burst, lock = text or (limit.rate, int(limit.per_seconds), limit.burst, limit.lock_seconds)
    if text is not None and not lock:
        lock = limit.lock_seconds
    # A limit a second is a speed: a tenth of it may come at once, and the burst. Any other is a count in its window.
    capacity = burst + (max(rate // 10, 1) if per_seconds == 1 else rate)
    interval_us = max(1, per_seconds * 1_000_000 // rate)
    return Rule(limit, limit.name, rate, per_seconds, capacity, interval_us, int(lock * 1_000_000), limit.is_strict, limit.is_local)


@dataclass(frozen=True, slots=True)
class Grant:
    """The store's answer: how many of the wanted requests pass, and where the key stands by the store's own clock."""

    granted: int
    spent_us: int
    """From now until the quota is whole again."""
    locked_us: int = 0

    def remaining(self, rule: Rule) -> int:
        """Requests that would pass now."""
        return 0 if self.locked_us else max(0, rule.capacity - -(-self.spent_us // rule.interval_us))

    def wait_us(self, rule: Rule) -> int:
        """Until one would pass."""
        return self.locked_us or max(0, self.spent_us - (rule.capacity - 1) * rule.interval_us)

    def wait_seconds(self, rule: Rule) -> int:
        """The same in whole seconds, at least 1."""
        return max(1, math.ceil(self.wait_us(rule) / 1e6))

    def given(self, number: int) -> Grant:
        """The share of one of several who asked together."""
        return Grant(number, self.spent_us, self.locked_us)

    def quota(self, rule: Rule) -> Quota:
        """For the RateLimit fields."""
        reset = max(self.locked_us, self.spent_us)
        return Quota(rule.name, rule.rate, rule.per_seconds, self.remaining(rule), math.ceil(reset / 1e6))


def take(rule: Rule, spent_until: int, locked_until: int, now_us: int, wanted: int) -> tuple[int, int, int]:
    """(granted, spent_until, locked_until): the arithmetic that PostgreSQL and Redis do as well, tested against this one."""
    if locked_until > now_us:
        return 0, spent_until, locked_until
    ahead = max(0, spent_until - now_us)
    granted = max(0, min(wanted, rule.capacity - -(-ahead // rule.interval_us)))
    locked_until = now_us + rule.lock_us if granted < wanted and rule.lock_us else 0
    return granted, max(spent_until, now_us) + granted * rule.interval_us, locked_until

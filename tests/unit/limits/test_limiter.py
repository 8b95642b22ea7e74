"""The limiter against a store in memory that can be away, with the arithmetic of every store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase.config.limits import Limits, parse_rate
from fluxbase.kernel.access import CONTROL_PLANE, SERVICE_ROLE, SIGN_IN, Limit
from fluxbase.kernel.errors import RateLimited, Unavailable
from fluxbase.limits.limiter import RateLimiter
from fluxbase.limits.local import LocalLimiter
from fluxbase.limits.ports import Ask, StoreAway
from fluxbase.limits.rules import Grant, Rule, rule_of, take

HOUR = Limit("hour", rate=100, per_seconds=3600)


class SharedMemory:
    """What the real stores do, with the pure arithmetic; several limiters may share it."""

    def __init__(self) -> None:
        self._counts = LocalLimiter()
        self.calls: list[list[Ask]] = []
        self.is_away = False

    async def take(self, asks: Sequence[Ask]) -> dict[str, Grant]:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreAway
        self.calls.append(list(asks))
        return {ask.key: self._counts.take(ask.rule, ask.key, ask.wanted) for ask in asks}

    async def forget(self, key: str) -> None:
        self._counts.forget(key)

    async def sweep(self) -> None:
        return

    async def close(self) -> None:
        return


async def passed(limiter: RateLimiter, limit: Limit, times: int, key: str = "k") -> int:
    """How many of so many concurrent requests pass."""

    async def one() -> bool:
        try:
            await limiter.admit(limit, key)
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(times))))


def test_exactly_the_limit_passes_over_several_workers() -> None:
    """Eight limiters on one store, 100 an hour, forty requests each at once: exactly 100 pass."""

    async def run() -> int:
        store = SharedMemory()
        counts = await asyncio.gather(*(passed(RateLimiter(Limits(), store), HOUR, 40) for _ in range(8)))
        return sum(counts)

    assert asyncio.run(run()) == 100


def test_a_leased_limit_is_never_exceeded_and_pays_few_calls() -> None:
    """12,000 requests of two workers against 10,000 a minute: no more than 10,000 (and what a minute brings back) pass, with few questions."""

    async def run() -> tuple[int, int]:
        store = SharedMemory()
        workers = [RateLimiter(Limits(), store) for _ in range(2)]
        limit = Limit("large", rate=10_000, per_seconds=86_400)
        total = 0
        for _ in range(60):
            total += sum(await asyncio.gather(*(passed(worker, limit, 100) for worker in workers)))
        return total, len(store.calls)

    total, calls = asyncio.run(run())
    assert 9_800 <= total <= 10_005
    assert calls < 400


def test_a_refusal_is_remembered_without_asking_again() -> None:
    """A flood of refused requests costs the store nothing."""

    async def run() -> tuple[int, int]:
        store = SharedMemory()
        limiter = RateLimiter(Limits(), store)
        await passed(limiter, HOUR, 101)
        before = len(store.calls)
        assert await passed(limiter, HOUR, 1000) == 0
        return before, len(store.calls)

    before, after = asyncio.run(run())
    assert before == after


def test_strict_limits_fail_closed_and_others_count_in_the_process() -> None:
    """With the store away authentication is 503, the control plane goes on under the same limit, and both come back with the store."""

    async def run() -> None:
        store = SharedMemory()
        limiter = RateLimiter(Limits(), store)
        store.is_away = True
        with pytest.raises(Unavailable, match="cannot be counted"):
            await limiter.admit(SIGN_IN, "203.0.113.1")
        assert await passed(limiter, CONTROL_PLANE, 300) == 100
        store.is_away = False
        limiter._away_until = 0.0
        await limiter.admit(SIGN_IN, "203.0.113.1")

    asyncio.run(run())


def test_a_lock_refuses_longer_than_the_window() -> None:
    """5 in 5 minutes, then 15 minutes locked: the refusal says 900 seconds, and forgiving ends it."""

    async def run() -> None:
        limiter = RateLimiter(Limits(), SharedMemory())
        limit = Limit("confirm", rate=5, per_seconds=300, lock_seconds=900)
        assert await passed(limiter, limit, 5) == 5
        with pytest.raises(RateLimited) as refused:
            await limiter.admit(limit, "k")
        assert refused.value.retry_after_seconds == 900
        await limiter.forgive(limit, "k")
        await limiter.admit(limit, "k")

    asyncio.run(run())


def test_a_rule_of_the_configuration_wins() -> None:
    """``limits.rules`` changes a limit by its name and a route by its own."""
    settings = Limits(rules={"auth.sign_in": "3/1h", "tenants.create": "2/1d lock 2d"})
    assert rule_of(SIGN_IN, settings).capacity == 3
    assert rule_of(CONTROL_PLANE, settings, route="tenants.create").lock_us == 2 * 86_400 * 1_000_000
    assert rule_of(SERVICE_ROLE, settings, route="other").capacity == 10_000
    assert settings.unknown_rules(set()) == ["tenants.create"]


@pytest.mark.parametrize("text", ["", "10", "10/", "0/1m", "10/40d", "ten/1m", "10/1m lock", "10/1w", "-1/1m"])
def test_a_malformed_rule_is_refused(text: str) -> None:
    """What is not a limit is not read as one."""
    with pytest.raises(ValueError, match="a limit"):
        parse_rate(text)


RULE = rule_of(HOUR, Limits())


@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(1, 150)), min_size=1, max_size=40),
    st.integers(1, 50),
    st.integers(1, 10**7),
    st.sampled_from([0, 10**7]),
)
def test_no_window_ever_admits_more_than_the_rule(asks: list[tuple[int, int]], capacity: int, interval_us: int, lock_us: int) -> None:
    """In any stretch of time at most the capacity and what that time brings back is granted, whatever the questions."""
    rule = Rule(HOUR, "r", 1, 1, capacity, interval_us, lock_us, is_strict=False, is_local=False)
    now = spent = locked = 0
    granted_at: list[tuple[int, int]] = []
    for pause, wanted in asks:
        now += pause
        granted, spent, locked = take(rule, spent, locked, now, wanted)
        assert 0 <= granted <= wanted
        granted_at.append((now, granted))
    for index, (began, _) in enumerate(granted_at):
        total = 0
        for at, granted in granted_at[index:]:
            total += granted
            assert total <= capacity + (at - began) // interval_us + 1

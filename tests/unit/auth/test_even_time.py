"""Answers leave at fixed moments after the question (threat B21); the clock is a number here."""

from __future__ import annotations

import asyncio

import pytest

from fluxbase.auth import even_time as module
from fluxbase.auth.even_time import GRID_SECONDS, even_time, until_even


class Clock:
    """Stands where the module looks for the time, and notes what is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Time passes."""
        assert 0 <= seconds <= GRID_SECONDS
        self.now += seconds


@pytest.mark.parametrize(("worked", "steps"), [(0.001, 1), (0.0304, 1), (0.0999, 1), (0.1001, 2), (0.25, 3)])
def test_an_answer_leaves_on_the_grid(monkeypatch: pytest.MonkeyPatch, worked: float, steps: int) -> None:
    """Whatever the work took, it ends a whole number of steps after it began."""
    clock = Clock(monkeypatch)

    async def ask() -> None:
        async with even_time():
            clock.now += worked

    asyncio.run(ask())
    assert clock.now == pytest.approx(1000 + steps * GRID_SECONDS)
    clock.now = 2000 + worked
    asyncio.run(until_even(2000))
    assert clock.now == pytest.approx(2000 + steps * GRID_SECONDS)


def test_a_refusal_leaves_on_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error waits as well."""
    clock = Clock(monkeypatch)

    async def ask() -> None:
        async with even_time():
            clock.now += 0.02
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(ask())
    assert clock.now == pytest.approx(1000 + GRID_SECONDS)

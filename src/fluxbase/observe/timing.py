"""Where a request's time goes, for ``Server-Timing`` (W3C Server Timing). One stopwatch a request, found through its task."""

from __future__ import annotations

import time
from contextvars import ContextVar

STAGES = ("jwt", "parse", "plan", "transaction", "response")
_current: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


class Stopwatch:
    """Adds up the milliseconds of each stage; a stage ends when the next begins."""

    __slots__ = ("_since", "_spent", "_stage")

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._stage: str | None = None
        self._since = 0.0

    def enter(self, stage: str | None) -> None:
        """Begin a stage; None: only end the one under way."""
        now = time.perf_counter()
        if self._stage is not None:
            self._spent[self._stage] = self._spent.get(self._stage, 0.0) + (now - self._since) * 1000
        self._stage, self._since = stage, now

    def header(self) -> bytes:
        """``jwt;dur=0.1, parse;dur=0.2, …``."""
        return ", ".join(f"{stage};dur={self._spent.get(stage, 0.0):.1f}" for stage in STAGES).encode()


def start_stopwatch() -> Stopwatch:
    """A new stopwatch for the task that calls."""
    stopwatch = Stopwatch()
    _current.set(stopwatch)
    return stopwatch


def enter_stage(stage: str | None) -> None:
    """Tell the task's stopwatch, when it has one."""
    stopwatch = _current.get()
    if stopwatch is not None:
        stopwatch.enter(stage)


def current_stopwatch() -> Stopwatch | None:
    """The task's stopwatch."""
    return _current.get()

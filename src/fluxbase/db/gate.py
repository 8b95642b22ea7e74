"""Whether it is worth trying to reach a database now: one that is away costs an attempt a back-off, not one a request."""

from __future__ import annotations

import time

from fluxbase.kernel.errors import Unavailable

FIRST_BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 1.0


def unavailable() -> Unavailable:
    """The database cannot be reached."""
    return Unavailable("Database connection error. Retrying the connection.", pgrst="PGRST000", code="database_unavailable")


class Gate:
    """Of one database."""

    __slots__ = ("_back_off", "_closed_until")

    def __init__(self) -> None:
        self._back_off = 0.0
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether an attempt may start."""
        return time.monotonic() >= self._closed_until

    @property
    def is_troubled(self) -> bool:
        """Whether the last attempt failed; otherwise it may be forgotten."""
        return bool(self._back_off)

    def trying(self, seconds: float) -> None:
        """While it is doubtful, one attempt at a time."""
        if self._back_off:
            self._closed_until = time.monotonic() + seconds

    def failed(self) -> None:
        """Wait longer before the next one."""
        self._back_off = min(LONGEST_BACK_OFF_SECONDS, self._back_off * 2 or FIRST_BACK_OFF_SECONDS)
        self._closed_until = time.monotonic() + self._back_off

    def succeeded(self) -> None:
        """It answers."""
        self._back_off = self._closed_until = 0.0

"""How much work a piece of Python does, counted and not timed: a busy machine changes nothing (STYLE: no timed asserts)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Self


class Effort:
    """Calls of Python and of C functions made inside the ``with`` block. Work that grows with the square of a text shows as calls."""

    calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> Callable[..., None] | None:
        if event in {"call", "c_call"}:
            self.calls += 1
        return None

"""Answers that must not tell who has an account leave at fixed moments after the question (threat B21).

The same hashes and statements run for a known and an unknown address. What is left is a fraction of a millisecond for a row that is
read, counted or noted, or none: too little to see once, enough to see in a thousand answers. The work of either ends well before
the first of these moments, so both answers leave together.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

GRID_SECONDS = 0.1
"""Several times what a hash or a mailed request takes, also on a busy machine."""


async def until_even(began: float) -> None:
    """Wait for the next multiple of the grid since ``began`` (``time.monotonic()``)."""
    await asyncio.sleep((began - time.monotonic()) % GRID_SECONDS)


@asynccontextmanager
async def even_time() -> AsyncGenerator[None]:
    """What is done inside takes a multiple of the grid, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        await until_even(began)

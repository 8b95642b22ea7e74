"""What the limiter needs: a store that all workers and nodes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.limits.rules import Grant, Rule


class StoreAway(Exception):
    """The store cannot be reached, or refused to work."""


class Ask(NamedTuple):
    """Wanted requests of one key; a key stands once in a call."""

    key: str
    rule: Rule
    wanted: int


class RateStore(Protocol):
    """Counts for everybody. ``store.py`` (PostgreSQL) and ``redis_store.py`` implement it."""

    async def take(self, asks: Sequence[Ask]) -> dict[str, Grant]:
        """Grant up to the wanted number of each key, in one step. Raises StoreAway."""
        ...

    async def forget(self, key: str) -> None:
        """Give the key its whole quota back. Raises StoreAway."""
        ...

    async def sweep(self) -> None:
        """Drop keys whose quota is whole again. Raises StoreAway."""
        ...

    async def close(self) -> None:
        """End connections."""
        ...

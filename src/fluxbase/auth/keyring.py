"""The keys of one tenant as this process knows them, and when to look again.

A ring is loaded whole: a token's ``kid`` is only ever looked up in a dictionary, never in SQL (threats.md B28). It is
loaded again when the key epoch that requests report has moved, when it is older than :data:`MAX_AGE_SECONDS`, and
when a credential names an unknown key, at most once a second (so random key ids cannot make us query). A stale ring is
no hole: revoked keys are refused inside the request's transaction through ``deny_keys``.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fluxbase.auth.store import KeyRow
    from fluxbase.crypto.jwt import JwtKey
    from fluxbase.kernel.ids import TenantId

MAX_AGE_SECONDS = 60.0
RELOAD_PAUSE_SECONDS = 1.0
SHARED_KEY_ID = "shared"
"""Key id of ``auth.jwt_secret``; tokens of other signers have none."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """One tenant's keys at one moment."""

    locator: str
    signer: JwtKey
    verifying: Mapping[str, JwtKey]
    """By key id; one algorithm each."""
    shared: JwtKey | None
    """Of the tenant's ``auth.jwt_secret``."""
    keys: Mapping[str, KeyRow]
    """By id (``jti``), revoked ones included."""
    by_hash: Mapping[bytes, KeyRow]
    """By SHA-256 of the opaque twin."""
    shared_mark: str = ""
    """Deny key of everything that the secret signed; it changes with the secret."""

    def content(self) -> tuple[object, ...]:
        """What a cached verdict depends on."""
        revoked = frozenset(row.id for row in self.keys.values() if row.revoked_at is not None)
        return (frozenset(self.verifying), self.shared is not None and self.shared.key.get_op_key("verify"), frozenset(self.keys), revoked)


@dataclass(slots=True)
class HeldRing:
    """A ring with its age. ``mark`` goes into every cache key: it changes when the ring's content or the key epoch does."""

    ring: KeyRing
    loaded_at: float
    mark: bytes
    epoch: int | None = None
    is_stale: bool = False
    tried_at: float = field(default=0.0)


class KeyRings:
    """Holds the rings of the tenants in use."""

    def __init__(self, load: Callable[[TenantId], Awaitable[KeyRing]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._held: dict[TenantId, HeldRing] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}
        self._generation = 0

    def held(self, tenant: TenantId) -> HeldRing | None:
        """The ring at hand, unless something said it is outdated. No waiting: this is the hot path."""
        held = self._held.get(tenant)
        return None if held is None or held.is_stale else held

    def note_epoch(self, tenant_id: TenantId, key_epoch: int) -> None:
        """Called with the key epoch that each request's settings statement returned; a move outdates ring and cache."""
        held = self._held.get(tenant_id)
        if held is not None and held.epoch != key_epoch:
            if held.epoch is not None:
                held.is_stale = True
            held.epoch = key_epoch

    async def get(self, tenant: TenantId) -> HeldRing:
        """A ring that is fresh enough; loads it when there is none."""
        held = self.held(tenant)
        if held is not None and self._clock() - held.loaded_at <= MAX_AGE_SECONDS:
            return held
        return await self._reload(tenant, self._held.get(tenant))

    async def look_again(self, tenant: TenantId, seen: HeldRing) -> HeldRing:
        """A newer ring than ``seen``, because a credential names a key it does not have; at most one load a second."""
        if self._clock() - seen.tried_at < RELOAD_PAUSE_SECONDS:
            return self._held.get(tenant, seen)
        return await self._reload(tenant, seen)

    def forget(self, tenant_id: TenantId) -> None:
        """Drop a ring after this process changed the keys itself."""
        held = self._held.get(tenant_id)
        if held is not None:
            held.is_stale = True

    async def _reload(self, tenant: TenantId, seen: HeldRing | None) -> HeldRing:
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            current = self._held.get(tenant)
            if current is not None and current is not seen and not current.is_stale:
                return current  # somebody loaded it while we waited
            started = self._clock()
            if seen is not None:
                seen.tried_at = started
            ring = await self._load(tenant)
            if current is not None and not current.is_stale and current.ring.content() == ring.content():
                current.ring, current.loaded_at, current.tried_at = ring, started, started
                return current
            self._generation += 1
            epoch = None if current is None else current.epoch
            held = HeldRing(ring, started, f"{tenant}:{self._generation}:".encode(), epoch, tried_at=started)
            self._held[tenant] = held
            return held

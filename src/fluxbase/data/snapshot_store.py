"""The snapshot of each tenant. A reload is swapped in whole; tenants with equal schemas share one, plans included.

Two ways lead to sharing: schemas that say the same have one fingerprint, whatever numbers their databases gave to things;
and where it is known beforehand that a schema is one that was read already (*lineage*: databases made of one template and not
changed since, tenants in one database), it is not read at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.data.snapshot import Snapshot

MOST_SCHEMAS = 256
"""Schemas that are found again; each tenant's own is held beside."""


class SnapshotStore:
    """``load`` reads a tenant's schema; ``lineage_of`` gives its epoch and what its schema is certainly equal by, or None."""

    def __init__(
        self, load: Callable[[Any], Awaitable[Snapshot]], lineage_of: Callable[[Any], Awaitable[tuple[int, str | None]]] | None = None
    ) -> None:
        self._load = load
        self._lineage_of = lineage_of
        self._held: dict[Any, Snapshot] = {}
        self._alike: OrderedDict[str, Snapshot] = OrderedDict()
        """By fingerprint and by lineage."""
        self._loading: dict[Any, asyncio.Task[Snapshot]] = {}
        self._to_read: set[Any] = set()
        """Tenants whose schema must be read whatever it is known to be equal by."""

    def held(self, tenant: Any) -> Snapshot | None:
        """The snapshot at hand."""
        return self._held.get(tenant)

    async def get(self, tenant: Any) -> Snapshot:
        """The snapshot, loaded when there is none."""
        return self._held.get(tenant) or await self._shared_load(tenant)

    async def newer(self, tenant: Any, epoch: int) -> Snapshot:
        """A snapshot of another epoch than the one a request was refused for; what others loaded meanwhile is good enough.

        When nothing newer is to be had, whatever was loaded after this call.
        """
        held = self._held.get(tenant)
        if held is not None and held.epoch != epoch:
            return held
        if tenant in self._loading:
            snapshot = await self._shared_load(tenant)
            if snapshot.epoch != epoch:
                return snapshot
        return await self._shared_load(tenant)

    async def reload(self, tenant: Any) -> Snapshot:
        """Read again; a load that began before this call may have read too early, so it is waited for and another one made."""
        if tenant in self._loading:
            with contextlib.suppress(FluxbaseError):
                await self._shared_load(tenant)
        self._to_read.add(tenant)
        return await self._shared_load(tenant)

    def forget_all_but(self, tenant: Any) -> None:
        """After changes that move no epoch (roles, memberships): every other tenant's is read when it is asked for."""
        self._alike.clear()
        self._held = {kept: snapshot for kept, snapshot in self._held.items() if kept == tenant}

    async def _shared_load(self, tenant: Any) -> Snapshot:
        """Everybody who asks while a load is under way waits for the same; a caller who leaves does not end it."""
        task = self._loading.get(tenant)
        if task is None:
            task = self._loading[tenant] = asyncio.ensure_future(self._reload(tenant))
            task.add_done_callback(lambda done: self._finished(tenant, done))
        return await asyncio.shield(task)

    def _finished(self, tenant: Any, task: asyncio.Task[Snapshot]) -> None:
        del self._loading[tenant]
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody may be left

    async def _reload(self, tenant: Any) -> Snapshot:
        epoch, lineage = await self._lineage(tenant)
        known = None if lineage is None else self._alike.get(lineage)
        if known is not None and tenant not in self._to_read:
            snapshot = replace(known, epoch=epoch)
        else:
            self._to_read.discard(tenant)
            snapshot = await self._load(tenant)
            snapshot = replace(self._alike.get(snapshot.fingerprint, snapshot), epoch=snapshot.epoch)
            if lineage is not None and snapshot.epoch == epoch and await self._lineage(tenant) == (epoch, lineage):
                self._note(lineage, snapshot)  # only what certainly is of this epoch may speak for others
        self._note(snapshot.fingerprint, snapshot)
        old = self._held.get(tenant)
        if old is not None and old.fingerprint == snapshot.fingerprint:
            old.epoch = snapshot.epoch  # the same schema under a newer epoch: compiled statements stay good
            return old
        self._held[tenant] = snapshot
        return snapshot

    async def _lineage(self, tenant: Any) -> tuple[int, str | None]:
        return (0, None) if self._lineage_of is None else await self._lineage_of(tenant)

    def _note(self, key: str, snapshot: Snapshot) -> None:
        self._alike[key] = snapshot
        self._alike.move_to_end(key)
        while len(self._alike) > MOST_SCHEMAS:
            self._alike.popitem(last=False)

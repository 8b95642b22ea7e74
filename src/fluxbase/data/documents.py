"""The OpenAPI documents of a caller: described when first asked for, kept by epoch and role, built beside the event loop.

Asking is a request like any other: it runs under the caller's identity first, so a revoked session learns nothing (invariant 5).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from fluxbase.data.documentation import Description, describe
from fluxbase.kernel.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.data.service import DataService
    from fluxbase.data.snapshot import Snapshot
    from fluxbase.db.executor import RequestSettings
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

MAX_DOCUMENTS = 64


class LoadCatalogue(Protocol):
    """Runs ``catalog/documentation.sql``."""

    async def __call__(self, tenant: TenantId, role: str | None) -> bytes:
        """The catalogue of the exposed schemas, with the column rights of a role."""
        ...


class Documents:
    """Descriptions rendered to bytes."""

    def __init__(
        self, service: DataService, load: LoadCatalogue, *, mode: str, snapshot_of: Callable[[str], Awaitable[Snapshot]] | None = None
    ) -> None:
        self._service = service
        self._load = load
        self._snapshot_of = snapshot_of
        """The schema with a role's own rights, where the service's snapshot does not know them."""
        self._mode = mode
        self._held: dict[tuple[Any, ...], asyncio.Task[bytes]] = {}

    async def render(
        self,
        principal: Principal,
        settings: RequestSettings,
        deadline: float,
        *,
        kind: str,
        schema: str | None,
        write: Callable[[list[Description]], bytes],
    ) -> tuple[bytes, str, bool]:
        """The document, its schema, and whether there are several schemas. ``schema`` None describes all of them.

        ``write`` makes the bytes and runs in a thread. Raises PGRST126 when documents are disabled, and PGRST106.
        """
        if self._mode == "disabled":
            raise NotFound("Root endpoint metadata is disabled", pgrst="PGRST126", code="openapi_disabled")
        snapshot = await self._service.current_snapshot(principal, settings, deadline)
        wanted = snapshot.schemas if schema is None else (self._service.schema_of(snapshot, schema or None),)
        role = None if self._mode == "ignore-privileges" else str(principal.role)
        key = (principal.tenant, snapshot.fingerprint, snapshot.epoch, kind, role, wanted)
        task = self._held.get(key)
        if task is None:
            while len(self._held) >= MAX_DOCUMENTS:
                del self._held[next(iter(self._held))]
            task = self._held[key] = asyncio.ensure_future(self._build(principal.tenant, snapshot, role, wanted, write))
            task.add_done_callback(lambda done: self._forget_failed(key, done))
        return await asyncio.shield(task), wanted[0], len(snapshot.schemas) > 1

    def _forget_failed(self, key: tuple[Any, ...], task: asyncio.Task[bytes]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._held.get(key) is task:
            del self._held[key]

    async def _build(
        self, tenant: TenantId, snapshot: Snapshot, role: str | None, schemas: tuple[str, ...], write: Callable[[list[Description]], bytes]
    ) -> bytes:
        catalogue = await self._load(tenant, role)
        if role is not None and self._snapshot_of is not None:
            snapshot = await self._snapshot_of(role)
        return await asyncio.to_thread(lambda: write([describe(snapshot, catalogue, schema, role) for schema in schemas]))

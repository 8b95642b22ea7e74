"""What the web layer needs from the composition root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId


class ControlPorts(Protocol):
    """Implemented by ``fluxbase.app``."""

    async def is_database_up(self) -> bool:
        """One trivial query within a second."""
        ...

    async def is_ready(self) -> bool:
        """The default tenant's snapshot is loaded and its database answers."""
        ...

    async def jwks(self, tenant: TenantId | None) -> dict[str, object]:
        """The JWK set of a tenant; None: the default one."""
        ...

    async def status(self) -> dict[str, object]:
        """What an administrator may know of this worker."""
        ...

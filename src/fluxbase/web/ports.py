"""What the web layer needs from the composition root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class BearerCheck(Protocol):
    """Who a token belongs to that a route reads although it is a way in (linking by ID token)."""

    async def __call__(self, tenant: Tenant, raw_token: str) -> Principal:
        """Raises Unauthenticated for a token that is bad or revoked."""
        ...


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

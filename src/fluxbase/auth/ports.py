"""What auth needs of its neighbours, passed in by ``app.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fluxbase.crypto.opaque import OpaqueKey
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class SystemTx(Protocol):
    """One transaction of ``fluxbase_system`` in one tenant's database (``db/session.py``)."""

    async def fetch(self, sql: Any, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters."""
        ...


class SystemSessions(Protocol):
    """Opens such transactions; commits when the block ends well."""

    def __call__(self, tenant: Tenant, *, reason: str) -> AbstractAsyncContextManager[Any]:
        """``async with sessions(tenant, reason="…") as tx``."""
        ...


class AuditRecorder(Protocol):
    """Writes one row of ``audit.entries`` in the caller's transaction (``audit/store.py``)."""

    async def __call__(self, tx: Any, *, action: str, actor: str, resource: str, details: dict[str, object]) -> Any:
        """Record that ``actor`` did ``action`` to ``resource``."""
        ...


class IssuedKeys(Protocol):
    """Looks up keys that users and administrators made (``auth/api_keys.py``)."""

    async def principal(self, tenant: TenantId, key: OpaqueKey, now: float) -> Principal:
        """Who presents it. Raises Unauthenticated or Revoked."""
        ...

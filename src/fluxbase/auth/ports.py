"""What auth needs of its neighbours, passed in by ``app.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

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


class HttpPost(Protocol):
    """One POST to a server that the administrator named, through the guard of ``outbound``."""

    async def __call__(self, url: str, content: bytes, headers: dict[str, str], *, timeout_seconds: float) -> tuple[int, bytes]:
        """Status and body. Raises Unavailable when there is no usable answer in time."""
        ...


class CallFunction(Protocol):
    """Calls a function of the tenant's database with one JSON argument, as its ``service_role``."""

    async def __call__(self, tenant: Tenant, schema: str, function: str, argument: bytes, *, timeout_seconds: float) -> bytes | None:
        """The JSON it returns; None for SQL NULL. Raises FluxbaseError."""
        ...

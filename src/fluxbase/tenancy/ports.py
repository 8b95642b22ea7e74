"""What the lifecycle of tenants needs, passed in by ``app.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fluxbase.kernel.ids import DatabaseName, TenantId
    from fluxbase.tenancy.registry import Tenant


class TenantDatabases(Protocol):
    """Makes and removes databases (``db/tenant_database.py``). Blocking; every method may be called again.

    ``is_shared``: the one database of the tenants that are told apart by schema or row; ``schema``: the tenant's own in it.
    """

    def create(self, database: DatabaseName, *, is_shared: bool) -> None:
        """The database, from the migrated template."""
        ...

    def prepare(self, database: DatabaseName, *, is_shared: bool) -> None:
        """Kernel, roles, logins."""
        ...

    def identify(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool, schema: str | None = None) -> None:
        """Whose it is; makes the schema."""
        ...

    def link(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool) -> None:
        """Foreign server and its login."""
        ...

    def migrate(self, database: DatabaseName, *, schema: str | None = None) -> int:
        """The user's migrations; how many were applied."""
        ...

    def drop(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool) -> None:
        """Database and logins; in a shared one the tenant's schema, rows and keys."""
        ...


class KeyMaker(Protocol):
    """Keys of a tenant (``auth/keys.py``)."""

    async def ensure_keys(self, tenant: Tenant) -> bool:
        """Make what is missing."""
        ...

    async def show(self, tenant: Tenant) -> Any:
        """The current keys in every form."""
        ...


class Sealer(Protocol):
    """Encrypts what a stolen database must not tell (``crypto/master.py``)."""

    def seal(self, plaintext: bytes, associated: str) -> bytes:
        """Encrypt, bound to a place."""
        ...

    def open(self, sealed: bytes, associated: str) -> bytes:
        """Undo it; raises MasterKeyError for another place, another master key and any changed byte."""
        ...


class AuditRecorder(Protocol):
    """``audit/store.py``."""

    async def __call__(self, tx: Any, *, action: str, actor: str, resource: str, details: dict[str, object]) -> Any:
        """Record in the caller's transaction."""
        ...

"""The life of a tenant: create, repair, migrate, freeze, delete, recover (contract-native 2.9).

Making one is a list of steps. Before each the register says which it is; a step that fails leaves ``error`` with its name,
a process that dies leaves ``creating``: either way ``repair`` runs the list again from its beginning, and every step
may be run twice. Only after the last one is the tenant ``active`` and can be found by a request.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import Conflict, Forbidden, InvalidInput
from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.tenancy import store
from fluxbase.tenancy.registry import Tenant, unknown_tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.config import Config
    from fluxbase.tenancy.ports import AuditRecorder, KeyMaker, TenantDatabases
    from fluxbase.tenancy.registry import Isolation, TenantRegistry
    from fluxbase.tenancy.store import TenantRow

SLUG = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
RESERVED = frozenset({
    "default", "www", "api", "admin", "auth", "app", "apps", "fluxbase", "postgres", "template", "public", "system", "storage", "realtime",
    "platform", "audit", "tenant", "tenants", "root", "support", "help", "status", "health", "metrics", "static", "assets", "mail", "ftp",
    "localhost", "internal", "dashboard", "console", "docs", "mine", "deleted",
})  # fmt: skip
ROWS_DATABASE = "fluxbase_rows"
"""The one database of all tenants with isolation ``row`` or ``schema``."""
_NOT_FOR: dict[str, tuple[str, ...]] = {"database": (), "schema": ("link",), "row": ("identity", "link")}
"""Steps that have nothing to do."""
STEPS = ("database", "kernel", "identity", "link", "migrations", "keys")


@dataclass(frozen=True, slots=True)
class NewTenant:
    """What an administrator asks for."""

    slug: str
    name: str = ""
    metadata: dict[str, object] | None = None
    hosts: tuple[str, ...] = ()
    isolation: Isolation = "database"


def check_slug(slug: str) -> str:
    """A slug is also a host name's label. Raises InvalidInput; nothing is repaired, so look-alikes are never taken for one."""
    if slug in RESERVED:
        raise InvalidInput("This slug is reserved.", code="slug_reserved", hint="Choose another name.")
    if not SLUG.fullmatch(slug) or "--" in slug:
        raise InvalidInput(
            "Not a slug.", code="bad_slug", hint="Lower-case letters a-z, digits and single hyphens, a letter first, 63 at most."
        )
    return slug


def check_isolation(text: str) -> Isolation:
    """``database``, ``schema`` or ``row``. Raises InvalidInput."""
    if text == "database" or text == "schema" or text == "row":
        return text
    raise InvalidInput("Not an isolation.", code="bad_isolation", hint="database, schema or row.")


class TenantLifecycle:
    """The use cases of administrators. ``sessions`` opens transactions in a named tenant's database."""

    def __init__(
        self, sessions: Any, registry: TenantRegistry, databases: TenantDatabases, keys: KeyMaker, record: AuditRecorder, *,
        locator_of: Callable[[TenantId], str], name_of: Callable[[TenantId], str], settings_of: Callable[[str], Config], most: int,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._registry = registry
        self._databases = databases
        self._keys = keys
        self._record = record
        self._locator_of = locator_of
        self._name_of = name_of
        self._settings_of = settings_of
        self._most = most

    async def create(self, wanted: NewTenant, *, actor: str) -> TenantRow:
        """Make a tenant. Raises InvalidInput, Conflict (slug taken, limit reached), or what the failed step raised."""
        slug = check_slug(wanted.slug)
        name = unicodedata.normalize("NFC", wanted.name or slug)
        if len(name) > 200 or not name.isprintable():
            raise InvalidInput("A name has at most 200 printable characters.", code="bad_name")
        hosts = tuple(_check_host(host) for host in wanted.hosts)
        tenant_id = TenantId(str(uuid.uuid4()))
        row = store.TenantRow(
            tenant_id, slug, name, self._database_of(tenant_id, wanted.isolation), "creating", False, wanted.metadata or {}, hosts,
            None, None, wanted.isolation, "", "", None,
        )  # fmt: skip
        async with self._main("create a tenant") as tx:
            is_new = await store.insert_tenant(tx, row, self._locator_of(tenant_id), most=self._most)
            if is_new is None:
                raise Conflict(f"There are {self._most} tenants already.", code="tenant_limit", hint="Raise tenants.max_tenants.")
            if not is_new:
                raise Conflict("A tenant with this slug exists.", code="already_exists")
            await self._note(tx, "tenant.created", actor, row)
        return await self._build(row, actor)

    async def repair(self, id_or_slug: str, *, actor: str) -> TenantRow:
        """Run every step again. Raises NotFound, or what the failed step raised."""
        row = await self.get(id_or_slug)
        self._refuse_default(row)
        return await self._build(row, actor)

    async def _build(self, row: TenantRow, actor: str) -> TenantRow:
        tenant = self._tenant_of(row)
        for step in STEPS:
            if step in _NOT_FOR[tenant.isolation]:
                continue
            async with self._main("note a step of a tenant") as tx:
                await store.mark(tx, row.id, status="creating", step=step, is_durable=False)
            try:
                await self._step(step, tenant)
            except Exception as error:
                async with self._main("note a failed step of a tenant") as tx:
                    await store.mark(tx, row.id, status="error", step=step, failure=type(error).__name__)
                raise
        async with self._main("a tenant is ready") as tx:
            await store.mark(tx, row.id, status="active", step=None)
            await self._note(tx, "tenant.activated", actor, row)
        self._registry.forget(row.id, row.slug, self._locator_of(row.id), *row.hosts)
        return await self.get(row.id)

    async def _step(self, step: str, tenant: Tenant) -> None:
        databases = self._databases
        blocking: dict[str, Callable[[], object]] = {
            "database": lambda: databases.create(tenant.database, is_shared=tenant.is_shared),
            "kernel": lambda: databases.prepare(tenant.database, is_shared=tenant.is_shared),
            "identity": lambda: databases.identify(tenant.database, tenant.id, is_shared=tenant.is_shared, schema=tenant.schema),
            "link": lambda: databases.link(tenant.database, tenant.id, is_shared=tenant.is_shared),
            "migrations": lambda: databases.migrate(tenant.database, schema=tenant.schema),
        }
        if step == "keys":
            await self._keys.ensure_keys(tenant)
        else:
            await asyncio.to_thread(blocking[step])

    async def migrate(self, id_or_slug: str, *, actor: str) -> int:
        """Apply the user's pending migrations in the tenant's database; how many there were."""
        row = await self.get(id_or_slug)
        applied = await asyncio.to_thread(self._databases.migrate, row.database, schema=self._tenant_of(row).schema)
        async with self._main("note migrations of a tenant") as tx:
            await self._note(tx, "tenant.migrated", actor, row)
        return applied

    async def freeze(self, id_or_slug: str, *, is_frozen: bool, actor: str) -> TenantRow:
        """Refuse every request of the tenant from now on, on every node, or serve it again."""
        row = await self.get(id_or_slug)
        await self._set_frozen(row, is_frozen=is_frozen)
        async with self._main("note a freeze") as tx:
            await self._note(tx, "tenant.frozen" if is_frozen else "tenant.thawed", actor, row)
        return row

    async def delete(self, id_or_slug: str, *, is_hard: bool, actor: str) -> None:
        """Soft: frozen and not found any more, until ``recover``. Hard: database and logins are gone for good."""
        row = await self.get(id_or_slug)
        self._refuse_default(row)
        if not is_hard:
            await self._set_frozen(row, is_frozen=True)
            async with self._main("delete a tenant") as tx:
                await store.mark_deleted(tx, row.id, is_deleted=True)
                await self._note(tx, "tenant.deleted", actor, row)
        else:
            async with self._main("delete a tenant for good") as tx:
                await store.mark(tx, row.id, status="deleting", step="drop")
                await self._note(tx, "tenant.dropped", actor, row)
            await asyncio.to_thread(self._databases.drop, row.database, row.id, is_shared=row.isolation != "database")
            async with self._main("a tenant is gone") as tx:
                await store.delete_tenant(tx, row.id)
        self._registry.forget(row.id, row.slug, self._locator_of(row.id), *row.hosts)

    async def recover(self, id_or_slug: str, *, actor: str) -> TenantRow:
        """Undo a soft delete."""
        row = await self.get(id_or_slug)
        if row.deleted_at is not None:
            async with self._main("recover a tenant") as tx:
                await store.mark_deleted(tx, row.id, is_deleted=False)
                await self._note(tx, "tenant.recovered", actor, row)
            await self._set_frozen(row, is_frozen=False)
            self._registry.forget(row.id, row.slug, self._locator_of(row.id), *row.hosts)
        return await self.get(row.id)

    async def update(self, id_or_slug: str, *, name: str | None = None, metadata: dict[str, object] | None = None, actor: str) -> TenantRow:
        """Change name or metadata."""
        row = await self.get(id_or_slug)
        async with self._main("change a tenant") as tx:
            await store.update_tenant(tx, row.id, name=name, metadata=metadata)
            await self._note(tx, "tenant.updated", actor, row)
        return await self.get(row.id)

    async def get(self, id_or_slug: str) -> TenantRow:
        """One line of the register. Raises NotFound."""
        if "\0" in id_or_slug or len(id_or_slug) > 100:
            raise unknown_tenant()
        key = "id" if _is_uuid(id_or_slug) else "slug"
        async with self._main("read a tenant") as tx:
            row = await store.select_tenant(tx, key, id_or_slug)
        if row is None:
            raise unknown_tenant()
        return row

    async def list(self, *, with_deleted: bool = False) -> list[TenantRow]:
        """The register."""
        async with self._main("list tenants") as tx:
            return await store.select_tenants(tx, with_deleted=with_deleted)

    async def keys(self, row: TenantRow) -> dict[str, str]:
        """The tenant's keys in every form."""
        shown = await self._keys.show(self._tenant_of(row))
        return shown.revealed()

    def _main(self, reason: str) -> Any:
        return self._sessions(self._registry.default, reason=reason)

    async def _note(self, tx: Any, action: str, actor: str, row: TenantRow) -> None:
        await self._record(tx, action=action, actor=actor, resource=f"platform.tenants/{row.id}", details={"slug": row.slug})

    async def _set_frozen(self, row: TenantRow, *, is_frozen: bool) -> None:
        tenant = self._tenant_of(row)
        async with self._sessions(tenant, reason="freeze or thaw") as tx:
            if tenant.is_shared:
                await store.freeze_in_shared(tx, tenant.id, is_frozen=is_frozen)
            else:
                await store.set_frozen(tx, is_frozen=is_frozen)

    def _tenant_of(self, row: TenantRow) -> Tenant:
        return Tenant(row.id, row.slug, row.database, self._locator_of(row.id), row.is_default, row.isolation, self._settings_of(row.slug))

    def _database_of(self, tenant: TenantId, isolation: Isolation) -> DatabaseName:
        return DatabaseName(self._name_of(tenant) if isolation == "database" else ROWS_DATABASE)

    @staticmethod
    def _refuse_default(row: TenantRow) -> None:
        if row.is_default:
            raise Forbidden("The default tenant is the main database itself.", code="default_tenant", status=400)


def _check_host(host: str) -> str:
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or not all(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels):
        raise InvalidInput("Not a host name.", code="bad_host", hint="Lower-case ASCII, for example acme.api.example.com.")
    return host


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

"""Which tenants there are. Every session must name one (DESIGN invariant 6).

The register is the main database's ``platform.tenants``; what was looked up is held for a second, and looked up again for all
tenants in use by one query. A stale entry is no hole: a frozen or deleted tenant is refused by ``fluxbase.admit`` inside the
request's transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from fluxbase.config.model import Config
from fluxbase.kernel.errors import NotFound
from fluxbase.kernel.ids import DatabaseName, TenantId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOLD_SECONDS = 1.0
REFRESH_SECONDS = 0.5
IN_USE_SECONDS = 60.0
MOST_REFRESHED = 2_000
MISS_SECONDS = 1.0
MOST_ENTRIES = 20_000
DEFAULTS = Config()
MAX_NAME_LENGTH = 253
Key = Literal["id", "slug", "locator", "host"]
Isolation = Literal["database", "schema", "row"]
"""How a tenant is kept apart: a database of its own, a schema or rows of a shared one."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that may be served, and its database."""

    id: TenantId
    slug: str
    database: DatabaseName
    locator: str = ""
    is_default: bool = False
    isolation: Isolation = "database"
    settings: Config = field(default=DEFAULTS, compare=False, repr=False)
    """In force for this tenant (``tenancy/settings.py``); of one that no look-up gave out, the built-in defaults."""

    @property
    def is_shared(self) -> bool:
        """Whether other tenants stand in the same database: then claims must say whose request it is."""
        return self.isolation != "database"

    @property
    def schema(self) -> str | None:
        """The schema of its own in a shared database; None: it has the configured ones."""
        return schema_name(self.id) if self.isolation == "schema" else None


def schema_name(tenant: TenantId) -> str:
    """``t_<32 hex digits>``: of the whole id, so that names tell no slug and no two are one."""
    return "t_" + tenant.replace("-", "")


def unknown_tenant() -> NotFound:
    """The one answer for a tenant that is not there and for one the caller may not use."""
    return NotFound("No such tenant.", code="unknown_tenant")


@dataclass(slots=True)
class Entry:
    """An answer, until when it holds, and when it was wanted last (monotonic)."""

    holds_until: float
    tenant: Tenant | None
    used_at: float


class TenantRegistry:
    """Looks tenants up by id, slug, locator or host name."""

    def __init__(self, default: Tenant, look_up: Callable[[Key, str], Awaitable[Tenant | None]]) -> None:
        self.default = default
        self._look_up = look_up
        self._by_id: dict[TenantId, Tenant] = {default.id: default}
        self._found: OrderedDict[tuple[Key, str], Entry] = OrderedDict()
        self._looking: dict[tuple[Key, str], asyncio.Task[Tenant | None]] = {}
        """Everybody who asks for a name at once waits for one query."""

    def held(self, key: Key, value: str) -> Tenant | None:
        """A fresh answer at hand; None: call ``find``. No waiting: this is the hot path."""
        entry = self._found.get((key, value))
        now = time.monotonic()
        if entry is None or entry.holds_until <= now:
            return None
        entry.used_at = now
        return entry.tenant

    async def find(self, key: Key, value: str) -> Tenant | None:
        """The tenant that may be served, or None. One query a second and name at most, also for names that do not exist."""
        if len(value) > MAX_NAME_LENGTH or "\0" in value:
            return None
        entry = self._found.get((key, value))
        now = time.monotonic()
        if entry is not None and entry.holds_until > now:
            entry.used_at = now
            return entry.tenant
        looking = self._looking.get((key, value))
        if looking is None:
            looking = self._looking[key, value] = asyncio.ensure_future(self._look(key, value))
            looking.add_done_callback(lambda done: self._looked((key, value), done))
        return await asyncio.shield(looking)

    def _looked(self, names: tuple[Key, str], done: asyncio.Task[Tenant | None]) -> None:
        del self._looking[names]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it

    async def _look(self, key: Key, value: str) -> Tenant | None:
        now = time.monotonic()
        tenant = await self._look_up(key, value)
        self._found[key, value] = Entry(now + (HOLD_SECONDS if tenant else MISS_SECONDS), tenant, now)
        while len(self._found) > MOST_ENTRIES:
            self._found.popitem(last=False)
        if tenant is not None:
            self._by_id[tenant.id] = tenant
        return tenant

    async def refresh(self, look_up_again: Callable[[list[TenantId]], Awaitable[dict[TenantId, tuple[Tenant, tuple[str, ...]]]]]) -> None:
        """Look all tenants in use up again, with their hosts, by one query: a thousand busy ones cost what one does.

        Called twice in the time an answer holds. What the query does not confirm is forgotten.
        """
        now = time.monotonic()
        in_use = [
            (names, entry.tenant)
            for names, entry in self._found.items()
            if entry.tenant is not None and now - entry.used_at < IN_USE_SECONDS
        ][-MOST_REFRESHED:]
        if not in_use:
            return
        found = await look_up_again(list({tenant.id for _, tenant in in_use}))
        for (key, value), tenant in in_use:
            again, hosts = found.get(tenant.id, (None, ()))
            entry = self._found.get((key, value))
            if entry is None:
                continue  # forgotten meanwhile
            if again is None or value not in (again.id, again.slug, again.locator, *hosts):
                del self._found[key, value]
            else:
                again = replace(again, settings=entry.tenant.settings if entry.tenant is not None else tenant.settings)
                entry.tenant, entry.holds_until = again, max(entry.holds_until, now + HOLD_SECONDS)
                self._by_id[again.id] = again

    async def resolve(self, id_or_slug: str) -> Tenant:
        """The tenant of an id or slug. Raises NotFound."""
        if id_or_slug in {self.default.id, self.default.slug}:
            return self.default
        tenant = await self.find("id" if _is_uuid(id_or_slug) else "slug", id_or_slug)
        if tenant is None:
            raise unknown_tenant()
        return tenant

    def get(self, tenant_id: TenantId) -> Tenant:
        """The tenant of an id that a look-up gave out before. Raises NotFound."""
        tenant = self._by_id.get(tenant_id)
        if tenant is None:
            raise unknown_tenant()
        return tenant

    def keep(self, tenant: Tenant) -> None:
        """Hold a tenant that is in no register (the platform administrators' own), or one whose settings were read again."""
        self._by_id[tenant.id] = tenant
        if tenant.id == self.default.id:
            self.default = tenant
        for entry in self._found.values():
            if entry.tenant is not None and entry.tenant.id == tenant.id:
                entry.tenant = tenant

    def known(self, tenant_id: TenantId) -> Tenant | None:
        """The tenant of an id when a look-up gave it out before."""
        return self._by_id.get(tenant_id)

    def forget(self, *names: str) -> None:
        """Look these ids, slugs, locators and hosts up again: this process changed their tenant. None: everything."""
        if not names:
            self._found.clear()
        for name in names:
            for key in get_args(Key):
                self._found.pop((key, name), None)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4

"""A tenant's settings in force: what files and variables say, then what its administrators keep in its own database.

They travel with the :class:`Tenant` that every service is given, so nobody has to ask whose settings count. What was read is
held until something says it moved: ``NOTIFY`` in the main database, the epoch that requests report, or a minute.
What is stored and cannot be read (sealed for another place or with another master key, or no longer valid) stops the tenant's
requests with 503: to go on without it would open what its administrators closed.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from fluxbase.config.section import Section
from fluxbase.config.sources import ConfigError
from fluxbase.config.tenants import DECIDERS, IN_DATABASE, Decider, is_sealed, is_secret, may_decide, tenant_config
from fluxbase.crypto.master import MasterKeyError
from fluxbase.kernel.errors import Forbidden, InvalidInput, Unavailable
from fluxbase.kernel.secret import Secret
from fluxbase.tenancy import settings_store as store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxbase.config import Config
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.ports import AuditRecorder, Sealer
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.tenancy.settings_store import StoredSetting

MAX_AGE_SECONDS = 60.0
MOST_VALUE_BYTES = 16_384
JWT_SECRET = "auth.jwt_secret"  # noqa: S105 - the name of a setting


class TenantSettings:
    """Reads, holds and changes them. ``sessions`` opens transactions in a named tenant's database."""

    def __init__(
        self, config: Config, sessions: Any, main: Any, sealer: Sealer, record: AuditRecorder, mark_of: Callable[[TenantId, str], str],
        adopt: Callable[[Tenant], None], *, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._config = config
        self._sessions = sessions
        self._main = main
        self._sealer = sealer
        self._record = record
        self._mark_of = mark_of
        self._adopt = adopt
        self._clock = clock
        self._held: dict[TenantId, tuple[float, Config]] = {}

    def forget(self, tenant: TenantId) -> None:
        """Read this tenant's again when it is next looked up."""
        self._held.pop(tenant, None)

    async def of(self, tenant: Tenant) -> Tenant:
        """The tenant with its settings. Raises Unavailable."""
        held = self._held.get(tenant.id)
        if held is None or self._clock() - held[0] > MAX_AGE_SECONDS:
            started = self._clock()
            async with self._sessions(tenant, reason="read the settings of a tenant", is_single=True) as tx:
                stored = await store.select_settings(tx, tenant.id)
            held = self._held[tenant.id] = (started, self._merged(tenant, stored))
        return replace(tenant, settings=held[1])

    async def read(self, tenant: Tenant) -> Tenant:
        """The same, read now."""
        self.forget(tenant.id)
        return await self.of(tenant)

    def _merged(self, tenant: Tenant, stored: list[StoredSetting]) -> Config:
        try:
            return tenant_config(self._config, tenant.slug, self._opened(tenant, stored))
        except ConfigError as error:
            raise _unreadable(tenant, error) from error

    def _opened(self, tenant: Tenant, stored: list[StoredSetting]) -> dict[str, Any]:
        try:
            return {
                row.key: row.value if row.sealed is None else orjson.loads(self._sealer.open(row.sealed, _place(tenant.id, row.key)))
                for row in stored
            }
        except MasterKeyError as error:
            raise _unreadable(tenant, error) from error

    async def listed(self, tenant: Tenant, decider: Decider) -> list[dict[str, Any]]:
        """Every key a tenant can have otherwise: value (never a secret's), where it comes from, whether the caller may change it."""
        now = (await self.of(tenant)).settings
        return [
            {
                "key": key, "value": shown(now, key), "origin": now.origins[key], "is_secret": is_secret(key),
                "is_overridden": now.origins[key] == IN_DATABASE, "may_change": may_decide(self._config, key, decider),
            }
            for key in DECIDERS
        ]  # fmt: skip

    async def change(self, tenant: Tenant, changes: Mapping[str, Any], *, decider: Decider, actor: str) -> Tenant:
        """Set keys, or with None take them back; all or none. In force on the next request.

        Raises InvalidInput for a key that is none, a value that does not fit; Forbidden for one that others decide.
        """
        for key in changes:
            self._check_key(key, decider)
        async with self._sessions(tenant, reason="change the settings of a tenant") as tx:
            await store.lock(tx, tenant.id)
            rows = await store.select_settings(tx, tenant.id)
            kept = self._opened(tenant, [row for row in rows if row.key not in changes])
            after = {key: value for key, value in {**kept, **changes}.items() if value is not None}
            try:
                merged = tenant_config(self._config, tenant.slug, after)
            except ConfigError as error:
                raise InvalidInput(str(error), code="bad_setting") from error
            for key, value in changes.items():
                await self._write(tx, tenant, key, value, actor)
            if JWT_SECRET in changes:
                await self._move_secret(tx, tenant, rows, merged)
            await self._record(
                tx,
                action="tenant.settings.changed",
                actor=actor,
                resource=f"platform.tenants/{tenant.id}",
                details={"keys": sorted(changes)},
            )
        async with self._sessions(self._main, reason="tell of changed settings") as tx:
            await store.tell(tx, tenant.id)
        changed = await self.read(tenant)
        self._adopt(changed)
        return changed

    async def _write(self, tx: Any, tenant: Tenant, key: str, value: Any, actor: str) -> None:
        if value is None:
            await store.delete_setting(tx, tenant.id, key)
        elif is_sealed(key):
            sealed = self._sealer.seal(orjson.dumps(value), _place(tenant.id, key))
            await store.put_setting(tx, tenant.id, key, sealed=sealed, actor=actor)
        else:
            await store.put_setting(tx, tenant.id, key, value=value, actor=actor)

    async def _move_secret(self, tx: Any, tenant: Tenant, rows: list[StoredSetting], merged: Config) -> None:
        """What the old secret signed is refused from the commit on; what the new one signed is not."""
        old: str | None = None
        with contextlib.suppress(Unavailable):  # one that does not open has never verified anything
            old = self._opened(tenant, [row for row in rows if row.key == JWT_SECRET]).get(JWT_SECRET)
        previous = old if old is not None else _revealed(tenant_config(self._config, tenant.slug))
        if previous:
            await store.deny(tx, self._mark_of(tenant.id, previous), "jwt_secret changed")
        current = _revealed(merged)
        if current:
            await store.allow(tx, self._mark_of(tenant.id, current))

    def _check_key(self, key: str, decider: Decider) -> None:
        if key not in DECIDERS:
            raise InvalidInput(
                f"{key[:100]} is not a setting that a tenant can have.", code="unknown_setting", hint="GET the settings to see which can."
            )
        if not may_decide(self._config, key, decider):
            raise Forbidden(f"{key} is for the administrators of the instance to decide.", code="setting_locked")


def _unreadable(tenant: Tenant, error: Exception) -> Unavailable:
    structlog.get_logger("fluxbase.tenancy").error("tenant_settings_unreadable", tenant=tenant.id, error=str(error))
    return Unavailable("The settings of this tenant cannot be read.", code="settings_unreadable")


def check_value(key: str, value: Any) -> Any:
    """A value as JSON sent it, neither too large nor of the wrong kind. Raises InvalidInput with the key and never the value."""
    written = orjson.dumps(value)
    if len(written) > MOST_VALUE_BYTES or b"\\u0000" in written:
        raise InvalidInput(f"{key[:100]}: at most {MOST_VALUE_BYTES} bytes, and no character U+0000.", code="bad_setting")
    if value is not None and key in DECIDERS and is_secret(key) and not isinstance(value, str):
        raise InvalidInput(f"{key}: a secret is text.", code="bad_setting")
    return value


def shown(config: Config, key: str) -> Any:
    """A value as JSON has it; of a secret only whether there is one."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    if is_secret(key):
        return None if value is None else "[secret]"
    return orjson.loads(orjson.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return "[secret]"
    return dict(value) if isinstance(value, Section) else str(value)


def _revealed(config: Config) -> str | None:
    return None if config.auth.jwt_secret is None else config.auth.jwt_secret.reveal()


def _place(tenant: TenantId, key: str) -> str:
    return f"platform.tenant_settings:{tenant}:{key}"

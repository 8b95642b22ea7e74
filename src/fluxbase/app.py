"""The composition root: builds every part of one worker, the only place that does.

``create`` is what granian imports; ``open_program`` gives commands and tests the same parts without a listener.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbase.audit.refusals import Refusals
from fluxbase.audit.store import record
from fluxbase.auth.api_keys import ApiKeys
from fluxbase.auth.grants import Grants
from fluxbase.auth.keyring import KeyRing, KeyRings
from fluxbase.auth.keys import KeyService
from fluxbase.auth.platform import HOME, home_tenant
from fluxbase.auth.rules import TokenRules
from fluxbase.auth.verify import Verifier
from fluxbase.config import Config, load_config
from fluxbase.crypto.identity import IdentitySigner
from fluxbase.crypto.master import MasterKey
from fluxbase.crypto.opaque import tenant_locator
from fluxbase.db.failures import ConnectionBroken
from fluxbase.db.provision import SYSTEM_LOGIN, ProvisionError, login_name, renew_login
from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import FluxbaseError, Unavailable
from fluxbase.parts.limits import blocklist, ledger, rate_limiter, validated_rules
from fluxbase.parts.schemas import SchemaReader
from fluxbase.parts.settings import SettingsWatch, tenant_settings
from fluxbase.parts.target import MAIN, target_of
from fluxbase.tenancy.registry import Tenant, TenantRegistry
from fluxbase.tenancy.store import select_default, select_identity_key, select_served, set_locator
from fluxbase.worker import AccessSink, Worker, public_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fluxbase.auth.platform import Platform
    from fluxbase.data.service import DataService
    from fluxbase.db.executor import Executor
    from fluxbase.db.pools import Pools
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.outbound.client import OutboundClient
    from fluxbase.parts.accounts import AccountParts
    from fluxbase.parts.factors import FactorParts
    from fluxbase.parts.mail import MailParts
    from fluxbase.parts.providers import ProviderParts
    from fluxbase.tenancy.lifecycle import TenantLifecycle
    from fluxbase.tenancy.registry import Key
    from fluxbase.web.context import App
    from fluxbase.web.routing import Route

EMBEDDED_CONNECTIONS = 120
"""Of the 200 of the embedded PostgreSQL, for requests; the workers share them. A hundred busy tenants want one each."""


class Program(Worker):
    """All parts of a worker that serves a database we manage."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.master = MasterKey.load_or_create(config.data_dir / "master.key", config.master_key)
        self.target = target_of(config, self.master)
        self._system_login = cache(partial(self.target.login_conninfo, SYSTEM_LOGIN))
        self.sessions = SystemSessions(self.system_conninfo)
        self.schemas = SchemaReader(self)
        self.limits = rate_limiter(self)
        self.kept_out = blocklist(self)
        self.ledger = ledger(self)
        self.refusals = Refusals(self.sessions, lambda number: self.metrics.note("audit_dropped", number))
        self.account_sessions = SystemSessions(
            self.system_conninfo, size=config.database.pool_size, on_epochs=self._on_epochs, renew=self._renewed
        )
        self.rules = TokenRules.from_config(config, public_url(config))
        self.keys = KeyService(self.sessions, self.master, self.rules, record)
        self.rings = KeyRings(self._load_ring)
        self.api_keys = ApiKeys(
            self.sessions, self._tenant, record, self.rings.forget, issuer=self.rules.issuer, schema=config.data.schemas[0]
        )
        self.verifier = Verifier(self.rings, self.rules, self.api_keys)
        self.registry: TenantRegistry = None  # type: ignore[assignment] # set by open()
        self.tenant_settings = tenant_settings(self)
        self.grants = Grants(self.sessions, self._tenant)
        self._signers: dict[TenantId, IdentitySigner] = {}
        self._shared_signers: dict[str, IdentitySigner] = {}
        """By database, of those that tenants share."""
        self._epochs: dict[TenantId, str] = {}
        self.settings_watch = SettingsWatch(self)

    def system_conninfo(self, tenant: Any) -> str:
        """Of ``fluxbase_system`` in a tenant's database; ``MAIN`` is the one that holds the register."""
        if tenant is MAIN:
            return self._system_login(None)
        known = tenant if isinstance(tenant, Tenant) else self.registry.get(tenant)
        return self._system_login(known.database)

    def _tenant(self, tenant_id: TenantId) -> Tenant:
        return self.registry.get(tenant_id)

    async def open(self) -> None:
        """Read the default tenant. Raises Unavailable when the database cannot be reached."""
        async with self.sessions(MAIN, reason="load the default tenant") as tx:
            tenant = await select_default(tx)
            if not tenant.locator:
                tenant = replace(tenant, locator=tenant_locator(tenant.id))
                await set_locator(tx, tenant.id, tenant.locator)
        self.registry = TenantRegistry(await self.tenant_settings.of(tenant), self._look_up_tenant)
        self.home = replace(home_tenant(tenant.database, tenant_locator(HOME)), settings=self.config)
        self.registry.keep(self.home)
        await self._load_signer(tenant)

    async def _look_up_tenant(self, key: Key, value: str) -> Tenant | None:
        if key == "locator" and value == self.home.locator:
            return self.home
        async with self.sessions(MAIN, reason="look a tenant up", is_single=True) as tx:
            tenant = await select_served(tx, key, value)
        if tenant is not None and tenant.id not in self._signers:
            await self._load_signer(tenant)
        return None if tenant is None else await self.tenant_settings.of(tenant)

    async def _load_ring(self, tenant_id: TenantId) -> KeyRing:
        """With the tenant's ``jwt_secret`` of now."""
        tenant = self.registry.get(tenant_id)
        if tenant.id != self.home.id:
            tenant = await self.tenant_settings.read(tenant)
            self.registry.keep(tenant)
        return await self.keys.load(tenant)

    async def _load_signer(self, tenant: Tenant) -> None:
        known = self._shared_signers.get(tenant.database)
        if known is None:
            async with self.sessions(tenant, reason="load the identity key", is_single=True) as tx:
                known = IdentitySigner(await select_identity_key(tx))
            if tenant.is_shared:
                self._shared_signers[tenant.database] = known
        self._signers[tenant.id] = known

    # Areas are imported when they are first asked for: a command that prints keys loads no library of SAML or passkeys.

    @cached_property
    def auth(self) -> AccountParts:
        """Accounts and sessions. ``routes`` connects the second factors to their gate before any route can be called."""
        from fluxbase.parts.accounts import account_parts

        return account_parts(self)

    @cached_property
    def outbound(self) -> OutboundClient:
        """The one client of our own HTTP requests."""
        from fluxbase.outbound.client import OutboundClient

        return OutboundClient(self.config)

    @cached_property
    def factors(self) -> FactorParts:
        """Second factors, captcha, hooks; building them connects them to the gate."""
        from fluxbase.parts.factors import factor_parts

        return factor_parts(self)

    @cached_property
    def providers(self) -> ProviderParts:
        """Identity providers."""
        from fluxbase.parts.providers import provider_parts

        return provider_parts(self)

    @cached_property
    def platform(self) -> Platform:
        """Administrators of the platform."""
        from fluxbase.parts.platform import platform_service

        return platform_service(self)

    @property
    def tenants(self) -> TenantLifecycle:
        """What administrators do with tenants."""
        from fluxbase.parts.tenants import tenant_lifecycle

        return tenant_lifecycle(self)

    @cached_property
    def mail(self) -> MailParts:
        """Mails to users."""
        from fluxbase.parts.mail import mail_parts

        return mail_parts(self)

    # -- the worker -----------------------------------------------------------------------------------------------

    def build_data_plane(self) -> tuple[Pools, Executor, DataService]:
        """Pools, executor and data service."""
        from fluxbase.data.documents import Documents
        from fluxbase.data.executions import Executions
        from fluxbase.data.service import DataService
        from fluxbase.data.snapshot_store import SnapshotStore
        from fluxbase.db.executor import Executor
        from fluxbase.db.pools import Pools
        from fluxbase.db.settings import SignedSettings

        database = self.config.database
        self.pools = Pools(
            lambda name, role: self.target.login_conninfo(login_name(name, role), name),
            size=database.pool_size,
            total=database.pool_total or (None if database.url else EMBEDDED_CONNECTIONS // self.config.server.workers),
            wait_seconds=database.pool_wait_seconds,
            connect_timeout_seconds=database.connect_timeout_seconds,
            statement_cache_size=database.statement_cache_size,
            renew_login=self._renew_login,
        )
        self.executor = Executor(
            self.pools,
            database_of=lambda tenant_id: self.registry.get(tenant_id).database,
            session_settings=SignedSettings(lambda tenant_id: self._signers[tenant_id]),
            on_epochs=self._on_epochs,
            timeout_of=cache(self._timeout_of),
            renew=self._renewed,
        )
        self.snapshots = SnapshotStore(self.schemas.snapshot, self.schemas.lineage)
        self.data = DataService(self.executor, self.snapshots, self.config)
        self.executions = Executions(self.data, self.executor)
        self.documents = Documents(self.data, self.schemas.documentation, mode=self.config.data.openapi_mode)
        return self.pools, self.executor, self.data

    async def _renewed(self, principal: Principal) -> Principal:
        """A caller whose claims are outdated, with those of now. Raises Unavailable for a key whose rights changed."""
        renewed = await self.grants.renew(principal)
        if renewed.deny_keys == principal.deny_keys:
            self.rings.forget(principal.tenant)
            raise Unavailable("What this key may do has just changed. Send the request again.", code="key_changed")
        return renewed

    async def _renew_login(self, database: str, role: str) -> None:
        import structlog

        structlog.get_logger("fluxbase.app").warning("login_changed_by_its_own_sql", login=login_name(database, role))
        try:
            await asyncio.to_thread(
                renew_login, self.target.admin_conninfo, database, role, self.target.login_secret(login_name(database, role))
            )
        except ProvisionError as error:
            raise ConnectionBroken(str(error), was_sent=False) from error

    def _timeout_of(self, role: str) -> float:
        return self.config.data.limits_of(role).statement_timeout_seconds

    def _on_epochs(self, tenant_id: TenantId, epochs: str) -> None:
        before = self._epochs.get(tenant_id)
        if before != epochs:
            self._epochs[tenant_id] = epochs
            self.rings.note_epoch(tenant_id, int(epochs.split(":")[1]))
            if before is not None:
                self.settings_watch.note(tenant_id)

    def routes(self) -> list[Route]:
        """The whole surface, each line with who may call it and how often."""
        from fluxbase.parts.areas import register_areas
        from fluxbase.web.control import ControlPlane
        from fluxbase.web.documents.surface import DocumentSurface
        from fluxbase.web.native.routes import native_routes
        from fluxbase.web.native.rpc import NativeRpc
        from fluxbase.web.native.tables import NativeTables
        from fluxbase.web.supabase.rest import RestSurface
        from fluxbase.web.supabase.routes import rest_routes

        limit = self.config.server.bulk_body_limit_bytes
        control = ControlPlane(self)
        register_areas(self, control)
        documents = DocumentSurface(self.documents, control, public_url=public_url(self.config), instance=self.registry.default.id)
        return [
            *documents.routes(),
            *rest_routes(RestSurface(self.data), body_limit_bytes=limit),
            *native_routes(NativeTables(self.data), NativeRpc(self.data, self.executions), body_limit_bytes=limit),
            *control.routes,
        ]

    def pipeline(self, without: tuple[str, ...] = ()) -> App:
        """The whole ASGI application; ``without`` names lines a twin of the tests leaves out."""
        from fluxbase.parts.network import session_cookies
        from fluxbase.web.pipeline import Parts, build
        from fluxbase.web.routing import RouteTable

        table = RouteTable(validated_rules(self.config, self.routes()))
        parts = Parts(
            self.config,
            table,
            self.registry,
            self.verifier,
            self.limits,
            self.kept_out,
            AccessSink(self),
            standing=self.standing,
            granted=self.grants.apply,
            used=self.api_keys.used,
            platform=self.platform,
            ledger=self.ledger,
            cookies=session_cookies(self),
        )
        return build(parts, without)

    async def standing(self, principal: Principal, deadline: float) -> Principal:
        """Ask ``fluxbase.admit`` as the caller: a route of the control plane runs nothing as him."""
        from fluxbase.db.executor import Mode, RequestSettings

        settings = RequestSettings("GET", "/", "{}", "{}", "")
        await self.executor.run(principal, settings, "select 1", (), mode=Mode.PLAIN_READ, deadline=deadline)
        return self.grants.apply(principal)

    async def shutdown(self) -> None:
        """Finish; functions in the background are recorded as cancelled first."""
        await self.executions.close()
        await super().shutdown()

    async def listen(self) -> None:
        """What a worker does beside the requests."""
        from fluxbase.parts.watching import watch

        await watch(self)

    async def close(self) -> None:
        """End connections and background work."""
        from fluxbase.parts.closing import close_areas

        await super().close()
        await self.schemas.close()
        await self.ledger.close()
        await close_areas(self)

    def tenants_in_use(self) -> list[TenantId]:
        """Whose database this worker has been in."""
        return list(self._signers)

    # -- what the control plane asks ----------------------------------------------------------------------------------

    async def is_database_up(self) -> bool:
        """One trivial query within a second."""
        try:
            async with asyncio.timeout(1), self.sessions(self.registry.default.id, reason="health") as tx:
                await select_default(tx)
        except (FluxbaseError, TimeoutError):
            return False
        return True

    async def is_ready(self) -> bool:
        """A snapshot is loaded and the database answers."""
        return self.snapshots.held(self.registry.default.id) is not None and await self.is_database_up()

    async def jwks(self, tenant: TenantId | None) -> dict[str, object]:
        """Public keys of a tenant; None: the default one."""
        return await self.verifier.jwks(tenant or self.registry.default.id)

    async def status(self) -> dict[str, object]:
        """For administrators."""
        held = self.snapshots.held(self.registry.default.id)
        return {
            "schema_epoch": held.epoch if held else None,
            "relations": len(held.relations) if held else 0,
            "connections_in_use": self.pools.in_use(),
        }


@asynccontextmanager
async def open_program(data_dir: Path, *, config: Config | None = None) -> AsyncGenerator[Program]:
    """The parts without a listener. The instance must be running (or its database reachable)."""
    if config is None:
        from fluxbase.db.instance import running_config

        config = running_config(data_dir)
    program = Program(config)
    try:
        await program.open()
        yield program
    finally:
        await program.close()


def create() -> Worker:
    """Factory named to granian. Configuration comes from the environment that ``fluxbase start`` prepared."""
    config = load_config()
    if config.database.manage:
        return Program(config)
    from fluxbase.peer import PeerProgram

    return PeerProgram(config)

"""The composition root of a worker that serves an existing database as it is (``database.manage: false``).

Nothing is installed in it and no keys are made. What makes this mode PostgREST's is chosen here and nowhere else: whose tokens
are believed, how a transaction learns who asks, how errors are worded, which objects exist. docs/byo.md says what is weaker than
in a managed database.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from fluxbase.auth.claim_path import ClaimPathError, parse_claim_path
from fluxbase.auth.external import ExternalRules, ExternalVerifier
from fluxbase.config import ConfigError
from fluxbase.config.peer import with_peer_settings
from fluxbase.crypto.trusted_keys import TrustedKeyError, TrustedKeys, parse_trusted_keys
from fluxbase.db.catalogue import read_catalogue, read_documentation
from fluxbase.db.conninfo import with_tls
from fluxbase.db.peer_database import PeerDatabaseError, check_login, read_fingerprint, read_role_settings, read_settings
from fluxbase.db.peer_errors import translate_verbatim
from fluxbase.db.peer_settings import PeerSettings
from fluxbase.db.session import SystemSessions, notifications
from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.limits.blocklist import Blocklist
from fluxbase.limits.limiter import RateLimiter
from fluxbase.parts.limits import count_refusals, shared_counts
from fluxbase.tenancy.registry import Tenant, TenantRegistry
from fluxbase.worker import AccessSink, Worker, public_url

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.data.service import DataService
    from fluxbase.data.snapshot import Snapshot
    from fluxbase.db.executor import Executor
    from fluxbase.db.peer_database import Login
    from fluxbase.db.peer_settings import RoleSettings
    from fluxbase.db.pools import Pools
    from fluxbase.tenancy.registry import Key
    from fluxbase.web.context import App

THE_DATABASE = TenantId("00000000-0000-0000-0000-000000000000")
"""There is one tenant: the database."""


def peer_conninfo(config: Config) -> str:
    """Connection string of the authenticator's login."""
    if config.database.url is None:
        raise ConfigError("database.manage: false needs database.url (FLUXBASE_DATABASE_URL)")
    return with_tls(config.database.url.reveal(), require=config.database.require_tls, ca_file=config.database.ca_file)


def effective_config(config: Config, conninfo: str) -> Config:
    """With PostgREST's defaults and the settings in the database. Raises ConfigError, PeerDatabaseError."""
    return with_peer_settings(config, read_settings(conninfo) if config.external.has_database_settings else {})


def external_rules(config: Config) -> ExternalRules:
    """Whose tokens are believed. Raises ConfigError."""
    external = config.external
    try:
        path = parse_claim_path(external.jwt_role_claim_key)
    except ClaimPathError as error:
        raise ConfigError(f"external.jwt_role_claim_key {error}") from None
    roles = ((external.publishable_key, external.anon_role), (external.secret_key, external.service_role))
    return ExternalRules(
        _keys(config), external.jwt_audience, path, external.anon_role, tuple((key, role) for key, role in roles if key is not None)
    )


def _keys(config: Config) -> TrustedKeys | None:
    external = config.external
    if external.jwt_secret is None:
        return None
    text = external.jwt_secret.reveal()
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8").rstrip("\r\n")
        return parse_trusted_keys(text, is_base64=external.jwt_secret_is_base64)
    except OSError as error:
        raise ConfigError(f"external.jwt_secret names a file that cannot be read ({error.strerror})") from None
    except (TrustedKeyError, UnicodeDecodeError) as error:
        raise ConfigError(str(error)) from None


def quoted_function(name: str) -> str:
    """``schema.name`` as SQL; empty stays empty."""
    return ".".join(quote_ident(part) for part in name.split(".", 1)) if name else ""


class PeerProgram(Worker):
    """All parts of a worker that serves a database as it is."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._given = config
        self._conninfo = peer_conninfo(config)
        self._log = structlog.get_logger("fluxbase.peer")
        self.sessions = SystemSessions(lambda _: self._conninfo)
        self._login: Login | None = None
        self._role_settings: dict[str, RoleSettings] = {}
        self.limits = RateLimiter(config.limits, on_refusal=count_refusals(self), shared=shared_counts(config, self._conninfo))
        self._generation = 0
        """Counts the loads of the schema: grants may have changed even when it did not."""

    async def open(self) -> None:
        """Check the login, read the settings in the database. Raises PeerDatabaseError, ConfigError, Unavailable."""
        self.config = await asyncio.to_thread(effective_config, self._given, self._conninfo)
        self._login = await asyncio.to_thread(check_login, self._conninfo, self.config.external.anon_role)
        tenant = Tenant(THE_DATABASE, "default", DatabaseName(self._login.database), is_default=True)
        self.registry = TenantRegistry(tenant, self._no_other_tenant)
        await self._apply()

    @staticmethod
    async def _no_other_tenant(key: Key, value: str) -> Tenant | None:  # noqa: ARG004 - the registry's look-up
        return None

    async def _apply(self) -> None:
        """Everything that a change of the configuration changes."""
        self._role_settings = await read_role_settings(self.sessions)
        self.verifier = ExternalVerifier(external_rules(self.config))

    def build_data_plane(self) -> tuple[Pools, Executor, DataService]:
        """Pools of the one login, executor and data service."""
        from fluxbase.data.snapshot_store import SnapshotStore
        from fluxbase.db.cleaning import peer_cleaning
        from fluxbase.db.pools import Pools

        database = self.config.database
        self.pools = Pools(
            lambda _, __: self._conninfo,
            size=database.pool_size,
            total=database.pool_total,
            wait_seconds=database.pool_wait_seconds,
            connect_timeout_seconds=database.connect_timeout_seconds,
            statement_cache_size=database.statement_cache_size,
            cleaning=peer_cleaning,
        )
        self.snapshots = SnapshotStore(self._load_snapshot)
        return self._build_services()

    def _build_services(self) -> tuple[Pools, Executor, DataService]:
        from fluxbase.data.documents import Documents
        from fluxbase.data.service import DataService
        from fluxbase.db.executor import Executor
        from fluxbase.web.supabase.peer import TimedExecutor

        if self._login is None:
            raise RuntimeError("open() comes first")
        external = self.config.external
        self.executor = Executor(
            self.pools,
            database_of=lambda tenant_id: self.registry.get(tenant_id).database,
            session_settings=PeerSettings(
                self._login.name,
                role_settings=self._role_settings,
                app_settings=external.app_settings,
                pre_request=quoted_function(external.pre_request),
            ),
            on_epochs=lambda _, __: None,
            timeout_of=lru_cache(maxsize=1024)(self._timeout_of),
            translate=translate_verbatim,
        )
        runner: Any = TimedExecutor(self.executor) if external.server_timing else self.executor
        self.data = DataService(runner, self.snapshots, self.config)
        self.documents = Documents(self.data, self._load_documentation, mode=self.config.data.openapi_mode, snapshot_of=self._snapshot_of)
        return self.pools, self.executor, self.data

    def _timeout_of(self, role: str) -> float:
        return self.config.data.limits_of(role).statement_timeout_seconds

    async def _load_snapshot(self, tenant_id: TenantId) -> Snapshot:  # noqa: ARG002 - there is one
        self._generation += 1
        return await self._snapshot(())

    async def _snapshot_of(self, role: str) -> Snapshot:
        return await self._snapshot((role,))

    async def _snapshot(self, roles: tuple[str, ...]) -> Snapshot:
        from fluxbase.data.snapshot import build_snapshot

        data = self.config.data
        async with self.sessions(THE_DATABASE, reason="load the schema") as tx:
            raw = await read_catalogue(tx, data.schemas, roles, data.extra_search_path)
        return await build_snapshot(
            *raw, schemas=data.schemas, open_relations=data.open_relations, epoch=self._generation, is_managed=False,
            require_rls=data.require_rls, are_roles_known=bool(roles),
        )  # fmt: skip

    async def _load_documentation(self, tenant: TenantId, role: str | None) -> bytes:  # noqa: ARG002 - there is one
        async with self.sessions(THE_DATABASE, reason="describe the schema") as tx:
            return await read_documentation(tx, self.config.data.schemas, role)

    def pipeline(self, without: tuple[str, ...] = ()) -> App:
        """/rest/v1 and the probes; ``without`` names lines a twin of the tests leaves out."""
        from fluxbase.web.control import ControlPlane
        from fluxbase.web.documents.surface import DocumentSurface
        from fluxbase.web.pipeline import Parts, build
        from fluxbase.web.routing import RouteTable
        from fluxbase.web.supabase.peer import PeerRenderer, PeerRest, TimedAuthenticator, TimedRest, TimedService, peer_credentials
        from fluxbase.web.supabase.routes import rest_routes

        external = self.config.external
        service: Any = TimedService(self.data) if external.server_timing else self.data
        rest = TimedRest(service) if external.server_timing else PeerRest(service)
        control = ControlPlane(self)
        documents = DocumentSurface(self.documents, control, public_url=public_url(self.config), instance=THE_DATABASE)
        routes = [
            *(each for each in documents.routes() if each.name == "rest.root"),
            *rest_routes(rest, body_limit_bytes=self.config.server.bulk_body_limit_bytes),
            *control.routes,
        ]
        parts = Parts(
            self.config,
            RouteTable(routes),
            self.registry,
            TimedAuthenticator(self.verifier) if external.server_timing else self.verifier,
            self.limits,
            Blocklist(self.config.limits, self.limits, None, self.config.server.trusted_proxies),
            AccessSink(self),
            credentials=peer_credentials(needs_token=not external.anon_role),
            renderer=PeerRenderer(external.anon_role),
        )
        return build(parts, without)

    # -- reloading ------------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """``NOTIFY pgrst``: ``reload schema``, ``reload config``, or both; and a look at the catalogue now and then."""
        work = [self._poll()] if self.config.external.schema_poll_seconds else []
        if self.config.external.channel:
            work.append(self._hear())
        await asyncio.gather(*work)

    async def _hear(self) -> None:
        async for payloads in notifications(self._conninfo, self.config.external.channel):
            await self._reload(frozenset({"reload config", "reload schema"} if "" in payloads else payloads))

    async def _reload(self, what: frozenset[str]) -> None:
        """What cannot be read or used leaves everything as it was, with a line in the log."""
        try:
            if "reload config" in what:
                self.config = await asyncio.to_thread(effective_config, self._given, self._conninfo)
                await self._apply()
                self._build_services()
                self._app = self.pipeline()
            if what & {"reload config", "reload schema"}:
                await self.snapshots.reload(THE_DATABASE)
                self.pools.forget_plans()
        except (ConfigError, PeerDatabaseError, FluxbaseError) as error:
            self._log.warning("reload_failed", error=str(error))

    async def _poll(self) -> None:
        seen = ""
        while True:
            with contextlib.suppress(FluxbaseError):
                fingerprint = await read_fingerprint(self.sessions, self.config.data.schemas)
                if seen and fingerprint != seen:
                    await self._reload(frozenset({"reload schema"}))
                seen = fingerprint
            await asyncio.sleep(self.config.external.schema_poll_seconds or 60)

    # -- what the control plane asks ----------------------------------------------------------------------------------------

    async def is_database_up(self) -> bool:
        """One trivial query within a second."""
        try:
            async with asyncio.timeout(1), self.sessions(THE_DATABASE, reason="health") as tx:
                await tx.fetch("select 1")
        except (FluxbaseError, TimeoutError):
            return False
        return True

    async def is_ready(self) -> bool:
        """A snapshot is loaded and the database answers."""
        return self.snapshots.held(THE_DATABASE) is not None and await self.is_database_up()

    async def jwks(self, tenant: TenantId | None) -> dict[str, object]:  # noqa: ARG002 - there is one
        """No keys of ours sign anything here."""
        return {"keys": []}

    async def status(self) -> dict[str, object]:
        """For administrators."""
        held = self.snapshots.held(THE_DATABASE)
        return {"relations": len(held.relations) if held else 0, "connections_in_use": self.pools.in_use()}

"""The typed tree of settings. Names carry units; every field says what it decides."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from fluxbase.config.auth import Auth
from fluxbase.config.factors import Captcha, Hooks, Mfa, Passkeys
from fluxbase.config.limits import Limits
from fluxbase.config.mail import Mail
from fluxbase.config.oauth import OAuth
from fluxbase.config.outbound import Outbound
from fluxbase.config.rbac import Rbac
from fluxbase.config.saml import Saml
from fluxbase.config.section import Section
from fluxbase.config.tls import Tls
from fluxbase.kernel.ids import CLIENT_ROLES, is_catalogue_schema, is_system_schema
from fluxbase.kernel.secret import Secret


class Server(Section):
    """The listener."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(default=1, ge=1, le=64, description="Worker processes.")
    public_url: str = Field(default="", description="URL clients use, https in production; decides issuer, HSTS and redirects.")
    body_limit_bytes: int = Field(default=1_048_576, ge=1, description="Largest request body by default.")
    bulk_body_limit_bytes: int = Field(default=10_485_760, ge=1, description="Largest body of table writes and RPC.")
    url_limit_bytes: int = Field(default=131_072, ge=256, description="Longest path and query together.")
    request_timeout_seconds: float = Field(default=30.0, gt=0, description="Time budget of a request, handed to PostgreSQL.")
    body_timeout_seconds: float = Field(default=10.0, gt=0, description="Time for a request body to arrive.")
    allowed_hosts: list[str] = Field(default=[], description="Host names served; empty: loopback names on a loopback listener, else any.")
    trusted_proxies: list[str] = Field(default=[], description="CIDRs of proxies whose X-Forwarded-For is believed.")
    trusted_proxy_hops: int = Field(default=1, ge=1, description="Which entry of X-Forwarded-For from the right is the client.")
    cors_origins: list[str] = Field(default=["*"], description="Origins that may call from a browser; * means any, without credentials.")
    graceful_stop_seconds: float = Field(default=20.0, gt=0, description="Time for requests under way at a stop.")
    backlog: int = Field(default=2048, ge=128, description="Listen backlog.")
    max_connections: int = Field(
        default=16_000, ge=1, description="Client connections a worker holds, idle ones too; fewer where the limit of open files is lower."
    )
    tls: Tls = Tls()

    @field_validator("public_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError("must be http:// or https://, a host, and nothing after the path")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _cidr(cls, value: list[str]) -> list[str]:
        for item in value:
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:  # its own text shows the value
                raise ValueError("each entry must be an address or a network such as 10.0.0.0/8") from None
        return value


class Database(Section):
    """PostgreSQL."""

    url: Secret | None = Field(default=None, description="postgresql:// URL; empty: the embedded PostgreSQL.")
    manage: bool = Field(
        default=True, description="Install the security kernel; false: serve an existing database as it is (section external)."
    )
    pool_size: int = Field(default=10, ge=1, description="Connections per tenant, role and worker.")
    pool_total: int | None = Field(
        default=None, ge=1, description="Connections per worker, over all tenants and roles; unset: four times pool_size."
    )
    pool_wait_seconds: float = Field(default=5.0, gt=0, description="Longest wait for a connection.")
    statement_cache_size: int = Field(default=256, ge=1, description="Prepared statements per connection.")
    require_tls: bool | None = Field(default=None, description="TLS to the database; unset: verified unless socket or loopback.")
    ca_file: str = Field(default="", description="CA certificate of the database; empty: the system's.")
    migrations_path: str = Field(default="migrations", description="Folder of your own SQL migrations.")
    connect_timeout_seconds: float = Field(default=5.0, gt=0, description="Time to connect.")


def _by_role(defaults: dict[str, Any]) -> Callable[[Any], Any]:
    """A limit as it is written: one number for every role, or role → number on top of the defaults."""

    def normalise(value: Any) -> Any:
        if isinstance(value, dict):
            return {**defaults, **cast("dict[str, Any]", value)}
        items = cast("list[Any]", value) if isinstance(value, list) else [value]  # text from the environment is a list of one
        return dict.fromkeys(defaults or CLIENT_ROLES, items[0] if len(items) == 1 else None)

    return normalise


_TIMEOUTS = {"anon": 3.0, "authenticated": 8.0, "service_role": 30.0}
_ROWS = {"anon": 1000, "authenticated": 1000, "service_role": 1000}
_DEPTHS = {"anon": 4, "authenticated": 8, "service_role": 16}
_WIDTHS = {"anon": 16, "authenticated": 32, "service_role": 64}


@dataclass(frozen=True, slots=True)
class CostLimits:
    """What one role's requests may cost."""

    statement_timeout_seconds: float
    max_rows: int
    max_embed_depth: int
    max_embed_width: int
    max_planner_cost: float | None


class Data(Section):
    """The data plane. Its cost limits are a number for every role, or role → number; a role that is not named has authenticated's."""

    schemas: list[str] = Field(default=["public"], min_length=1, description="Exposed schemas; the first is the default.")
    extra_search_path: list[str] = Field(default=["public", "extensions"], description="Schemas added to the search path.")
    openapi_mode: Literal["follow-privileges", "ignore-privileges", "disabled"] = Field(
        default="follow-privileges", description="What the OpenAPI documents show: what the caller may use, everything, nothing."
    )
    open_relations: list[str] = Field(default=[], description="schema.table served although nothing protects its rows.")
    custom_roles: list[str] = Field(default=[], description="Further client roles.")
    statement_timeout_seconds: Annotated[dict[str, PositiveFloat], BeforeValidator(_by_role(_TIMEOUTS))] = Field(
        default=_TIMEOUTS, description="Longest statement by role."
    )
    max_rows: Annotated[dict[str, PositiveInt], BeforeValidator(_by_role(_ROWS))] = Field(
        default=_ROWS, description="Most rows of one answer, and of one embed of one row, by role."
    )
    max_embed_depth: Annotated[dict[str, NonNegativeInt], BeforeValidator(_by_role(_DEPTHS))] = Field(
        default=_DEPTHS, description="Deepest embedding by role."
    )
    max_embed_width: Annotated[dict[str, NonNegativeInt], BeforeValidator(_by_role(_WIDTHS))] = Field(
        default=_WIDTHS, description="Most embeds in one request by role."
    )
    max_planner_cost: Annotated[dict[str, PositiveFloat], BeforeValidator(_by_role({}))] = Field(
        default={}, description="Dearest statement in the planner's units by role; not named: no ceiling, and no EXPLAIN before the run."
    )
    aggregates_enabled: bool = Field(default=False, description="Aggregates in select.")
    embed_target_names: bool = Field(
        default=True, description="An embed that has an alias may be filtered by its relation's name too; the answer warns."
    )
    require_rls: bool = Field(
        default=True, description="Serve only relations that Row Level Security protects; false only for a database that is not managed."
    )
    plan_enabled: bool = Field(default=False, description="Answer application/vnd.pgrst.plan with the statement's plan.")
    tx_end: Literal["commit", "commit-allow-override", "rollback", "rollback-allow-override"] = Field(
        default="commit", description="How a transaction ends; with allow-override the client decides by Prefer: tx=commit or tx=rollback."
    )

    def limits_of(self, role: str) -> CostLimits:
        """The cost limits of a role; one that is not named has authenticated's."""

        def pick(limit: dict[str, Any]) -> Any:
            return limit.get(role, limit.get("authenticated"))

        return CostLimits(
            pick(self.statement_timeout_seconds),
            pick(self.max_rows),
            pick(self.max_embed_depth),
            pick(self.max_embed_width),
            pick(self.max_planner_cost),
        )


class External(Section):
    """An existing PostgREST or Supabase database (``database.manage: false``); meanings and defaults are PostgREST's."""

    anon_role: str = Field(default="", description="Role of requests without a token; empty: they are refused (PGRST302).")
    jwt_secret: Secret | None = Field(default=None, description="Secret, JWK or JWKS that verifies tokens, or @ and a file's name.")
    jwt_secret_is_base64: bool = Field(default=False, description="The secret is base64 text.")
    jwt_audience: str = Field(default="", description="Audience that a token with aud must name; empty: any.")
    jwt_role_claim_key: str = Field(
        default=".role", description='Where the role stands in the claims: .app.role, ."https://x/role", .roles[0].'
    )
    publishable_key: Secret | None = Field(default=None, description="Opaque key (sb_publishable_…) that means the anon role.")
    secret_key: Secret | None = Field(default=None, description="Opaque key (sb_secret_…) that means external.service_role.")
    service_role: str = Field(default="service_role", description="Role of external.secret_key.")
    pre_request: str = Field(default="", description="Function, schema.name, called in the transaction before each statement.")
    app_settings: dict[str, str] = Field(default={}, description="Settings app.settings.<name> of each transaction.")
    has_database_settings: bool = Field(default=True, description="Read pgrst.* settings of the login role (ALTER ROLE … SET pgrst.…).")
    channel: str = Field(default="pgrst", description="NOTIFY channel for reload schema and reload config; empty: none.")
    schema_poll_seconds: float = Field(default=10.0, ge=0, description="How often the catalogue is looked at for changes; 0: never.")
    server_timing: bool = Field(default=False, description="Answer with a Server-Timing header.")


class Tenants(Section):
    """Tenants."""

    max_tenants: int = Field(default=100, ge=0, description="Most tenants besides the default one.")
    base_host: str = Field(default="", description="Tenants answer at <slug>.<base_host>; empty: no host names.")


class Metrics(Section):
    """Prometheus."""

    enabled: bool = Field(default=True, description="Serve /metrics.")
    host: str = Field(default="127.0.0.1", description="Loopback address of the metrics listener.")
    port: int = Field(default=9090, ge=0, le=65535, description="Its port; 0 picks a free one.")


class Log(Section):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level shown.")
    format: Literal["json", "console"] = Field(default="json", description="Form of the lines.")
    access: bool = Field(default=True, description="One line a request.")


class Config(Section):
    """The whole tree."""

    server: Server = Server()
    database: Database = Database()
    data: Data = Data()
    auth: Auth = Auth()
    mfa: Mfa = Mfa()
    passkeys: Passkeys = Passkeys()
    captcha: Captcha = Captcha()
    hooks: Hooks = Hooks()
    rbac: Rbac = Rbac()
    mail: Mail = Mail()
    tenants: Tenants = Tenants()
    external: External = External()
    limits: Limits = Limits()
    outbound: Outbound = Outbound()
    oauth: OAuth = OAuth()
    saml: Saml = Saml()
    metrics: Metrics = Metrics()
    log: Log = Log()
    master_key: Secret | None = Field(default=None, description="base64 of 32 bytes; empty: the file master.key in the data directory.")
    data_dir: Path = Field(default=Path(".fluxbase"), description="Where the instance keeps its data.")
    origins: dict[str, str] = Field(default={}, description="Where each value came from.")

    @property
    def is_https(self) -> bool:
        """Whether clients speak https: by the public URL, else by our own TLS."""
        return self.server.public_url.startswith("https://") if self.server.public_url else bool(self.server.tls.cert)

    @model_validator(mode="after")
    def _exposure(self) -> Self:
        is_hidden = is_system_schema if self.database.manage else is_catalogue_schema
        if any(is_hidden(name) for name in self.data.schemas):
            raise ValueError("data.schemas names a system schema, which is never exposed")
        if self.database.manage and not self.data.require_rls:
            raise ValueError("data.require_rls can be false only with database.manage: false")
        if not self.database.manage and self.database.url is None:
            raise ValueError("database.manage: false needs database.url (FLUXBASE_DATABASE_URL), the authenticator's login")
        return self


def settings(model: type[BaseModel] = Config, prefix: str = "") -> list[tuple[str, Any]]:
    """Every dotted key with its field."""
    found: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        if name == "origins":
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found += settings(kind, f"{prefix}{name}.")
        else:
            found.append((prefix + name, field))
    return found

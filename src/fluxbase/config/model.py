"""The typed tree of settings. Names carry units; every field says what it decides."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fluxbase.kernel.ids import is_system_schema
from fluxbase.kernel.secret import Secret


class Section(BaseModel):
    """Frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


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
    max_connections: int = Field(default=10_000, ge=1, description="Client connections a worker holds, idle ones included.")

    @field_validator("public_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _cidr(cls, value: list[str]) -> list[str]:
        for item in value:
            ipaddress.ip_network(item, strict=False)
        return value


class Database(Section):
    """PostgreSQL."""

    url: Secret | None = Field(default=None, description="postgresql:// URL; empty: the embedded PostgreSQL.")
    manage: bool = Field(default=True, description="Install the security kernel.")
    pool_size: int = Field(default=10, ge=1, description="Connections per role and worker.")
    pool_wait_seconds: float = Field(default=5.0, gt=0, description="Longest wait for a connection.")
    statement_cache_size: int = Field(default=256, ge=1, description="Prepared statements per connection.")
    require_tls: bool | None = Field(default=None, description="TLS to the database; unset: verified unless socket or loopback.")
    ca_file: str = Field(default="", description="CA certificate of the database; empty: the system's.")
    migrations_path: str = Field(default="migrations", description="Folder of your own SQL migrations.")
    connect_timeout_seconds: float = Field(default=5.0, gt=0, description="Time to connect.")


class Data(Section):
    """The data plane."""

    schemas: list[str] = Field(default=["public"], min_length=1, description="Exposed schemas; the first is the default.")
    extra_search_path: list[str] = Field(default=["public", "extensions"], description="Schemas added to the search path.")
    max_rows: int = Field(default=1000, ge=1, description="Most rows of one answer.")
    open_relations: list[str] = Field(default=[], description="schema.table served although nothing protects its rows.")
    custom_roles: list[str] = Field(default=[], description="Further client roles.")
    max_embed_depth: int = Field(default=8, ge=0, description="Deepest embedding.")
    max_embed_width: int = Field(default=32, ge=0, description="Most embeds in one request.")
    max_filter_depth: int = Field(default=64, ge=1, description="Deepest logic tree.")
    statement_timeout_seconds: dict[str, float] = Field(
        default={"anon": 3.0, "authenticated": 8.0, "service_role": 30.0}, description="Longest statement by role."
    )
    aggregates_enabled: bool = Field(default=False, description="Aggregates in select.")

    @field_validator("schemas")
    @classmethod
    def _no_system(cls, value: list[str]) -> list[str]:
        if any(is_system_schema(name) for name in value):
            raise ValueError("names a system schema, which is never exposed")
        return value


class Auth(Section):
    """Tokens."""

    jwt_secret: Secret | None = Field(default=None, description="HS256 secret; set: tokens are signed with it.")
    jwt_issuer: str = Field(default="", description="Issuer; empty: public URL + /auth/v1.")
    jwt_audience: str = Field(default="authenticated", description="Audience of access tokens.")
    leeway_seconds: int = Field(default=30, ge=0, le=300, description="Clock skew accepted.")
    access_token_seconds: int = Field(default=900, ge=30, description="Life of an access token.")


class Limits(Section):
    """Rate limits."""

    enabled: bool = Field(default=True, description="Rate limits by address.")
    data_per_second: int = Field(default=1000, ge=1, description="Data plane requests a second and address.")
    data_burst: int = Field(default=100, ge=0, description="On top of it.")
    control_per_minute: int = Field(default=100, ge=1, description="Control plane requests a minute and address.")


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
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    log: Log = Log()
    master_key: Secret | None = Field(default=None, description="base64 of 32 bytes; empty: the file master.key in the data directory.")
    data_dir: Path = Field(default=Path(".fluxbase"), description="Where the instance keeps its data.")
    origins: dict[str, str] = Field(default={}, description="Where each value came from.")


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

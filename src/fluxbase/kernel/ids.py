"""Identifiers as distinct types, so that a bare ``str`` never crosses a layer as an id."""

from typing import NewType

TenantId = NewType("TenantId", str)
"""UUID text of a row in ``platform.tenants``."""
UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
RequestId = NewType("RequestId", str)
RoleName = NewType("RoleName", str)
"""A PostgreSQL client role: ``anon``, ``authenticated``, ``service_role`` or a configured one."""
DatabaseName = NewType("DatabaseName", str)

ANON = RoleName("anon")
AUTHENTICATED = RoleName("authenticated")
SERVICE_ROLE = RoleName("service_role")
TENANT_SERVICE = RoleName("tenant_service")
"""What a service key is in a database that tenants share: no BYPASSRLS."""
CLIENT_ROLES = (ANON, AUTHENTICATED, SERVICE_ROLE)

SYSTEM_SCHEMAS = frozenset(
    {"auth", "storage", "platform", "audit", "realtime", "extensions", "fluxbase", "information_schema", "pg_catalog", "pg_toast"}
)
"""Never exposed, whatever the configuration says (``pg_*`` neither)."""


def is_system_schema(name: str) -> bool:
    """True for schemas that no configuration may expose."""
    return name in SYSTEM_SCHEMAS or name.startswith("pg_")


def is_catalogue_schema(name: str) -> bool:
    """True for PostgreSQL's own schemas, which no mode exposes."""
    return name == "information_schema" or name.startswith("pg_")

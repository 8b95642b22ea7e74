"""What a database that is not ours tells about itself: the login and its rights, settings kept in it, a fingerprint of its schema.

Read only, as the authenticator's own login.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import psycopg
from psycopg import RawCursor

from fluxbase.db.instance import ClusterError
from fluxbase.db.peer_settings import RoleSettings, role_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.db.session import SystemSessions

OLDEST_VERSION = 150000


class PeerDatabaseError(ClusterError):
    """The database cannot be served; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Login:
    """The login and where it landed."""

    version: int
    name: str
    database: str
    is_superuser: bool
    has_bypassrls: bool


def check_login(conninfo: str, anon_role: str) -> Login:
    """Connect and check what serving needs. Raises PeerDatabaseError."""
    try:
        with psycopg.connect(conninfo, connect_timeout=10, cursor_factory=RawCursor) as connection:
            connection.read_only = True
            row = connection.execute(_sql("login").encode(), (anon_role,)).fetchone()
    except psycopg.Error as error:
        raise PeerDatabaseError(f"cannot connect to database.url: {str(error).strip().splitlines()[0]}") from None
    if row is None:
        raise PeerDatabaseError("the login of database.url is not a role")
    version, name, database, is_superuser, has_bypassrls, has_anon, may_assume_anon = row
    if version < OLDEST_VERSION:
        raise PeerDatabaseError(f"PostgreSQL {version // 10_000} is too old; 15 is the oldest that is served")
    if not has_anon:
        raise PeerDatabaseError(f"external.anon_role: there is no role {anon_role}; create role {anon_role} nologin")
    if not may_assume_anon:
        raise PeerDatabaseError(f"external.anon_role: {name} may not assume {anon_role}; grant {anon_role} to {name}")
    return Login(version, name, database, is_superuser, has_bypassrls)


def read_settings(conninfo: str) -> dict[str, str]:
    """``pgrst.*`` settings of the login role. Raises PeerDatabaseError."""
    try:
        with psycopg.connect(conninfo, connect_timeout=10) as connection:
            connection.read_only = True
            return dict(connection.execute(_sql("database_settings").encode()).fetchall())
    except psycopg.Error as error:
        raise PeerDatabaseError(f"cannot read the settings in the database: {str(error).strip().splitlines()[0]}") from None


def assumable_roles(conninfo: str) -> list[str]:
    """Roles the login may take. Raises PeerDatabaseError."""
    try:
        with psycopg.connect(conninfo, connect_timeout=10) as connection:
            connection.read_only = True
            return [row[0] for row in connection.execute(_sql("assumable_roles").encode()).fetchall()]
    except psycopg.Error as error:
        raise PeerDatabaseError(f"cannot read the roles: {str(error).strip().splitlines()[0]}") from None


async def read_role_settings(sessions: SystemSessions) -> dict[str, RoleSettings]:
    """``ALTER ROLE … SET`` of every role the login may assume. Raises Unavailable."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    async with sessions("peer", reason="read settings of roles") as tx:
        for role, name, value in await tx.fetch(_sql("role_settings")):
            pairs.setdefault(role, []).append((name, value))
    return {role: role_settings(found) for role, found in pairs.items()}


async def read_fingerprint(sessions: SystemSessions, schemas: Sequence[str]) -> str:
    """Changes with the exposed schemas. Raises Unavailable."""
    async with sessions("peer", reason="look for schema changes") as tx:
        ((fingerprint,),) = await tx.fetch(_sql("fingerprint"), list(schemas))
    return str(fingerprint)


def _sql(name: str) -> str:
    return (files("fluxbase") / "sql" / "peer" / f"{name}.sql").read_text(encoding="utf-8")

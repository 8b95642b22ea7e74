"""The settings of a database served as it is: what PostgREST sets, in the order PostgREST sets it.

The connection belongs to the authenticator's login, the caller's role is taken for the transaction (``set_config('role', …, true)``), so
PostgreSQL decides whether the login may assume it. Weaker than a managed database: SQL that runs for one role could take another role
of the login, and settings are not signed (docs/byo.md). What does hold: every setting is set on every request and ends with its
transaction, and a role's prepared statements are its own, so no plan made under another role's rights is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from fluxbase.db.settings import Mode, milliseconds
from fluxbase.kernel.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.db.connection import Connection
    from fluxbase.db.settings import RequestSettings, Statement
    from fluxbase.kernel.principal import Principal

_ISOLATION: dict[str, Statement] = {
    "repeatable read": ("set transaction isolation level repeatable read", ()),
    "serializable": ("set transaction isolation level serializable", ()),
}


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """``ALTER ROLE … SET`` of a role the login may assume; PostgreSQL itself applies them at login only."""

    isolation: str = ""
    timeout_ms: int = 0
    """``statement_timeout``; 0: none."""
    others: tuple[tuple[str, str], ...] = ()


NO_SETTINGS = RoleSettings()


def role_settings(pairs: list[tuple[str, str]]) -> RoleSettings:
    """From the catalogue's names and values."""
    values = dict(pairs)
    isolation = values.pop("default_transaction_isolation", "")
    timeout = values.pop("statement_timeout", "")
    return RoleSettings(isolation, milliseconds(timeout) if timeout else 0, tuple(sorted(values.items())))


class PeerSettings:
    """Implements ``SessionSettings`` for the authenticator's login."""

    is_role_for_life = False

    def __init__(
        self, login: str, *, role_settings: Mapping[str, RoleSettings], app_settings: Mapping[str, str], pre_request: str
    ) -> None:  # fmt: skip
        self._login = login
        self._role_settings = role_settings
        self._app_settings = tuple((f"app.settings.{name}", value) for name, value in app_settings.items())
        self._pre_request = pre_request
        """Quoted; empty: none."""

    def login_role(self, principal: Principal) -> str:  # noqa: ARG002 - SessionSettings
        """One login for all."""
        return self._login

    def opening(
        self,
        connection: Connection,  # noqa: ARG002 - SessionSettings
        principal: Principal,
        settings: RequestSettings,
        mode: Mode,
        timeout_ms: int,
        expected_epoch: int,  # noqa: ARG002 - SessionSettings
    ) -> list[Statement]:
        """Isolation level, settings, pre-request function. Raises DatabaseError for a role that cannot exist."""
        role = principal.role
        if role.lower() == "none":  # SET ROLE none would mean the login itself
            raise DatabaseError(f'role "{role}" does not exist', sqlstate="22023")
        own = self._role_settings.get(role, NO_SETTINGS)
        if own.timeout_ms and settings.timeout_ms is None:
            timeout_ms = min(timeout_ms, own.timeout_ms)
        before = own.others
        after = (*((("timezone", settings.timezone),) if settings.timezone is not None else ()), *settings.extra, *self._app_settings)
        params: list[bytes | None] = [settings.search_path.encode()]
        for name, value in before:
            params += (name.encode(), value.encode())
        params += [
            role.encode(),
            principal.claims_json.encode(),
            settings.method.encode(),
            settings.path_bytes,
            settings.headers_json.encode(),
            settings.cookies_json.encode(),
            b"%d" % timeout_ms,
            b"off" if mode is Mode.WRITE else b"on",
        ]
        for name, value in after:
            params += (name.encode(), value.encode())
        statements: list[Statement] = [(_statement(len(before), len(after)), params)]
        if own.isolation in _ISOLATION and not settings.isolation:
            statements.insert(0, _ISOLATION[own.isolation])
        if self._pre_request:
            statements.append((owned(role, f"select {self._pre_request}()"), ()))
        return statements

    def statement(self, principal: Principal, sql: str) -> str:
        """The request's statement as this role's own."""
        return owned(principal.role, sql)


def owned(role: str, sql: str) -> str:
    """The text under which a connection keeps a role's prepared statement apart from other roles'.

    A plan may depend on the role it was made for (row security; a function inlined after its EXECUTE right was checked).
    """
    return _mark(role) + sql


@lru_cache(maxsize=4096)
def _mark(role: str) -> str:
    return f"/* {sha256(role.encode('utf-8', 'surrogatepass')).hexdigest()[:16]} */ "


_FIXED = (
    "role", "request.jwt.claims", "request.method", "request.path", "request.headers", "request.cookies", "statement_timeout",
    "transaction_read_only",
)  # fmt: skip


@lru_cache(maxsize=256)
def _statement(before: int, after: int) -> str:
    """Only a few texts exist, so each is prepared once a connection."""
    sets, position = ["set_config('search_path',$1,true)"], 2
    for _ in range(before):
        sets.append(f"set_config(${position},${position + 1},true)")
        position += 2
    for name in _FIXED:
        sets.append(f"set_config('{name}',${position},true)")
        position += 1
    sets += ["set_config('response.headers','',true)", "set_config('response.status','',true)"]
    for _ in range(after):
        sets.append(f"set_config(${position},${position + 1},true)")
        position += 2
    return f"select {','.join(sets)},null"

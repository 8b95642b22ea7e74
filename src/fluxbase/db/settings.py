"""The settings statement: who asks, from where, and whether they still may. First in every transaction of a request.

Every ``request.*`` setting is set on every request, local to the transaction, so nothing of the one before can be seen
(threats F55, F56). ``fluxbase.admit`` raises when the credential is denied, the tenant frozen or the plan outdated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from fluxbase.db.sql import array_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.crypto.identity import IdentitySigner
    from fluxbase.db.connection import Connection
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

    Statement = tuple[str, Sequence[bytes | None] | None]

IDENTITY_LIFE_MS = 2000
ISOLATION_LEVELS = frozenset({"read uncommitted", "read committed", "repeatable read", "serializable"})
_UNITS_IN_MS = {"us": 0.001, "ms": 1.0, "": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}


class Mode(Enum):
    """What the statement may do, and so what is left to clean."""

    PLAIN_READ = "plain_read"
    FUNCTION_READ = "function_read"
    WRITE = "write"


_NAMES = (
    "request.jwt.claims", "fluxbase.identity", "request.method", "request.path", "request.headers", "request.cookies", "search_path",
    "app.current_tenant_id", "statement_timeout", "transaction_read_only", "role",
)  # fmt: skip
"""In the order of the parameters; the deny keys and the expected schema epoch follow, then time zone and extras."""
_SETS = ",".join(f"set_config('{name}',${position},true)" for position, name in enumerate(_NAMES, 1))
_DENY, _EPOCH, _FREE = len(_NAMES) + 1, len(_NAMES) + 2, len(_NAMES) + 3


def _statement(*, has_timezone: bool, extras: int) -> str:
    sets, position = [_SETS, "set_config('response.headers','',true)", "set_config('response.status','',true)"], _FREE
    if has_timezone:
        sets.append(f"set_config('timezone',${position},true)")
        position += 1
    for _ in range(extras):
        sets.append(f"set_config(${position},${position + 1},true)")
        position += 2
    return f"select {','.join(sets)},fluxbase.admit(${_DENY}::text[],${_EPOCH}::bigint)"


PLAIN = _statement(has_timezone=False, extras=0)
_WITH_TIMEZONE = _statement(has_timezone=True, extras=0)
_DENY_KEYS: dict[tuple[str, ...], bytes] = {(): b"{}"}
_MOST_DENY_KEYS = 10_000


@dataclass(slots=True)
class RequestSettings:
    """What SQL may know of the request. Made for one request, and frozen by nobody: a frozen dataclass costs twice as much to make."""

    method: str
    path: str
    headers_json: str
    cookies_json: str
    search_path: str
    timezone: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    """Further settings (``app.settings.*``), names from the configuration only."""
    timeout_ms: int | None = None
    """``statement_timeout`` of the function that is called, instead of the role's; 0: none."""
    claim: str | None = None
    """The attempt under an Idempotency-Key that this transaction carries out."""
    isolation: str = ""
    """Isolation level of the function that is called; empty: as the role has it."""

    @property
    def statement(self) -> str:
        """The settings statement for this combination; only a few texts exist, so each is prepared once a connection."""
        if not self.extra:
            return PLAIN if self.timezone is None else _WITH_TIMEZONE
        return _statement(has_timezone=self.timezone is not None, extras=len(self.extra))

    @property
    def path_bytes(self) -> bytes:
        """The path; a NUL, which no setting can hold, stays encoded."""
        return self.path.encode("utf-8", "replace").replace(b"\0", b"%00")

    def more(self) -> list[bytes | None]:
        """Parameters beyond the fixed ones."""
        values: list[bytes | None] = [] if self.timezone is None else [self.timezone.encode()]
        for name, value in self.extra:
            values += (name.encode(), value.encode())
        return values


def milliseconds(text: str) -> int:
    """A time as PostgreSQL's settings write it (``1500``, ``2s``, ``1min``); 0 when it is none."""
    number = text.strip().rstrip("usmindh ")
    unit = text.strip()[len(number) :].strip()
    try:
        return max(0, round(float(number) * _UNITS_IN_MS[unit]))
    except (ValueError, KeyError):
        return 0


def isolation_statement(level: str) -> Statement:
    """Sent first: once a transaction has looked at anything its level is fixed."""
    if level not in ISOLATION_LEVELS:
        raise ValueError(level)
    return f"set transaction isolation level {level}", ()


def deny_array(keys: tuple[str, ...]) -> bytes:
    """The denylist keys of a principal as an array constant; the same ones come back with every request of a session."""
    found = _DENY_KEYS.get(keys)
    if found is None:
        if len(_DENY_KEYS) >= _MOST_DENY_KEYS:
            _DENY_KEYS.clear()
            _DENY_KEYS[()] = b"{}"
        found = _DENY_KEYS[keys] = array_literal(keys).encode()
    return found


class SessionSettings(Protocol):
    """How a transaction learns who asks: signed (a database we manage) or as PostgREST sets it (``db/peer_settings.py``)."""

    @property
    def is_role_for_life(self) -> bool:
        """Whether a connection has one role; then a refused settings statement means that the connection is not what it must be."""
        ...

    def login_role(self, principal: Principal) -> str:
        """The role whose connections serve this caller."""
        ...

    def opening(
        self, connection: Connection, principal: Principal, settings: RequestSettings, mode: Mode, timeout_ms: int, expected_epoch: int
    ) -> list[Statement]:
        """The statements before the request's own, the settings first; their row ends with the epochs or null."""
        ...

    def statement(self, principal: Principal, sql: str) -> str:
        """The text under which the request's statement is prepared."""
        ...


class SignedSettings:
    """The settings of a database we manage: one login a role, identity signed for one backend and two seconds."""

    is_role_for_life = True

    def __init__(self, signer_of: Callable[[TenantId], IdentitySigner]) -> None:
        self._signer_of = signer_of

    def login_role(self, principal: Principal) -> str:
        """The caller's own role."""
        return principal.role

    def opening(
        self, connection: Connection, principal: Principal, settings: RequestSettings, mode: Mode, timeout_ms: int, expected_epoch: int
    ) -> list[Statement]:
        """One statement; it raises when the session is denied, the tenant frozen or the plan outdated."""
        signer = self._signer_of(principal.tenant)
        bound = connection.signer
        if bound is None or bound.signer is not signer:
            bound = connection.signer = signer.bind(connection.database, connection.role, connection.pid)
        claims = principal.claims_json.encode()
        params: list[bytes | None] = [
            claims,
            bound.sign(int(time.time() * 1000) + connection.clock_offset_ms + IDENTITY_LIFE_MS, claims),
            settings.method.encode(),
            settings.path_bytes,
            settings.headers_json.encode(),
            settings.cookies_json.encode(),
            settings.search_path.encode(),
            principal.tenant.encode(),
            b"%d" % timeout_ms,
            b"off" if mode is Mode.WRITE else b"on",
            connection.role_bytes,
            deny_array(principal.deny_keys),
            b"%d" % expected_epoch,
        ]
        if settings.timezone is not None or settings.extra:
            params += settings.more()
        return [(settings.statement, params)]

    def statement(self, principal: Principal, sql: str) -> str:  # noqa: ARG002 - SessionSettings
        """As it is: the connection serves no other role."""
        return sql

"""SQLSTATE → declared error; the only place that reads PostgreSQL's diagnostics (STYLE 2c).

Row values never leave (threat A6 of SQL error messages): DETAIL is dropped except where the schema's owner raised the
error himself, and a quoted word stays in a message only when it names an object or when the caller sent it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from fluxbase.db.raised import raised_error
from fluxbase.kernel.errors import (
    Conflict,
    DatabaseError,
    DeadlineExceeded,
    FluxbaseError,
    Forbidden,
    InvalidInput,
    Revoked,
    StalePlan,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

STALE_CLAIMS = "FB004"
FACTOR_REMOVED = "FB005"
OWN_SQLSTATES = frozenset({"FB001", "FB002", "FB003", STALE_CLAIMS, FACTOR_REMOVED, "FB006"})
"""Raised by ``fluxbase.admit``: denied, schema moved, frozen, claims outdated, factor removed, another factor needed."""
_SHOWN_CLASSES = frozenset({"0A", "0L", "0P", "21", "22", "23", "25", "28", "2D", "38", "39", "3B", "40", "42", "44", "54", "55", "P0"})
_CONFLICTS = frozenset({"23505", "23503", "23P01"})
_CONSTANT = "The database could not do this."
_UNAVAILABLE = {
    "08": "The database connection was lost.",
    "53": "The database is out of resources.",
    "57P": "The database is stopping or starting.",
}
_SUGGESTIONS = frozenset({"42703", "42P01", "42702", "42704"})
"""Their hints suggest names, also of what the caller may not use (threat E44)."""
_OBJECTS = (
    "constraint|relation|column|table|view|sequence|index|type|enum|domain|function|procedure|schema|role|parameter|encoding|operator|"
    "policy|trigger|variable|cursor|language|collation|extension|database"
)
_QUOTED = re.compile(rf'(?P<before>(?:\b(?:{_OBJECTS})s?|:)? ?)"(?P<value>(?:[^"]|"")*)"', re.IGNORECASE)


class Translate(Protocol):
    """Turns PostgreSQL's diagnostics into the error a client may see."""

    def __call__(
        self, sqlstate: str, message: str, detail: str | None = None, hint: str | None = None, params: Sequence[str | bytes | None] = (),
        *, is_raised: bool = False,
    ) -> FluxbaseError:  # fmt: skip
        """``is_raised``: by RAISE of a PL/pgSQL function."""
        ...


def unwritable(why: str = "A value is one that PostgreSQL cannot read or keep.") -> InvalidInput:
    """What a value gets that no column takes: half a surrogate pair, an escaped NUL in JSON, a number or date out of range."""
    return InvalidInput(why, code="invalid_value")


def nul_refused() -> FluxbaseError:
    """A NUL character in a value: PostgreSQL's own words for it (libpq would cut the value silently)."""
    return DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")


def translate(
    sqlstate: str,
    message: str,
    detail: str | None = None,
    hint: str | None = None,
    params: Sequence[str | bytes | None] = (),
    *,
    is_raised: bool = False,
) -> FluxbaseError:
    """The error a client may see. ``is_raised``: by RAISE of a PL/pgSQL function, so its author chose the text."""
    match sqlstate:
        case "FB001":
            return Revoked("JWT has been revoked", pgrst="PGRST303")
        case "FB002":
            return StalePlan("The schema moved.")
        case "FB003":
            return Unavailable("This tenant is frozen.", code="frozen")
        case "FB004":  # after several renewals
            return Unavailable("What you may do is being changed. Try again.", code="stale_claims")
        case "FB005" | "FB006":
            return Forbidden("Show your second factor first.", code="insufficient_aal")
        case "57014":
            return DeadlineExceeded("canceling statement due to statement timeout", sqlstate=sqlstate, code="statement_timeout")
        case "PGRST":
            return raised_error(message, detail)
        case _:
            pass
    kind = Conflict if sqlstate in _CONFLICTS else DatabaseError
    if is_raised or sqlstate == "P0001" or sqlstate.startswith("PT"):
        return kind(message, sqlstate=sqlstate, details=detail, hint=hint)
    for prefix, text in _UNAVAILABLE.items():
        if sqlstate.startswith(prefix):
            return Unavailable(text, pgrst="PGRST001", code="database_unavailable")
    if sqlstate[:2] not in _SHOWN_CLASSES:
        return DatabaseError(_CONSTANT, sqlstate=sqlstate)
    shown_hint = None if hint is None or sqlstate in _SUGGESTIONS else public_message(hint, params)
    return kind(public_message(message, params), sqlstate=sqlstate, hint=shown_hint)


def public_message(message: str, params: Sequence[str | bytes | None]) -> str:
    """Cut every quoted word that neither names an object nor was sent by the caller. In another language than English: every one."""
    sent: list[str] | None = None

    def keep(match: re.Match[str]) -> str:
        nonlocal sent
        before, value = match["before"], match["value"].replace('""', '"')
        if before.strip(" :"):
            return match[0]
        if sent is None:
            sent = [part if isinstance(part, str) else part.decode("utf-8", "replace") for part in params if part is not None]
        return match[0] if value and any(value in text for text in sent) else ""

    return _QUOTED.sub(keep, message).rstrip(" :")

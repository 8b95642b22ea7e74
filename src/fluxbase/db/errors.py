# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""SQLSTATE → declared error; the only place that reads PostgreSQL's diagnostics (STYLE 2c).

Row values never leave: DETAIL is dropped except where the schema's owner raised the error himself, and a value quoted
in a message stays only when the caller sent it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from fluxbase.kernel.errors import Conflict, DatabaseError, DeadlineExceeded, FluxbaseError, Revoked, StalePlan, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_CLASSES = ("22", "23", "42", "25", "21", "54")
_QUOTED_VALUE = re.compile(r': "((?:[^"]|"")*)"')
_CONSTANT = "The database could not do this."


def nul_refused() -> FluxbaseError:
    """A NUL character in a value: PostgreSQL's own words for it (libpq would cut the value silently)."""
    return DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")


def translate(
    sqlstate: str, message: str, detail: str | None, hint: str | None, params: Sequence[str | bytes | None] = (), *, is_raised: bool = False
) -> FluxbaseError:
    """The error a client may see."""
    if sqlstate == "FB001":
        return Revoked("JWT has been revoked", pgrst="PGRST303")
    if sqlstate == "FB002":
        return StalePlan("The schema moved.")
    if sqlstate == "FB003":
        return Unavailable("This tenant is frozen.", code="frozen")
    if sqlstate == "57014":
        return DeadlineExceeded("canceling statement due to statement timeout", sqlstate=sqlstate, code="statement_timeout")
    if sqlstate == "PGRST":
        return _raised_pgrst(message, detail)
    if sqlstate == "P0001" or sqlstate.startswith("PT"):
        return DatabaseError(message, sqlstate=sqlstate, details=detail, hint=hint)
    if sqlstate[:2] not in _SHOWN_CLASSES:
        return DatabaseError(_CONSTANT, sqlstate=sqlstate)
    kind = Conflict if sqlstate in {"23505", "23503"} else DatabaseError
    return kind(own_values_only(message, params), sqlstate=sqlstate, hint=hint if sqlstate in {"42501", "42883"} else None)


def own_values_only(message: str, params: Sequence[str | bytes | None]) -> str:
    """Cut a quoted value that the caller did not send."""

    def keep(match: re.Match[str]) -> str:
        value = match[1]
        sent = any(value and value in (p if isinstance(p, str) else p.decode("utf-8", "replace")) for p in params if p is not None)
        return match[0] if sent else ""

    return _QUOTED_VALUE.sub(keep, message)


def _raised_pgrst(message: str, detail: str | None) -> FluxbaseError:
    """``RAISE SQLSTATE 'PGRST'``: message and detail are JSON that the schema's owner wrote."""
    try:
        body = orjson.loads(message)
        response = orjson.loads(detail or "")
        return DatabaseError(
            str(body["message"]),
            sqlstate=str(body["code"]),
            details=body.get("details"),
            hint=body.get("hint"),
            status=int(response["status"]),
            headers=tuple((str(k).lower(), str(v)) for k, v in (response.get("headers") or {}).items()),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return DatabaseError(
            "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error", pgrst="PGRST121", status=500,
            hint="DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.",
        )  # fmt: skip

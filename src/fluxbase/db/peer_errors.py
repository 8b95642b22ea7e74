"""SQLSTATE → error for a database served as it is: PostgreSQL's own message, detail and hint, as PostgREST passes them on.

Row values and object names may leave with them: that is what users of such a database have now, and their tests compare it
(docs/byo.md). Never used for a managed database; ``db/errors.py`` is the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from fluxbase.kernel.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.kernel.errors import FluxbaseError

_FOR_MESSAGE = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
_FOR_DETAIL = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."


def translate_verbatim(
    sqlstate: str,
    message: str,
    detail: str | None = None,
    hint: str | None = None,
    params: Sequence[str | bytes | None] = (),  # noqa: ARG001 - the Translate protocol
    *,
    is_raised: bool = False,  # noqa: ARG001 - the Translate protocol
) -> FluxbaseError:
    """Everything PostgreSQL says."""
    if sqlstate == "PGRST":
        return _raised_pgrst(message, detail)
    return DatabaseError(message, sqlstate=sqlstate, details=detail, hint=hint)


def _raised_pgrst(message: str, detail: str | None) -> FluxbaseError:
    """``RAISE SQLSTATE 'PGRST'``: message and detail are JSON that decides the whole answer."""
    body = _object(message)
    if body is None or not isinstance(body.get("code"), str) or not isinstance(body.get("message"), str):
        return _malformed(f"Invalid JSON value for MESSAGE: '{message}'", _FOR_MESSAGE)
    if detail is None:
        return _malformed("DETAIL is missing in the RAISE statement", _FOR_DETAIL)
    response = _object(detail)
    headers = None if response is None else response.get("headers")
    status = None if response is None else response.get("status")
    if not isinstance(headers, dict) or not isinstance(status, int) or not 200 <= status <= 599:
        return _malformed(f"Invalid JSON value for DETAIL: '{detail}'", _FOR_DETAIL)
    named = cast("dict[str, Any]", headers)
    return DatabaseError(
        body["message"], sqlstate=body["code"], details=body.get("details"), hint=body.get("hint"), status=status,
        headers=tuple((name.lower(), str(value)) for name, value in named.items()),
    )  # fmt: skip


def _object(text: str) -> dict[str, Any] | None:
    try:
        value: object = orjson.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _malformed(details: str, hint: str) -> FluxbaseError:
    return DatabaseError(
        "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error", pgrst="PGRST121", status=500, details=details, hint=hint
    )

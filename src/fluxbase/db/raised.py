"""``RAISE SQLSTATE 'PGRST'``: an error whose message and detail are JSON that decides the whole answer (contract 1.10).

The schema's owner wrote it, so it is passed on whole; what does not have the form is PGRST121 and says what is wrong.
"""

from __future__ import annotations

import re
from typing import Any, cast

import orjson

from fluxbase.kernel.errors import DatabaseError, FluxbaseError

_FOR_MESSAGE = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
_FOR_DETAIL = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def raised_error(message: str, detail: str | None) -> FluxbaseError:
    """The error that the raise describes; PGRST121 when it does not."""
    body = _object(message)
    if body is None or not _is_text(body, "code", "message") or not _is_text(body, "details", "hint", is_optional=True):
        return _malformed(f"Invalid JSON value for MESSAGE: '{message}'", _FOR_MESSAGE)
    if detail is None:
        return _malformed("DETAIL is missing in the RAISE statement", _FOR_DETAIL)
    response = _object(detail)
    if response is None or not _is_response(response):
        return _malformed(f"Invalid JSON value for DETAIL: '{detail}'", _FOR_DETAIL)
    headers = cast("dict[str, str]", response["headers"])
    return DatabaseError(
        body["message"], sqlstate=body["code"], details=body.get("details"), hint=body.get("hint"), status=response["status"],
        headers=tuple((name.lower(), value) for name, value in headers.items()),
    )  # fmt: skip


def _object(text: str) -> dict[str, Any] | None:
    try:
        value: object = orjson.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_text(value: dict[str, Any], *names: str, is_optional: bool = False) -> bool:
    return all(isinstance(value.get(name), str) or (is_optional and value.get(name) is None) for name in names)


def _is_response(response: dict[str, Any]) -> bool:
    status, headers = response.get("status"), response.get("headers")
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599 or not isinstance(headers, dict):
        return False
    named = cast("dict[str, Any]", headers)
    return _is_text(response, "status_text", is_optional=True) and all(
        _TOKEN.fullmatch(name) and isinstance(value, str) and _VALUE.fullmatch(value) for name, value in named.items()
    )


def _malformed(details: str, hint: str) -> FluxbaseError:
    return DatabaseError(
        "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error", pgrst="PGRST121", status=500, details=details, hint=hint
    )

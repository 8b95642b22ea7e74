"""HTTP status and body of every declared error: one table, one renderer per dialect (STYLE 2c).

Nothing but declared public fields leaves. 42501 is 401 for ``anon`` and 403 for a known role (PostgREST's rule);
SQLSTATE classes follow PostgREST's table (contract-supabase 1.10).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import orjson

from fluxbase.kernel.errors import FluxbaseError, Internal, Kind, RateLimited, UnknownRoute
from fluxbase.kernel.ids import ANON
from fluxbase.web.auth_errors import AUTH_ERRORS, gotrue_of
from fluxbase.web.context import Dialect
from fluxbase.web.rate_limit_fields import fields

if TYPE_CHECKING:
    from fluxbase.kernel.principal import Principal


class Renderer(Protocol):
    """Status, headers and body of a declared error."""

    def __call__(
        self, error: FluxbaseError, dialect: Dialect, principal: Principal | None, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Called once for each error that leaves."""
        ...


STATUS_OF_KIND: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.AMBIGUOUS: 300,
    Kind.NOT_ACCEPTABLE: 406,
    Kind.METHOD: 405,
    Kind.RANGE: 416,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED_MEDIA: 415,
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE: 504,
    Kind.INTERNAL: 500,
}

_EXACT_SQLSTATE = {
    "21000": 500,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "53400": 500,
    "57P01": 503,
    "57014": 504,
    "P0001": 400,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
}
_CLASS_SQLSTATE = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500,
    "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0": 500, "XX": 500,
}  # fmt: skip

_NATIVE_CODE_OF_KIND: dict[Kind, str] = {
    Kind.INVALID: "INVALID_INPUT",
    Kind.UNAUTHENTICATED: "INVALID_TOKEN",
    Kind.FORBIDDEN: "ACCESS_DENIED",
    Kind.NOT_FOUND: "NOT_FOUND",
    Kind.CONFLICT: "CONFLICT",
    Kind.AMBIGUOUS: "INVALID_INPUT",
    Kind.NOT_ACCEPTABLE: "INVALID_INPUT",
    Kind.METHOD: "INVALID_INPUT",
    Kind.RANGE: "INVALID_INPUT",
    Kind.TOO_LARGE: "INVALID_INPUT",
    Kind.UNSUPPORTED_MEDIA: "INVALID_INPUT",
    Kind.RATE_LIMITED: "RATE_LIMIT_EXCEEDED",
    Kind.UNAVAILABLE: "DATABASE_ERROR",
    Kind.DEADLINE: "OPERATION_FAILED",
    Kind.INTERNAL: "INTERNAL_ERROR",
}
_NATIVE_CODE_OF_SQLSTATE = {
    "23505": "DUPLICATE_KEY",
    "23503": "FOREIGN_KEY_VIOLATION",
    "23502": "NOT_NULL_VIOLATION",
    "23514": "CHECK_VIOLATION",
    "42501": "RLS_POLICY_VIOLATION",
    "22P02": "INVALID_FORMAT",
    "PT429": "TOO_MANY_REQUESTS",
}

_NATIVE_CODE_OF_CODE = {
    "revoked": "REVOKED_TOKEN",
    "csrf_failed": "CSRF_FAILED",
    "cross_origin_refused": "CSRF_FAILED",
    "missing_credential": "MISSING_AUTHENTICATION",
    "token_expired": "EXPIRED_TOKEN",
    "bad_body": "INVALID_REQUEST_BODY",
    "bad_query_body": "INVALID_REQUEST_BODY",
    "batch_too_large": "VALIDATION_FAILED",
    "nul_in_json": "INVALID_FORMAT",
    "service_role_required": "INSUFFICIENT_PERMISSIONS",
    "idempotency_key_too_long": "IDEMPOTENCY_KEY_TOO_LONG",
}
"""What a code of ours is called on this wire, where the family's name says too little."""

JSON = b"application/json; charset=utf-8"


_NATIVE_STATUS: dict[tuple[Kind, str | None], int] = {
    (Kind.INVALID, "42883"): 400,  # an operator that the column's type does not have; an unknown function is found out before
    (Kind.AMBIGUOUS, None): 400,
    (Kind.NOT_ACCEPTABLE, None): 400,
}
"""Where this dialect differs from PostgREST's statuses."""


def limit_of(error: FluxbaseError) -> str:
    """The name of the limit that a request went over; empty for any other error."""
    return error.quotas[0].name if isinstance(error, RateLimited) and error.quotas else ""


def status_of(error: FluxbaseError, principal: Principal | None) -> int:
    """The HTTP status of an error for this caller."""
    if error.status is not None:
        return error.status
    state = error.sqlstate
    if state is None:
        return STATUS_OF_KIND[error.kind]
    if state == "42501":
        return 401 if principal is None or principal.role == ANON else 403
    if state.startswith("PT"):
        wanted = state[2:]
        return int(wanted) if wanted.isascii() and wanted.isdigit() and 200 <= int(wanted) <= 599 else 500
    return _status_by_message(state, error.message) or _EXACT_SQLSTATE.get(state) or _CLASS_SQLSTATE.get(state[:2]) or 400


def _status_by_message(state: str, message: str) -> int | None:
    """Three SQLSTATEs mean something else by their text."""
    match state:
        case "21000" if message.endswith("requires a WHERE clause"):  # the extension safeupdate
            return 400
        case "22023" if message.startswith("role ") and message.endswith("does not exist"):  # the role of a token
            return 401
        case "42883" if message.startswith("function xmlagg("):  # PostgreSQL without XML
            return 406
        case _:
            return None


def render(
    error: FluxbaseError, dialect: Dialect, principal: Principal | None, request_id: str
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error in the dialect of the path."""
    status = status_of(error, principal)
    if dialect is Dialect.NATIVE:
        status = _NATIVE_STATUS.get((error.kind, error.sqlstate), status)
        status = AUTH_ERRORS[error.code][1] if error.code in AUTH_ERRORS else status
    auth_code = error.code
    if dialect in (Dialect.AUTH, Dialect.AUTH_2024):
        status, auth_code = gotrue_of(error, status)
    headers = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in error.headers]
    if isinstance(error, RateLimited):
        headers += fields(error.quotas, with_x=error.has_x_fields).items()
    if status == 401 and not any(name == b"www-authenticate" for name, _ in headers):
        headers.append((b"www-authenticate", _challenge(error)))
    if dialect is Dialect.REST:
        code = error.pgrst or error.sqlstate or REST_CODE_OF_KIND.get(error.kind, "PGRSTX00")
        headers.append((b"proxy-status", b"PostgREST; error=" + _UNSAFE.sub("?", code).encode("ascii")))
        payload: dict[str, object] = {"code": code, "message": error.message, "details": error.details, "hint": error.hint}
    elif dialect in (Dialect.AUTH, Dialect.AUTH_2024):
        is_dated = dialect is Dialect.AUTH_2024
        payload = (
            {"code": auth_code, "message": error.message} if is_dated else {"code": status, "error_code": auth_code, "msg": error.message}
        )
        if error.code == "weak_password":
            payload["weak_password"] = error.details
        headers.append((b"x-sb-error-code", auth_code.encode("ascii", "replace")))
    else:
        payload = native_body(error, request_id)
    headers.append((b"content-type", JSON))
    return status, headers, orjson.dumps(payload)


_UNSAFE = re.compile(r"[^\x21-\x7e]")
"""A raised code may be any text; a header may not."""


def _challenge(error: FluxbaseError) -> bytes:
    """RFC 6750: no error attribute where no token was sent or the token is good and its role may not do this."""
    if error.sqlstate is not None or error.pgrst == "PGRST302" or error.code in ("unauthenticated", "missing_credential"):
        return b"Bearer"
    words = error.message.replace("\\", "").replace('"', "'").encode("ascii", "replace")
    return b'Bearer error="invalid_token", error_description="' + words + b'"'


REST_CODE_OF_KIND = {
    Kind.UNAUTHENTICATED: "PGRST301",
    Kind.NOT_FOUND: "PGRST125",
    Kind.METHOD: "PGRST117",
    Kind.INVALID: "PGRST100",
    Kind.UNAVAILABLE: "PGRST001",
    Kind.DEADLINE: "PGRST003",
    Kind.TOO_LARGE: "PGRST102",
    Kind.UNSUPPORTED_MEDIA: "PGRST102",
    Kind.FORBIDDEN: "42501",
    Kind.RATE_LIMITED: "FB429",
}


def native_body(error: FluxbaseError, request_id: str) -> dict[str, object]:
    """The one error shape of the native dialect (contract-native 2.1); ``error`` is a sentence for people."""
    own = AUTH_ERRORS.get(error.code)
    code = (
        _NATIVE_CODE_OF_SQLSTATE.get(error.sqlstate or "")
        or (own and own[2])
        or _NATIVE_CODE_OF_CODE.get(error.code)
        or _NATIVE_CODE_OF_KIND[error.kind]
    )
    payload: dict[str, object] = {"error": error.message, "code": code, "request_id": request_id}
    if isinstance(error, UnknownRoute):
        payload |= {"error": "Not Found", "path": error.path}
    if error.details is not None:
        payload["details"] = error.details
    if error.hint is not None:
        payload["hint"] = error.hint
    retry = getattr(error, "retry_after_seconds", None)
    if retry is not None:
        payload["message"] = error.message
        payload["retry_after"] = retry
    return payload


def constant_internal() -> Internal:
    """What a client learns of an exception nobody declared: nothing but that it happened."""
    return Internal("Something went wrong on our side. The request id leads to the log entry.", pgrst="PGRSTX00")

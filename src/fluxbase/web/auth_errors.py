"""What errors of accounts are on the two wires: one table, code → status and code of GoTrue, status and code of ours.

GoTrue's names are our codes (contract-supabase 2.2); the native ones are contract-native 2.1's. An error that is not listed
keeps the status of its family, on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.errors import Kind

if TYPE_CHECKING:
    from fluxbase.kernel.errors import FluxbaseError

AUTH_ERRORS: dict[str, tuple[int, int, str]] = {
    "account_locked": (400, 403, "ACCOUNT_LOCKED"),
    "anonymous_provider_disabled": (422, 403, "SIGNUP_DISABLED"),
    "bad_json": (400, 400, "INVALID_REQUEST_BODY"),
    "conflict": (409, 409, "CONFLICT"),
    "current_password_invalid": (400, 400, "INVALID_CREDENTIALS"),
    "email_exists": (422, 400, "INVALID_INPUT"),
    "email_not_confirmed": (400, 403, "EMAIL_NOT_VERIFIED"),
    "email_provider_disabled": (422, 403, "PASSWORD_LOGIN_DISABLED"),
    "invalid_credentials": (400, 401, "INVALID_CREDENTIALS"),
    "mail_not_configured": (400, 400, "SMTP_NOT_CONFIGURED"),
    "not_admin": (403, 403, "ADMIN_REQUIRED"),
    "reauthentication_needed": (400, 400, "INVALID_INPUT"),
    "reauthentication_not_valid": (422, 400, "INVALID_INPUT"),
    "refresh_token_already_used": (400, 401, "INVALID_TOKEN"),
    "refresh_token_not_found": (400, 401, "INVALID_TOKEN"),
    "same_password": (422, 400, "INVALID_INPUT"),
    "session_expired": (400, 401, "SESSION_EXPIRED"),
    "session_not_found": (403, 401, "REVOKED_TOKEN"),
    "signup_disabled": (422, 403, "SIGNUP_DISABLED"),
    "unknown_session": (404, 404, "NOT_FOUND"),
    "unsupported_grant_type": (400, 400, "INVALID_INPUT"),
    "user_already_exists": (422, 400, "INVALID_INPUT"),
    "user_banned": (400, 403, "ACCESS_DENIED"),
    "user_not_found": (403, 401, "INVALID_TOKEN"),
    "unknown_user": (404, 404, "NOT_FOUND"),
    "validation_failed": (400, 400, "VALIDATION_FAILED"),
    "weak_password": (422, 400, "INVALID_INPUT"),
}

_GOTRUE: dict[str, tuple[int, str]] = {
    "invalid_request_body": (400, "validation_failed"),
    "missing_credential": (401, "no_authorization"),
    "revoked": (403, "session_not_found"),
    "service_role_required": (403, "not_admin"),
    "user_required": (401, "no_authorization"),
    "rate_limited": (429, "over_request_rate_limit"),
    "body_too_large": (413, "request_entity_too_large"),
    "unknown_user": (404, "user_not_found"),
    "invalid_key": (401, "no_authorization"),
}
"""Where GoTrue has another name for one of our codes."""
_GOTRUE_OF_KIND: dict[Kind, tuple[int, str]] = {
    Kind.UNAUTHENTICATED: (403, "bad_jwt"),
    Kind.INTERNAL: (500, "unexpected_failure"),
    Kind.DEADLINE: (504, "request_timeout"),
}


def gotrue_of(error: FluxbaseError, status: int) -> tuple[int, str]:
    """Status and code under /auth/v1."""
    if error.code in _GOTRUE:
        return _GOTRUE[error.code]
    if error.code in AUTH_ERRORS:
        return error.status or AUTH_ERRORS[error.code][0], error.code
    return _GOTRUE_OF_KIND.get(error.kind, (status, error.code))

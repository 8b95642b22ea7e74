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
    "bad_code_verifier": (400, 400, "INVALID_TOKEN"),
    "bad_id_token": (400, 400, "INVALID_TOKEN"),
    "bad_json": (400, 400, "INVALID_REQUEST_BODY"),
    "bad_oauth_callback": (400, 400, "INVALID_INPUT"),
    "bad_oauth_state": (400, 400, "INVALID_TOKEN"),
    "bad_redirect": (400, 400, "INVALID_REDIRECT_URL"),
    "captcha_expired": (400, 400, "CHALLENGE_EXPIRED"),
    "captcha_failed": (400, 400, "CAPTCHA_INVALID"),
    "captcha_required": (400, 400, "CAPTCHA_REQUIRED"),
    "captcha_used": (400, 400, "CHALLENGE_CONSUMED"),
    "conflict": (409, 409, "CONFLICT"),
    "current_password_invalid": (400, 400, "INVALID_CREDENTIALS"),
    "email_exists": (422, 400, "INVALID_INPUT"),
    "email_not_confirmed": (400, 403, "EMAIL_NOT_VERIFIED"),
    "email_provider_disabled": (422, 403, "PASSWORD_LOGIN_DISABLED"),
    "flow_state_not_found": (404, 400, "INVALID_TOKEN"),
    "hook_failed": (500, 500, "OPERATION_FAILED"),
    "hook_rejected": (403, 403, "ACCESS_DENIED"),
    "identity_already_exists": (422, 409, "ALREADY_EXISTS"),
    "identity_not_found": (422, 404, "NOT_FOUND"),
    "insufficient_aal": (403, 403, "INSUFFICIENT_PERMISSIONS"),
    "invalid_credentials": (400, 401, "INVALID_CREDENTIALS"),
    "invalid_endpoint": (400, 400, "INVALID_ENDPOINT"),
    "invalid_ticket": (401, 401, "INVALID_TOKEN"),
    "link_expired": (403, 400, "TOKEN_EXPIRED"),
    "link_invalid": (403, 400, "INVALID_TOKEN"),
    "link_used": (403, 400, "TOKEN_USED"),
    "mail_not_configured": (400, 400, "SMTP_NOT_CONFIGURED"),
    "mfa_challenge_expired": (422, 400, "CHALLENGE_EXPIRED"),
    "mfa_factor_name_conflict": (422, 400, "ALREADY_EXISTS"),
    "mfa_factor_not_found": (404, 404, "NOT_FOUND"),
    "mfa_phone_enroll_not_enabled": (422, 400, "FEATURE_DISABLED"),
    "mfa_totp_enroll_not_enabled": (422, 400, "FEATURE_DISABLED"),
    "mfa_verification_failed": (422, 400, "INVALID_CREDENTIALS"),
    "mfa_webauthn_enroll_not_enabled": (422, 400, "FEATURE_DISABLED"),
    "not_admin": (403, 403, "ADMIN_REQUIRED"),
    "oauth_token_not_found": (404, 404, "NOT_FOUND"),
    "otp_disabled": (422, 403, "ACCESS_DENIED"),
    "otp_expired": (403, 401, "INVALID_CREDENTIALS"),
    "passkey_disabled": (404, 404, "FEATURE_DISABLED"),
    "provider_disabled": (400, 400, "INVALID_INPUT"),
    "provider_refused": (400, 400, "INVALID_INPUT"),
    "reauthentication_needed": (400, 400, "INVALID_INPUT"),
    "reauthentication_not_valid": (422, 400, "INVALID_INPUT"),
    "refresh_token_already_used": (400, 401, "INVALID_TOKEN"),
    "refresh_token_not_found": (400, 401, "INVALID_TOKEN"),
    "same_password": (422, 400, "INVALID_INPUT"),
    "saml_assertion_invalid": (400, 400, "INVALID_TOKEN"),
    "session_expired": (400, 401, "SESSION_EXPIRED"),
    "session_not_found": (403, 401, "REVOKED_TOKEN"),
    "signup_disabled": (422, 403, "SIGNUP_DISABLED"),
    "single_identity_not_deletable": (422, 400, "INVALID_INPUT"),
    "sso_provider_not_found": (404, 404, "NOT_FOUND"),
    "too_many_enrolled_mfa_factors": (422, 400, "VALIDATION_FAILED"),
    "too_many_passkeys": (422, 400, "VALIDATION_FAILED"),
    "unknown_session": (404, 404, "NOT_FOUND"),
    "unknown_user": (404, 404, "NOT_FOUND"),
    "unsupported_grant_type": (400, 400, "INVALID_INPUT"),
    "user_already_exists": (422, 400, "INVALID_INPUT"),
    "user_banned": (400, 403, "ACCESS_DENIED"),
    "user_not_found": (403, 401, "INVALID_TOKEN"),
    "validation_failed": (400, 400, "VALIDATION_FAILED"),
    "weak_password": (422, 400, "INVALID_INPUT"),
    "webauthn_challenge_not_found": (400, 400, "CHALLENGE_INVALID"),
    "webauthn_credential_exists": (422, 409, "ALREADY_EXISTS"),
    "webauthn_credential_not_found": (404, 404, "NOT_FOUND"),
    "webauthn_verification_failed": (400, 400, "INVALID_CREDENTIALS"),
}

_GOTRUE: dict[str, tuple[int, str]] = {
    "invalid_request_body": (400, "validation_failed"),
    "link_expired": (403, "otp_expired"),
    "link_invalid": (403, "otp_expired"),
    "link_used": (403, "otp_expired"),
    "missing_credential": (401, "no_authorization"),
    "revoked": (403, "session_not_found"),
    "service_role_required": (403, "not_admin"),
    "user_required": (401, "no_authorization"),
    "rate_limited": (429, "over_request_rate_limit"),
    "body_too_large": (413, "request_entity_too_large"),
    "unknown_user": (404, "user_not_found"),
    "bad_redirect": (400, "validation_failed"),
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

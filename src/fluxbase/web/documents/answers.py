"""What the routes of the control plane answer when all is well, by name: status and media type.

FastAPI knows neither, because our endpoints return finished responses. tests/meta/test_answers.py reads the endpoints and
compares; tests/property/test_whole_openapi.py asks the server.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
JSON, HTML, SAML = "application/json", "text/html", "application/samlmetadata+xml"
NOTHING = ()
DEFAULT: dict[str, tuple[str, ...]] = {"200": (JSON,)}

_ALIKE: tuple[tuple[dict[str, tuple[str, ...]], tuple[str, ...]], ...] = (
    ({"200": (JSON,), "503": (JSON,)}, ("health", "ready", "root")),
    (
        {"201": (JSON,)},
        (
            "tenants.create", "auth.signup.post", "auth.signin.anonymous.post", "admin.users.post", "client_keys.create",
            "service_keys.create", "service_keys.rotate", "orgs.create", "orgs.add_member", "orgs.create_team", "platform.setup",
            "invitations.accept", "invitations.create", "tenant_admins.assign", "dashboard.signup",
            "tenant_members.assign", "admin.users.invite",
        ),
    ),
    (
        {"204": NOTHING},
        (
            "tenants.delete", "auth.sessions.{session}.delete", "gotrue.logout.post", "gotrue.passkeys_remove", "auth.passkeys_remove",
            "gotrue.admin_passkeys_delete", "roles.delete", "client_keys.delete", "service_keys.delete", "orgs.delete",
            "orgs.remove_member", "orgs.delete_team", "orgs.join_team", "orgs.leave_team", "invitations.delete", "tenant_admins.unassign",
            "tenant_members.unassign", "tenant_settings.delete",
        ),
    ),
    ({"302": NOTHING}, ("gotrue.authorize", "gotrue.callback", "gotrue.sso_start", "gotrue.saml_slo", "auth.saml_slo")),
    ({"303": NOTHING}, ("gotrue.callback_post", "gotrue.saml_acs", "auth.oauth_logged_out", "auth.saml_slo_post")),
    ({"200": (JSON,), "303": NOTHING}, ("auth.saml_acs", "gotrue.sso")),
    ({"200": (SAML,)}, ("auth.saml_metadata", "gotrue.saml_metadata")),
    ({"200": (JSON,), "302": NOTHING}, ("gotrue.identity_link",)),
    ({"200": (JSON,), "404": (JSON,)}, ("auth.oauth_token",)),
    (
        {"200": (JSON,), "501": (JSON,)},  # a phone number
        (
            "auth.magiclink.post", "auth.password.reset.post", "auth.verify-email.resend.post", "auth.otp.signin.post",
            "auth.otp.verify.post", "auth.otp.resend.post",
        ),
    ),
    ({"200": (HTML,)}, ("gotrue.verify.get", "dashboard.reset-password.get")),
    ({"200": (HTML,), "403": (JSON, HTML)}, ("dashboard.reset-password.post",)),
    ({"200": (JSON, HTML), "303": NOTHING, "403": (JSON, HTML)}, ("gotrue.verify.post",)),
)  # fmt: skip
ANSWERS = {name: answers for answers, names in _ALIKE for name in names}
"""Whatever is not named answers DEFAULT."""


def responses_of(name: str) -> Json:
    """The responses of one route as OpenAPI writes them."""
    return {status: _response(status, media_types) for status, media_types in ANSWERS.get(name, DEFAULT).items()}


def _response(status: str, media_types: tuple[str, ...]) -> Json:
    found: Json = {"description": {"2": "OK", "3": "Led on"}.get(status[0], "Not now")}
    if media_types:
        found["content"] = {name: {"schema": {} if name == JSON else {"type": "string"}} for name in media_types}
    return found

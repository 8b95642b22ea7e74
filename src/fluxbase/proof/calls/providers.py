"""Identity providers and SAML. None is configured in the proof, so that each route answers with its refusal: what is proven is that
credentials, headers and ids of another tenant change nothing about it."""

from __future__ import annotations

from fluxbase.proof.call import NOBODY, USER, Call

_NONE = "no identity provider is configured"
_OWN = "the planted user has no identity"
_REFUSED = (400, 401, 403, 404, 422)
_NATIVE = "/api/v1/auth"
_GOTRUE = "/auth/v1"


def _entry(method: str, path: str, body: object = None, *, status: tuple[int, ...] = _REFUSED) -> tuple[Call, ...]:
    return (Call(method, path, by=NOBODY, body=body, status=status, shows="", because=_NONE),)


def _own(method: str, path: str, body: object = None, *, status: tuple[int, ...] = _REFUSED) -> tuple[Call, ...]:
    return (Call(method, path, by=USER, body=body, status=status, shows="", because=_OWN),)


CALLS: dict[str, tuple[Call, ...]] = {
    "auth.oauth_providers": _entry("GET", f"{_NATIVE}/oauth/providers", status=(200,)),
    "auth.oauth_authorize": _entry("GET", f"{_NATIVE}/oauth/google/authorize"),
    "auth.oauth_callback": _entry("GET", f"{_NATIVE}/oauth/google/callback?code=x&state=y"),
    "auth.oauth_token": _own("GET", f"{_NATIVE}/oauth/google/token"),
    "auth.oauth_logout": _own("POST", f"{_NATIVE}/oauth/google/logout", {}),
    "auth.oauth_logged_out": _entry("GET", f"{_NATIVE}/oauth/google/logout/callback"),
    "auth.saml_slo": _entry("GET", f"{_NATIVE}/saml/slo?SAMLRequest=x"),
    "auth.saml_slo_post": _entry("POST", f"{_NATIVE}/saml/slo", {}),
    "auth.config": _entry("GET", f"{_NATIVE}/config", status=(200,)),
    "auth.signin_idtoken": _entry("POST", f"{_NATIVE}/signin/idtoken", {"provider": "google", "token": "x"}),
    "auth.identities": _own("GET", f"{_NATIVE}/user/identities", status=(200, *_REFUSED)),
    "auth.identity_link": _own("POST", f"{_NATIVE}/user/identities", {"provider": "google"}),
    "auth.identity_unlink": _own("DELETE", f"{_NATIVE}/user/identities/{{row}}"),
    "gotrue.authorize": _entry("GET", f"{_GOTRUE}/authorize?provider=google"),
    "gotrue.callback": _entry("GET", f"{_GOTRUE}/callback?code=x&state=y"),
    "gotrue.callback_post": _entry("POST", f"{_GOTRUE}/callback", {}),
    "gotrue.identity_link": _own("GET", f"{_GOTRUE}/user/identities/authorize?provider=google"),
    "gotrue.identity_unlink": _own("DELETE", f"{_GOTRUE}/user/identities/{{row}}"),
    "auth.saml_providers": _entry("GET", f"{_NATIVE}/saml/providers", status=(200,)),
    "auth.saml_metadata": _entry("GET", f"{_NATIVE}/saml/metadata/corp"),
    "auth.saml_login": _entry("GET", f"{_NATIVE}/saml/login/corp"),
    "auth.saml_acs": _entry("POST", f"{_NATIVE}/saml/acs", {"saml_response": "x", "relay_state": "y"}),
    "auth.saml_logout": _own("GET", f"{_NATIVE}/saml/logout/corp"),
    "gotrue.sso": _entry("POST", f"{_GOTRUE}/sso", {"domain": "corp.test"}),
    "gotrue.sso_start": _entry("GET", f"{_GOTRUE}/sso?flow=x"),
    "gotrue.saml_metadata": _entry("GET", f"{_GOTRUE}/saml/metadata", status=(200,)),
    "gotrue.saml_acs": _entry("POST", f"{_GOTRUE}/saml/acs", {}),
    "gotrue.saml_slo": _entry("GET", f"{_GOTRUE}/saml/slo?SAMLRequest=x"),
}

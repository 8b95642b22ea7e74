"""/api/v1/auth/saml (contract-native 1.1, 2.4). The identity provider posts to GoTrue's path, which our metadata names; a page that
got the answer itself posts it here as JSON, from the browser that began (its cookie must come along)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from fluxbase.auth.providers.flows import Wanted
from fluxbase.kernel.access import CONTROL_PLANE, PROVIDER, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.shapes import entered

if TYPE_CHECKING:
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.saml_surface import SamlSurface

ROOT = "/api/v1/auth/saml"
Name = Annotated[str, Path(max_length=40)]
Text = Annotated[str, Query(max_length=2000)]
_NO_STORE = {"cache-control": "no-store"}
MOST_FORM_FIELDS = 20


class NativeSaml:
    """Translates; every rule is in ``auth/saml/``."""

    def __init__(self, surface: SamlSurface) -> None:
        self._surface = surface

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        use, known, own = "auth:provider:use", "auth:settings:read", "auth:identity:write"
        for method, path, endpoint, access, limit, name, permission in (
            ("GET", "providers", self.providers, Access.ENTRY, CONTROL_PLANE, "auth.saml_providers", known),
            ("GET", "metadata/{provider}", self.metadata, Access.PUBLIC, CONTROL_PLANE, "auth.saml_metadata", known),
            ("GET", "login/{provider}", self.login, Access.ENTRY, PROVIDER, "auth.saml_login", use),
            ("POST", "acs", self.answer, Access.ENTRY, PROVIDER, "auth.saml_acs", use),
            ("GET", "slo", self.single_logout, Access.ENTRY, PROVIDER, "auth.saml_slo", use),
            ("POST", "slo", self.posted_logout, Access.ENTRY, PROVIDER, "auth.saml_slo_post", use),
            ("GET", "logout/{provider}", self.log_out, Access.USER, CONTROL_PLANE, "auth.saml_logout", own),
        ):
            control.add(method, f"{ROOT}/{path}", endpoint, access=access, limit=limit, name=name, permission=permission)

    async def single_logout(self, request: Request) -> Response:
        """Begun by the identity provider, or its answer to ours (HTTP-Redirect)."""
        return RedirectResponse(await self._surface.logged_out(tenant_of(request, self._surface.registry), request), 302, _NO_STORE)

    async def posted_logout(self, request: Request) -> Response:
        """Its answer to ours, by form. Its own request comes by HTTP-Redirect, as our metadata says, where its signature is checked."""
        form = await request.form(max_files=0, max_fields=MOST_FORM_FIELDS)
        if "SAMLRequest" in form or "SAMLResponse" not in form:
            raise AuthError("Single logout is asked for by HTTP-Redirect.", code="validation_failed")
        return RedirectResponse(self._surface.public_url, 303, _NO_STORE)

    async def providers(self) -> JSONResponse:
        """What is offered."""
        listed = [
            {
                "id": name, "name": each.display_name or name, "provider": name, "display_name": each.display_name or name, "enabled": True,
                "entity_id": each.entity_id, "sso_url": each.sso_url, **({"slo_url": each.slo_url} if each.slo_url else {}),
            }
            for name, each in self._surface.providers.providers.items()
        ]  # fmt: skip
        return JSONResponse({"providers": listed})

    async def metadata(self, provider: Name) -> Response:
        """Our metadata; the same for every provider."""
        self._surface.providers.get(provider)
        return Response(self._surface.providers.metadata(), media_type="application/samlmetadata+xml")

    async def login(
        self, provider: Name, request: Request, redirect_url: Text = "", redirect_to: Text = "", code_challenge: Text = "",
        code_challenge_method: Text = "",
    ) -> JSONResponse:  # fmt: skip
        """Where to send the browser."""
        wanted = Wanted(provider, redirect_url or redirect_to or None, (), code_challenge or None, code_challenge_method or None)
        token = await self._surface.flows.begin(tenant_of(request, self._surface.registry), wanted)
        return JSONResponse({"url": self._surface.start_url(token), "provider": provider}, headers=_NO_STORE)

    async def answer(self, request: Request) -> Response:
        """A form is redirected on like GoTrue's; JSON is answered with the session."""
        device = device_of(context_of(request.scope))
        is_form = "json" not in request.headers.get("content-type", "")
        values: dict[str, Any] = dict(await request.form(max_files=0, max_fields=MOST_FORM_FIELDS)) if is_form else await _object(request)
        encoded = values.get("SAMLResponse") or values.get("saml_response")
        state = values.get("RelayState") or values.get("relay_state")
        if not isinstance(encoded, str) or not isinstance(state, str):
            raise AuthError("saml_response and relay_state are required: sign-in begins here.", code="validation_failed")
        url = await self._surface.flows.answer(encoded, state, self._surface.cookie.read(request), device)
        if is_form:
            return RedirectResponse(url, 303, _NO_STORE)
        code = _code_of(url)
        if code is None:
            raise AuthError("The identity provider's answer is not valid for this sign-in.", code="saml_assertion_invalid")
        verifier = values.get("code_verifier")
        tenant = tenant_of(request, self._surface.registry)
        got = await self._surface.oauth.redeem(tenant, code, verifier if isinstance(verifier, str) else None, device)
        return JSONResponse({**entered(got.found), "is_new_user": got.is_new_user}, headers=_NO_STORE)

    async def log_out(self, provider: Name, request: Request) -> JSONResponse:
        """Where the browser ends its session at the identity provider."""
        caller = caller_of(request)
        if caller.user_id is None:
            raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
        url = await self._surface.flows.logout_url(tenant_of(request, self._surface.registry), caller.user_id, provider)
        return JSONResponse({"provider": provider, "saml_logout": url is not None, "slo_url": url}, headers=_NO_STORE)


async def _object(request: Request) -> dict[str, Any]:
    try:
        found = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise AuthError("The body is not valid JSON.", code="bad_json") from None
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _code_of(url: str) -> str | None:
    from urllib.parse import parse_qs, urlsplit

    return next(iter(parse_qs(urlsplit(url).query).get("code", [])), None)

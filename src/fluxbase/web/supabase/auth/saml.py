"""GoTrue: /sso and /saml (contract-supabase 2.2). The start link leaves the cookie, the answer comes back as a cross-site POST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.providers.flows import Wanted
from fluxbase.kernel.access import PROVIDER, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.caller import tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of

if TYPE_CHECKING:
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.saml_surface import SamlSurface
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts

_NO_STORE = {"cache-control": "no-store"}
MOST_FORM_FIELDS = 20


class SsoBody(BaseModel):
    """Body of POST /sso."""

    model_config = ConfigDict(extra="ignore")
    domain: str = Field(default="", max_length=255)
    provider_id: str = Field(default="", max_length=100)
    redirect_to: str | None = Field(default=None, max_length=2000)
    skip_http_redirect: bool = False
    code_challenge: str | None = Field(default=None, max_length=128)
    code_challenge_method: str | None = Field(default=None, max_length=10)


class GoTrueSaml:
    """Translates; every rule is in ``auth/saml/``."""

    def __init__(self, surface: SamlSurface) -> None:
        self._surface = surface

    def register(self, control: ControlPlane, gotrue: GoTrueAccounts) -> None:
        """The surface on one screen."""
        use = "auth:provider:use"
        for method, path, endpoint, access, name in (
            ("POST", "sso", self.begin, Access.ENTRY, "gotrue.sso"),
            ("GET", "sso", self.start, Access.PUBLIC, "gotrue.sso_start"),
            ("GET", "saml/metadata", self.metadata, Access.PUBLIC, "gotrue.saml_metadata"),
            ("POST", "saml/acs", self.answer, Access.PUBLIC, "gotrue.saml_acs"),
            ("GET", "saml/slo", self.log_out, Access.ENTRY, "gotrue.saml_slo"),
        ):
            control.add(method, f"/auth/v1/{path}", endpoint, access=access, limit=PROVIDER, name=name, permission=use)
        if self._surface.providers.providers:
            gotrue.external["saml"] = True

    async def begin(self, body: SsoBody, request: Request) -> Response:
        """The start link, by domain or provider."""
        if body.code_challenge is None:
            raise AuthError("Sign-in with SSO needs PKCE: create the client with flowType 'pkce'.", code="validation_failed")
        if not (body.domain or body.provider_id):
            raise AuthError("A SAML SSO provider domain or provider_id is required", code="validation_failed")
        name = body.provider_id or self._surface.providers.name_of_domain(body.domain)
        wanted = Wanted(name, body.redirect_to, (), body.code_challenge, body.code_challenge_method)
        token = await self._surface.flows.begin(tenant_of(request, self._surface.registry), wanted)
        url = self._surface.start_url(token)
        return JSONResponse({"url": url}, headers=_NO_STORE) if body.skip_http_redirect else RedirectResponse(url, 303, _NO_STORE)

    async def start(self, request: Request, flow: Annotated[str, Query(max_length=200)] = "") -> Response:
        """On to the identity provider, with the cookie that its answer needs."""
        departure = await self._surface.flows.start(flow, self._surface.cookie.held(request, posts_answer=True))
        answer = RedirectResponse(departure.url, 302, _NO_STORE)
        answer.headers["set-cookie"] = self._surface.cookie.header(departure.browser, posts_answer=True)
        return answer

    async def metadata(self) -> Response:
        """Our metadata, for the identity provider's administrator."""
        return Response(self._surface.providers.metadata(), media_type="application/samlmetadata+xml")

    async def answer(self, request: Request) -> Response:
        """The identity provider's answer by form (HTTP-POST)."""
        form = await request.form(max_files=0, max_fields=MOST_FORM_FIELDS)
        encoded, relay_state = form.get("SAMLResponse"), form.get("RelayState")
        if not isinstance(encoded, str) or not isinstance(relay_state, str):
            raise AuthError("SAMLResponse and RelayState are required: sign-in begins here.", code="validation_failed")
        device = device_of(context_of(request.scope))
        url = await self._surface.flows.answer(encoded, relay_state, self._surface.cookie.read(request), device)
        return RedirectResponse(url, 303, _NO_STORE)

    async def log_out(self, request: Request) -> Response:
        """Single logout begun by the identity provider, or its answer to ours (HTTP-Redirect)."""
        url = await self._surface.logged_out(tenant_of(request, self._surface.registry), request)
        return RedirectResponse(url, 302, _NO_STORE)

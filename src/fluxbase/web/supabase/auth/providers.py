"""GoTrue: /authorize, /callback, /user/identities, and the grants ``pkce`` and ``id_token`` (contract-supabase 2.2).

Unlike GoTrue nothing is ever put into a fragment: an app uses ``flowType: 'pkce'``. Linking answers with a start link of ours,
because only a navigation can leave the cookie that binds the flow to the browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from fluxbase.auth.providers.flows import Departure, Wanted
from fluxbase.auth.providers.identities import PresentedToken
from fluxbase.auth.providers.registry import providers_of
from fluxbase.kernel.access import CONTROL_PLANE, PROVIDER, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.supabase.auth.accounts import entered

if TYPE_CHECKING:
    from fluxbase.auth.providers.flows import Entered
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.provider_surface import ProviderSurface
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts, TokenBody

Text = Annotated[str, Query(max_length=2000)]
_NO_STORE = {"cache-control": "no-store"}
MOST_FORM_FIELDS = 20


class GoTrueProviders:
    """Translates; every rule is in ``auth/providers/``."""

    def __init__(self, surface: ProviderSurface) -> None:
        self._surface = surface

    def register(self, control: ControlPlane, gotrue: GoTrueAccounts) -> None:
        """The surface on one screen."""
        use, own = "auth:provider:use", "auth:identity:write"
        for method, path, endpoint, access, limit, name, permission in (
            ("GET", "authorize", self.authorize, Access.ENTRY, PROVIDER, "gotrue.authorize", use),
            ("GET", "callback", self.callback, Access.PUBLIC, PROVIDER, "gotrue.callback", use),
            ("POST", "callback", self.callback_post, Access.PUBLIC, PROVIDER, "gotrue.callback_post", use),
            ("GET", "user/identities/authorize", self.link, Access.USER, PROVIDER, "gotrue.identity_link", own),
            ("DELETE", "user/identities/{identity}", self.unlink, Access.USER, CONTROL_PLANE, "gotrue.identity_unlink", own),
        ):
            control.add(method, f"/auth/v1/{path}", endpoint, access=access, limit=limit, name=name, permission=permission)
        gotrue.grants |= {"pkce": self._pkce, "id_token": self._id_token}

    async def authorize(
        self, request: Request, provider: Text = "", redirect_to: Text = "", scopes: Text = "", code_challenge: Text = "",
        code_challenge_method: Text = "", flow: Text = "",
    ) -> Response:  # fmt: skip
        """On to the provider, with the cookie that the way back asks for."""
        if flow:
            departure = await self._surface.flows.start(flow, self._surface.cookie.held(request, posts_answer=False))
        else:
            wanted = Wanted(provider, redirect_to or None, tuple(scopes.split()), code_challenge or None, code_challenge_method or None)
            if wanted.code_challenge is None:
                raise AuthError("Sign-in with a provider needs PKCE: create the client with flowType 'pkce'.", code="validation_failed")
            posts = providers_of(tenant_of(request, self._surface.registry)).get(provider).spec.posts_answer
            held = self._surface.cookie.held(request, posts_answer=posts)
            departure = await self._surface.flows.authorize(tenant_of(request, self._surface.registry), wanted, held)
        return self._leave(departure)

    def _leave(self, departure: Departure) -> Response:
        answer = RedirectResponse(departure.url, 302, _NO_STORE)
        answer.headers["set-cookie"] = self._surface.cookie.header(departure.browser, posts_answer=departure.posts_answer)
        return answer

    async def callback(self, request: Request) -> Response:
        """The provider's answer by redirect."""
        answer = dict(request.query_params)
        url = await self._surface.flows.callback(answer, self._surface.cookie.read(request), device_of(context_of(request.scope)))
        return RedirectResponse(url, 302, _NO_STORE)

    async def callback_post(self, request: Request) -> Response:
        """The provider's answer by form (``response_mode=form_post``)."""
        form = await request.form(max_files=0, max_fields=MOST_FORM_FIELDS)
        answer = {name: value for name, value in form.items() if isinstance(value, str)}
        url = await self._surface.flows.callback(answer, self._surface.cookie.read(request), device_of(context_of(request.scope)))
        return RedirectResponse(url, 303, _NO_STORE)

    async def link(
        self, request: Request, provider: Text = "", redirect_to: Text = "", scopes: Text = "", code_challenge: Text = "",
        code_challenge_method: Text = "", skip_http_redirect: Text = "",
    ) -> Response:  # fmt: skip
        """The start link of an explicit link, as JSON or redirect."""
        if not code_challenge:
            raise AuthError("Linking needs PKCE: create the client with flowType 'pkce'.", code="validation_failed")
        wanted = Wanted(provider, redirect_to or None, tuple(scopes.split()), code_challenge, code_challenge_method or None)
        token = await self._surface.identities.begin_link(tenant_of(request, self._surface.registry), caller_of(request), wanted)
        url = self._surface.start_url(token)
        return JSONResponse({"url": url}, headers=_NO_STORE) if skip_http_redirect else RedirectResponse(url, 302, _NO_STORE)

    async def unlink(self, identity: Annotated[str, Path(max_length=64)], request: Request) -> JSONResponse:
        """``{}``. Another's identity and none at all are the same answer."""
        await self._surface.identities.unlink(tenant_of(request, self._surface.registry), caller_of(request), identity)
        return JSONResponse({})

    async def _pkce(self, tenant: Tenant, body: TokenBody, request: Request) -> dict[str, Any]:
        code, verifier = _text(body, "auth_code"), _text(body, "code_verifier")
        if not code or not verifier:
            raise AuthError("invalid request: both auth code and code verifier should be non-empty", code="validation_failed")
        return _body(await self._surface.flows.redeem(tenant, code, verifier, device_of(context_of(request.scope))))

    async def _id_token(self, tenant: Tenant, body: TokenBody, request: Request) -> dict[str, Any]:
        presented = PresentedToken(
            _text(body, "provider"), _text(body, "issuer"), _text(body, "id_token") or _text(body, "token"),
            _text(body, "access_token") or None, _text(body, "nonce") or None,
        )  # fmt: skip
        if not presented.id_token or not (presented.provider or presented.issuer):
            raise AuthError("id_token and provider, or issuer, are required", code="validation_failed")
        caller = None
        if (body.model_extra or {}).get("link_identity") is True:
            caller = await self._surface.bearer(tenant, request.headers.get("authorization", "").removeprefix("Bearer ").strip())
        return _body(await self._surface.identities.sign_in(tenant, presented, device_of(context_of(request.scope)), caller))


def _text(body: TokenBody, name: str) -> str:
    value = (body.model_extra or {}).get(name)
    return value if isinstance(value, str) and len(value) <= 32_768 else ""


def _body(got: Entered) -> dict[str, Any]:
    body = entered(got.found)
    if got.tokens is not None:
        body["provider_token"] = got.tokens.access_token
        if got.tokens.refresh_token is not None:
            body["provider_refresh_token"] = got.tokens.refresh_token
    return body

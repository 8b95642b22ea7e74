"""/api/v1/auth/oauth, /signin/idtoken, /user/identities (contract-native 1.1, 2.4).

The SDK asks for the address by ``fetch`` and then navigates there, so it gets a start link of ours, which leaves the cookie.
The provider always answers to us; the app's page gets ``?code=`` and ``state`` and hands both to ``callback`` by ``fetch``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.providers.flows import Wanted
from fluxbase.auth.providers.identities import PresentedToken
from fluxbase.auth.providers.registry import providers_of
from fluxbase.kernel.access import CONTROL_PLANE, PROVIDER, SIGN_IN, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.shapes import entered

if TYPE_CHECKING:
    from fluxbase.auth.providers.registry import Provider
    from fluxbase.auth.users import Identity
    from fluxbase.kernel.ids import UserId
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.provider_surface import ProviderSurface

ROOT = "/api/v1/auth"
Name = Annotated[str, Path(max_length=40)]
Text = Annotated[str, Query(max_length=2000)]
_NO_STORE = {"cache-control": "no-store"}


class IdTokenBody(BaseModel):
    """Body of POST /auth/signin/idtoken."""

    model_config = ConfigDict(extra="ignore")
    provider: str = Field(max_length=40)
    token: str = Field(max_length=32_768, repr=False)
    nonce: str | None = Field(default=None, max_length=500)
    access_token: str | None = Field(default=None, max_length=32_768, repr=False)


class LinkBody(BaseModel):
    """Body of POST /auth/user/identities."""

    model_config = ConfigDict(extra="ignore")
    provider: str = Field(max_length=40)
    redirect_to: str | None = Field(default=None, max_length=2000)
    code_challenge: str | None = Field(default=None, max_length=128)
    code_challenge_method: str | None = Field(default=None, max_length=10)


class LogoutBody(BaseModel):
    """Body of POST /auth/oauth/{provider}/logout, which may be empty."""

    model_config = ConfigDict(extra="ignore")
    redirect_url: str | None = Field(default=None, max_length=2000)


class NativeProviders:
    """Translates; every rule is in ``auth/providers/``."""

    def __init__(self, surface: ProviderSurface) -> None:
        self._surface = surface

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        one = f"{ROOT}/oauth/{{provider}}"
        mine = f"{ROOT}/user/identities"
        use, own = "auth:provider:use", "auth:identity:write"
        for method, path, endpoint, access, limit, name, permission in (
            ("GET", f"{ROOT}/oauth/providers", self.providers, Access.ENTRY, CONTROL_PLANE, "auth.oauth_providers", "auth:settings:read"),
            ("GET", f"{one}/authorize", self.authorize, Access.ENTRY, PROVIDER, "auth.oauth_authorize", use),
            ("GET", f"{one}/callback", self.callback, Access.OPTIONAL, PROVIDER, "auth.oauth_callback", use),
            ("GET", f"{one}/token", self.token, Access.USER, CONTROL_PLANE, "auth.oauth_token", own),
            ("POST", f"{one}/logout", self.log_out, Access.USER, CONTROL_PLANE, "auth.oauth_logout", own),
            ("GET", f"{one}/logout/callback", self.logged_out, Access.PUBLIC, PROVIDER, "auth.oauth_logged_out", use),
            ("POST", f"{ROOT}/signin/idtoken", self.sign_in, Access.ENTRY, SIGN_IN, "auth.signin_idtoken", "auth:session:begin"),
            ("GET", mine, self.identities, Access.USER, CONTROL_PLANE, "auth.identities", "auth:account:read"),
            ("POST", mine, self.link, Access.USER, PROVIDER, "auth.identity_link", own),
            ("DELETE", f"{mine}/{{identity}}", self.unlink, Access.USER, CONTROL_PLANE, "auth.identity_unlink", own),
        ):
            control.add(method, path, endpoint, access=access, limit=limit, name=name, permission=permission)

    async def providers(self, request: Request) -> JSONResponse:
        """What is offered."""
        return JSONResponse(
            {"providers": [self._public(provider) for provider in providers_of(tenant_of(request, self._surface.registry)).all()]}
        )

    def _public(self, provider: Provider) -> dict[str, Any]:
        name, shown = provider.name, provider.spec.display_name
        url = f"{self._surface.public_url}{ROOT}/oauth/{name}/authorize"
        return {"id": name, "provider": name, "name": shown, "display_name": shown, "enabled": True, "authorize_url": url}

    async def authorize(
        self, provider: Name, request: Request, redirect_to: Text = "", redirect_uri: Text = "", scopes: Text = "",
        code_challenge: Text = "", code_challenge_method: Text = "",
    ) -> JSONResponse:  # fmt: skip
        """Where to send the browser."""
        wanted = Wanted(
            provider, redirect_uri or redirect_to or None, tuple(each.strip() for each in scopes.split(",") if each.strip()),
            code_challenge or None, code_challenge_method or None,
        )  # fmt: skip
        token = await self._surface.flows.begin(tenant_of(request, self._surface.registry), wanted)
        return JSONResponse({"url": self._surface.start_url(token), "provider": provider}, headers=_NO_STORE)

    async def callback(self, provider: Name, request: Request, code: Text = "", code_verifier: Text = "") -> JSONResponse:
        """The session for the code of the app's page."""
        providers_of(tenant_of(request, self._surface.registry)).get(provider)
        device = device_of(context_of(request.scope))
        got = await self._surface.flows.redeem(
            tenant_of(request, self._surface.registry), code, code_verifier or None, device, caller_of(request)
        )
        return JSONResponse({**entered(got.found), "is_new_user": got.is_new_user}, headers=_NO_STORE)

    async def token(self, provider: Name, request: Request) -> JSONResponse:
        """The provider's own token, refreshed when it is about to end."""
        try:
            tokens = await self._surface.tokens.current(tenant_of(request, self._surface.registry), _user(request), provider)
        except AuthError as error:
            if error.code != "oauth_token_not_found":
                raise
            url = f"{self._surface.public_url}{ROOT}/oauth/{provider}/authorize"
            body = {
                "error": error.message, "code": "NOT_FOUND", "error_code": error.code, "error_hint": "Send the user to authorize_url.",
                "provider": provider, "authorize_url": url,
            }  # fmt: skip
            return JSONResponse(body, 404, _NO_STORE)
        left = None if tokens.expires_at is None else max(0, tokens.expires_at - int(time.time()))
        expiry = None if tokens.expires_at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(tokens.expires_at))
        optional = {"refresh_token": tokens.refresh_token, "id_token": tokens.id_token, "scopes": tokens.scopes.split() or None}
        body = {
            "provider": provider, "access_token": tokens.access_token, "token_type": "Bearer", "expires_in": left, "token_expiry": expiry,
            **{name: value for name, value in optional.items() if value},
        }  # fmt: skip
        return JSONResponse(body, headers=_NO_STORE)

    async def log_out(self, provider: Name, request: Request, body: LogoutBody | None = None) -> JSONResponse:
        """Forget the provider's tokens here and there."""
        wanted = None if body is None else body.redirect_url
        done = await self._surface.tokens.log_out(tenant_of(request, self._surface.registry), _user(request), provider, wanted)
        answer: dict[str, Any] = {
            "provider": provider, "local_tokens_revoked": done.is_revoked_here, "provider_token_revoked": done.is_revoked_there,
            "requires_redirect": done.url is not None,
        }  # fmt: skip
        return JSONResponse({**answer, **({"redirect_url": done.url} if done.url else {})}, headers=_NO_STORE)

    async def logged_out(self, provider: Name, request: Request, redirect_url: Text = "", redirect_to: Text = "") -> Response:
        """Back from the provider's own logout, on to the application: to a configured URL or the site, nowhere else (threat B18)."""
        tenant = tenant_of(request, self._surface.registry)
        providers_of(tenant).get(provider)
        return RedirectResponse(self._surface.redirects.checked(tenant, redirect_url or redirect_to), 303, _NO_STORE)

    async def sign_in(self, body: IdTokenBody, request: Request) -> JSONResponse:
        """A session for an ID token of the provider's own SDK."""
        presented = PresentedToken(body.provider, "", body.token, body.access_token, body.nonce)
        device = device_of(context_of(request.scope))
        got = await self._surface.identities.sign_in(tenant_of(request, self._surface.registry), presented, device)
        return JSONResponse({**entered(got.found), "is_new_user": got.is_new_user}, headers=_NO_STORE)

    async def identities(self, request: Request) -> JSONResponse:
        """The caller's own."""
        user, _ = await self._surface.accounts.current(tenant_of(request, self._surface.registry), caller_of(request))
        return JSONResponse({"identities": [_identity(each) for each in user.identities]})

    async def link(self, body: LinkBody, request: Request) -> JSONResponse:
        """Where to send the browser to link a provider."""
        wanted = Wanted(body.provider, body.redirect_to, (), body.code_challenge, body.code_challenge_method)
        token = await self._surface.identities.begin_link(tenant_of(request, self._surface.registry), caller_of(request), wanted)
        return JSONResponse({"url": self._surface.start_url(token), "provider": body.provider, "state": token[-16:]}, headers=_NO_STORE)

    async def unlink(self, identity: Annotated[str, Path(max_length=64)], request: Request) -> JSONResponse:
        """Another's identity and none at all are the same 404."""
        await self._surface.identities.unlink(tenant_of(request, self._surface.registry), caller_of(request), identity)
        return JSONResponse({"success": True})


def _user(request: Request) -> UserId:
    user = caller_of(request).user_id
    if user is None:
        raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
    return user


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "id": identity.id, "user_id": identity.user_id, "provider": identity.provider, "identity_data": identity.data,
        "created_at": identity.created_at, "updated_at": identity.updated_at,
    }  # fmt: skip

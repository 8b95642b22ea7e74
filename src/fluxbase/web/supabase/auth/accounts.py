"""GoTrue: sign-up, password, refresh, user, sign-out, settings, health (contract-supabase 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ConfigDict, Field

from fluxbase import __version__
from fluxbase.auth.accounts import AccountChange, NewAccount
from fluxbase.auth.users import IssuedSession, SecondFactorRequired, User
from fluxbase.kernel.access import CONTROL_PLANE, PROBE, SIGN_IN, SIGN_UP, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.direct import JsonResponse
from fluxbase.web.middleware.authorise import check_standing
from fluxbase.web.supabase.auth.shapes import session_body, user_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.sessions import Sessions
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.middleware.authorise import Standing

    Grant = Callable[[Tenant, "TokenBody", Request], Awaitable[dict[str, Any]]]


_CHECK_STANDING = frozenset({"password", "refresh_token"})
"""Grants whose first transaction asks whether the key that came along still holds; for the others POST /token asks."""


class SignUpBody(ClientBody):
    """Body of POST /signup."""

    email: str = ""
    phone: str = ""
    password: str = Field(default="", repr=False)
    data: dict[str, Any] = Field(default={})
    code_challenge: str = ""


class TokenBody(ClientBody):
    """Body of POST /token, of every grant."""

    model_config = ConfigDict(extra="allow")
    email: str = ""
    phone: str = ""
    password: str = Field(default="", repr=False)
    refresh_token: str = Field(default="", repr=False)


class UserBody(ClientBody):
    """Body of PUT /user."""

    email: str | None = None
    phone: str | None = None
    password: str | None = Field(default=None, repr=False)
    current_password: str | None = Field(default=None, repr=False)
    nonce: str | None = None
    data: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None


class GoTrueAccounts:
    """Translates; every rule is in ``auth/``. ``grants`` takes further grants of POST /token by name."""

    def __init__(self, accounts: Accounts, sessions: Sessions, registry: TenantRegistry, standing: Standing) -> None:
        self._standing = standing
        self._accounts = accounts
        self._sessions = sessions
        self._registry = registry
        self.grants: dict[str, Grant] = {"password": self._password, "refresh_token": self._refresh}
        self.external: dict[str, bool] = {}
        """Further members of ``external`` in GET /settings."""

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, access, limit, permission in (
            ("POST", "signup", self.sign_up, Access.ENTRY, SIGN_UP, "auth:session:begin"),
            ("POST", "token", self.token, Access.ENTRY, SIGN_IN, "auth:session:begin"),
            ("GET", "user", self.user, Access.PENDING, CONTROL_PLANE, "auth:account:read"),
            ("PUT", "user", self.update, Access.USER, CONTROL_PLANE, "auth:account:write"),
            ("POST", "logout", self.sign_out, Access.PENDING, CONTROL_PLANE, "auth:account:write"),
            ("GET", "settings", self.settings, Access.ENTRY, PROBE, "auth:settings:read"),
            ("GET", "health", self.health, Access.PUBLIC, PROBE, ""),
        ):
            name = f"gotrue.{path}.{method.lower()}"
            control.add(
                method, f"/auth/v1/{path}", endpoint, access=access, limit=limit, name=name, permission=permission,
                checks_standing=endpoint in (self.token, self.user),
            )  # fmt: skip

    async def sign_up(self, body: SignUpBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """The session, or the bare user where the address must be confirmed first."""
        if body.phone:
            raise AuthError("Phone signups are disabled", code="phone_provider_disabled")
        new = NewAccount(body.email or None, body.password or None, body.data, redirect_to or None, body.code_challenge or None)
        found = await self._accounts.sign_up(tenant_of(request, self._registry), new, device_of(context_of(request.scope)))
        return JSONResponse(entered(found))

    async def token(self, body: TokenBody, request: Request, grant_type: Annotated[str, Query(max_length=100)] = "") -> JsonResponse:
        """A session for what the grant proves."""
        grant = self.grants.get(grant_type)
        if grant is None:
            raise AuthError("unsupported_grant_type", code="invalid_credentials")
        if grant_type not in _CHECK_STANDING:
            await check_standing(context_of(request.scope), Access.ENTRY, self._standing)
        return JsonResponse(await grant(tenant_of(request, self._registry), body, request), headers={"cache-control": "no-store"})

    async def _password(self, tenant: Tenant, body: TokenBody, request: Request) -> dict[str, Any]:
        if not body.email:
            raise AuthError("missing email or phone", code="validation_failed")
        device = device_of(context_of(request.scope))
        return entered(await self._accounts.sign_in_with_password(tenant, body.email, body.password, device, caller_of(request)))

    async def _refresh(self, tenant: Tenant, body: TokenBody, request: Request) -> dict[str, Any]:
        if not body.refresh_token:
            raise AuthError("Refresh token is not valid", code="validation_failed")
        device = device_of(context_of(request.scope))
        return entered(await self._sessions.refresh(tenant, body.refresh_token, device, caller_of(request)))

    async def user(self, request: Request) -> JsonResponse:
        """The caller's account; 403 when its session has ended."""
        caller = caller_of(request)
        user, _ = await self._accounts.current(self._registry.get(caller.tenant), caller, context_of(request.scope).deadline)
        return JsonResponse(user_body(user))

    async def update(self, body: UserBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """Change it."""
        if body.app_metadata is not None:
            raise AuthError("Updating app_metadata requires admin privileges", code="not_admin")
        if body.phone:
            raise AuthError("Phone logins are disabled", code="phone_provider_disabled")
        change = AccountChange(body.email or None, body.password, body.current_password, body.nonce, body.data, redirect_to or None)
        return JSONResponse(user_body(await self._accounts.update(tenant_of(request, self._registry), caller_of(request), change)))

    async def sign_out(self, request: Request, scope: Annotated[str, Query()] = "global") -> Response:
        """204. The next request of every ended session is refused."""
        if scope not in ("global", "local", "others"):
            raise AuthError("Unsupported logout scope", code="validation_failed")
        await self._accounts.sign_out(tenant_of(request, self._registry), caller_of(request), scope)
        return Response(status_code=204)

    async def settings(self) -> JSONResponse:
        """What clients may know before they sign in."""
        settings = self._accounts.settings
        external = {"anonymous_users": settings.anonymous_enabled, "email": settings.password_enabled, "phone": False, **self.external}
        return JSONResponse(
            {
                "external": external,
                "disable_signup": not settings.signup_enabled,
                "mailer_autoconfirm": not settings.require_email_verification,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": bool(self.external.get("saml")),
                "passkeys_enabled": bool(self.external.get("passkeys")),
            }
        )

    async def health(self) -> JSONResponse:
        """Alive."""
        return JSONResponse({"version": f"v{__version__}", "name": "GoTrue", "description": "Fluxbase speaks the GoTrue API"})


def entered(found: User | IssuedSession | SecondFactorRequired) -> dict[str, Any]:
    """The answer to a way in. GoTrue has no step between: a second factor is asked of a session, so a ticket is an error here."""
    match found:
        case IssuedSession():
            return session_body(found)
        case SecondFactorRequired():
            details = {"ticket": found.ticket, "factors": list(found.factors)}
            raise AuthError("A second factor is required", code="mfa_verification_required", details=details)
        case User():
            return user_body(found)

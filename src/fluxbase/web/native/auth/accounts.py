"""/api/v1/auth: sign-up, sign-in, refresh, sign-out, own account and sessions (contract-native 1.1, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from fluxbase.auth.accounts import AccountChange, NewAccount
from fluxbase.kernel.access import CONTROL_PLANE, REFRESH, SIGN_IN, SIGN_UP, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.direct import JsonResponse
from fluxbase.web.native.auth.shapes import entered, session_body, tokens_body, user_body

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.sessions import Sessions
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/auth"
_NO_STORE = {"cache-control": "no-store"}


class SignUpBody(ClientBody):
    """Body of POST /auth/signup; members of other steps (captcha) are read by those."""

    email: str = ""
    password: str = Field(default="", repr=False)
    user_metadata: dict[str, Any] | None = None
    redirect_to: str | None = None


class SignInBody(ClientBody):
    """Body of POST /auth/signin."""

    email: str
    password: str = Field(repr=False)


class RefreshBody(ClientBody):
    """Body of POST /auth/refresh."""

    refresh_token: str = Field(default="", repr=False)


class UserBody(ClientBody):
    """Body of PATCH /auth/user."""

    email: str | None = None
    password: str | None = Field(default=None, repr=False)
    current_password: str | None = Field(default=None, repr=False)
    user_metadata: dict[str, Any] | None = None
    nonce: str | None = None


class SignOutBody(ClientBody):
    """Body of POST /auth/signout, which may be empty."""

    scope: Literal["local", "others", "global"] = "local"


class NativeAccounts:
    """Translates; every rule is in ``auth/``."""

    def __init__(self, accounts: Accounts, sessions: Sessions, registry: TenantRegistry) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, access, limit, permission in (
            ("POST", "/signup", self.sign_up, Access.ENTRY, SIGN_UP, "auth:session:begin"),
            ("POST", "/signin", self.sign_in, Access.ENTRY, SIGN_IN, "auth:session:begin"),
            ("POST", "/signin/anonymous", self.sign_in_anonymously, Access.ENTRY, SIGN_UP, "auth:session:begin"),
            ("POST", "/refresh", self.refresh, Access.ENTRY, REFRESH, "auth:session:begin"),
            ("POST", "/signout", self.sign_out, Access.PENDING, CONTROL_PLANE, "auth:account:write"),
            ("GET", "/user", self.user, Access.PENDING, CONTROL_PLANE, "auth:account:read"),
            ("PATCH", "/user", self.update, Access.USER, CONTROL_PLANE, "auth:account:write"),
            ("GET", "/sessions", self.sessions, Access.USER, CONTROL_PLANE, "auth:account:read"),
            ("DELETE", "/sessions/{session}", self.end_session, Access.USER, CONTROL_PLANE, "auth:account:write"),
        ):
            name = f"auth{path.replace('/', '.')}.{method.lower()}"
            control.add(
                method, f"{ROOT}{path}", endpoint, access=access, limit=limit, name=name, permission=permission,
                checks_standing=endpoint in (self.user, self.sign_in, self.refresh),
            )  # fmt: skip

    async def sign_up(self, body: SignUpBody, request: Request) -> JSONResponse:
        """201 with a session, or with the user alone where the address must be confirmed first."""
        if not body.email:
            raise AuthError("email is required.", code="missing_field")
        new = NewAccount(body.email, body.password, body.user_metadata or {}, body.redirect_to)
        found = await self._accounts.sign_up(tenant_of(request, self._registry), new, device_of(context_of(request.scope)))
        return JSONResponse(entered(found), 201, _NO_STORE)

    async def sign_in(self, body: SignInBody, request: Request) -> JsonResponse:
        """The session, or the second step."""
        device, caller = device_of(context_of(request.scope)), caller_of(request)
        found = await self._accounts.sign_in_with_password(self._registry.get(caller.tenant), body.email, body.password, device, caller)
        return JsonResponse(entered(found), headers=_NO_STORE)

    async def sign_in_anonymously(self, request: Request) -> JSONResponse:
        """A session of a new user without an address."""
        new = NewAccount(None, None)
        found = await self._accounts.sign_up(tenant_of(request, self._registry), new, device_of(context_of(request.scope)))
        return JSONResponse(entered(found), 201, _NO_STORE)

    async def refresh(self, body: RefreshBody, request: Request) -> JsonResponse:
        """The next pair of tokens."""
        if not body.refresh_token:
            raise AuthError("refresh_token is required.", code="missing_field")
        device = device_of(context_of(request.scope))
        caller = caller_of(request)
        issued = await self._sessions.refresh(self._registry.get(caller.tenant), body.refresh_token, device, caller)
        return JsonResponse(tokens_body(issued), headers=_NO_STORE)

    async def sign_out(
        self, request: Request, body: SignOutBody | None = None, scope: Annotated[str | None, Query()] = None
    ) -> JSONResponse:
        """End this session, the others, or all."""
        wanted = scope or (body.scope if body is not None else "local")
        if wanted not in ("local", "others", "global"):
            raise AuthError("scope must be local, others or global.", code="validation_failed")
        ended = await self._accounts.sign_out(tenant_of(request, self._registry), caller_of(request), wanted)
        return JSONResponse({"message": "Signed out.", "sessions": ended})

    async def user(self, request: Request) -> JsonResponse:
        """The caller's account; 401 when its session has ended."""
        caller = caller_of(request)
        user, _ = await self._accounts.current(self._registry.get(caller.tenant), caller, context_of(request.scope).deadline)
        return JsonResponse(user_body(user))

    async def update(self, body: UserBody, request: Request) -> JSONResponse:
        """Change it; a new password ends the other sessions."""
        change = AccountChange(body.email or None, body.password, body.current_password, body.nonce, body.user_metadata)
        return JSONResponse(user_body(await self._accounts.update(tenant_of(request, self._registry), caller_of(request), change)))

    async def sessions(self, request: Request) -> JSONResponse:
        """The caller's live sessions with device, address and last use."""
        caller = caller_of(request)
        await self._accounts.current(tenant_of(request, self._registry), caller)
        found = await self._sessions.list(tenant_of(request, self._registry), caller.user_id or "")  # type: ignore[arg-type]
        return JSONResponse({"sessions": [session_body(each, caller.session_id) for each in found]})

    async def end_session(self, session: Annotated[str, Path(max_length=64)], request: Request) -> Response:
        """204. Another's session and none at all are the same 404."""
        await self._accounts.end_session(tenant_of(request, self._registry), caller_of(request), session)
        return Response(status_code=204)

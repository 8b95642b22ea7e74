"""/api/v1/admin/setup, login, me, invitations, and a tenant's administrators (contract-native 1.2, 1.10, 2.4; docs/platform.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from fastapi import Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.platform import INSTANCE_ADMIN
from fluxbase.kernel.access import ADMIN, ADMIN_SETUP, ADMIN_SIGN_IN, CONTROL_PLANE, REFRESH, Access
from fluxbase.kernel.errors import Forbidden, NotFound
from fluxbase.web.caller import caller_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.platform_shapes import NO_STORE, admin_body, entered

if TYPE_CHECKING:
    from fluxbase.auth.platform import Platform
    from fluxbase.auth.sessions import Sessions
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.native.administered import Administered

ROOT = "/api/v1/admin"
DASHBOARD = "/api/v1/dashboard/auth"
INVITATIONS = f"{ROOT}/invitations"
ADMINS = f"{ROOT}/tenants/{{tenant}}/admins"
MEMBERS = f"{ROOT}/tenants/{{tenant}}/members"
"""The contract's other name for them: at the platform a tenant has no members but its administrators."""
TenantPath = Annotated[str, Path(max_length=100)]
Token = Annotated[str, Path(max_length=200)]


class SetUpBody(BaseModel):
    """Body of POST /admin/setup."""

    model_config = ConfigDict(extra="forbid")
    email: str = Field(max_length=255)
    password: str = Field(max_length=1024, repr=False)
    name: str = Field(default="", max_length=200)
    setup_token: str = Field(max_length=200, repr=False)


class LoginBody(BaseModel):
    """Body of POST /admin/login."""

    model_config = ConfigDict(extra="ignore")
    email: str = Field(max_length=255)
    password: str = Field(max_length=1024, repr=False)


class RefreshBody(BaseModel):
    """Body of POST /admin/refresh."""

    model_config = ConfigDict(extra="ignore")
    refresh_token: str = Field(max_length=200, repr=False)


class InviteBody(BaseModel):
    """Body of POST /admin/invitations."""

    model_config = ConfigDict(extra="forbid")
    email: str = Field(max_length=255)
    role: Literal["instance_admin", "tenant_admin"] = "tenant_admin"


class AcceptBody(BaseModel):
    """Body of POST /invitations/{token}/accept."""

    model_config = ConfigDict(extra="forbid")
    password: str = Field(max_length=1024, repr=False)
    name: str = Field(default="", max_length=200)


class AssignBody(BaseModel):
    """Body of POST on a tenant's administrators."""

    model_config = ConfigDict(extra="forbid")
    user_id: UUID
    role: Literal["tenant_admin"] = "tenant_admin"


class MemberBody(BaseModel):
    """Body of PATCH on a tenant's member: the one role there is."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["tenant_admin"]


class PlatformRoutes:
    """Translates; every rule is in ``auth/platform.py``."""

    def __init__(self, platform: Platform, sessions: Sessions, administered: Administered) -> None:
        self._platform = platform
        self._sessions = sessions
        self._administered = administered

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name, limit in (
            ("GET", f"{ROOT}/setup/status", self.setup_status, "platform.setup_status", CONTROL_PLANE),
            ("POST", f"{ROOT}/setup", self.set_up, "platform.setup", ADMIN_SETUP),
            ("POST", f"{ROOT}/login", self.login, "platform.login", ADMIN_SIGN_IN),
            ("POST", f"{ROOT}/refresh", self.refresh, "platform.refresh", REFRESH),
            ("POST", f"{DASHBOARD}/signup", self.set_up, "dashboard.signup", ADMIN_SETUP),
            ("POST", f"{DASHBOARD}/login", self.login, "dashboard.login", ADMIN_SIGN_IN),
            ("POST", f"{DASHBOARD}/refresh", self.refresh, "dashboard.refresh", REFRESH),
            ("GET", "/api/v1/invitations/{token}/validate", self.validate, "invitations.validate", CONTROL_PLANE),
            ("POST", "/api/v1/invitations/{token}/accept", self.accept, "invitations.accept", ADMIN_SETUP),
        ):
            control.add(method, path, endpoint, access=Access.PUBLIC, limit=limit, name=name)
        for method, path, endpoint, name in (
            ("POST", f"{ROOT}/logout", self.logout, "platform.logout"),
            ("GET", f"{ROOT}/me", self.me, "platform.me"),
        ):
            control.add(method, path, endpoint, access=Access.PLATFORM, limit=ADMIN, name=name, permission="platform:account:use")
        for method, path, endpoint, name, permission in (
            ("GET", INVITATIONS, self.list_invitations, "invitations.list", "platform:invitations:read"),
            ("POST", INVITATIONS, self.invite, "invitations.create", "platform:invitations:write"),
            ("DELETE", f"{INVITATIONS}/{{token}}", self.withdraw, "invitations.delete", "platform:invitations:write"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=permission)
        for method, path, endpoint, name, permission in (
            ("GET", ADMINS, self.list_admins, "tenant_admins.list", "tenants:admins:read"),
            ("POST", ADMINS, self.assign, "tenant_admins.assign", "tenants:admins:write"),
            ("DELETE", f"{ADMINS}/{{user}}", self.unassign, "tenant_admins.unassign", "tenants:admins:write"),
            ("GET", MEMBERS, self.list_admins, "tenant_members.list", "tenants:admins:read"),
            ("POST", MEMBERS, self.assign, "tenant_members.assign", "tenants:admins:write"),
            ("PATCH", f"{MEMBERS}/{{user}}", self.change_member, "tenant_members.change", "tenants:admins:write"),
            ("DELETE", f"{MEMBERS}/{{user}}", self.unassign, "tenant_members.unassign", "tenants:admins:write"),
        ):
            control.add(method, path, endpoint, access=Access.CREDENTIAL, limit=ADMIN, name=name, permission=permission)

    async def setup_status(self) -> JSONResponse:
        """Whether the first administrator is still to be made."""
        has_admin = await self._platform.has_admin()
        return JSONResponse({"needs_setup": not has_admin, "has_admin": has_admin})

    async def set_up(self, body: SetUpBody, request: Request) -> JSONResponse:
        """201: the first instance administrator, signed in."""
        device = device_of(context_of(request.scope))
        return JSONResponse(
            entered(await self._platform.set_up(body.email, body.password, body.name, body.setup_token, device), self._platform),
            201,
            NO_STORE,
        )

    async def login(self, body: LoginBody, request: Request) -> JSONResponse:
        """A session, or the second step."""
        found = await self._platform.sign_in(body.email, body.password, device_of(context_of(request.scope)))
        return JSONResponse(entered(found, self._platform), headers=NO_STORE)

    async def refresh(self, body: RefreshBody, request: Request) -> JSONResponse:
        """The next pair of tokens."""
        found = await self._sessions.refresh(self._platform.home, body.refresh_token, device_of(context_of(request.scope)))
        return JSONResponse(entered(found, self._platform), headers=NO_STORE)

    async def logout(self, request: Request) -> JSONResponse:
        """Refused on the next request."""
        await self._platform.sign_out(caller_of(request))
        return JSONResponse({"message": "Signed out."})

    async def me(self, request: Request) -> JSONResponse:
        """The caller's account."""
        return JSONResponse({"user": admin_body(await self._platform.me(caller_of(request)))})

    async def list_invitations(self, request: Request, include_accepted: bool = False, include_expired: bool = False) -> JSONResponse:
        """Those into the tenant; an administrator of the instance sees all."""
        rows = [
            row for row in await self._platform.invitations(_own(caller_of(request)))
            if (include_accepted or row["accepted_at"] is None) and (include_expired or not row["is_expired"])
        ]  # fmt: skip
        return JSONResponse({"invitations": rows, "total": len(rows)})

    async def invite(self, body: InviteBody, request: Request) -> JSONResponse:
        """201 with the token, this once. An instance administrator is invited by one only; a tenant's into the tenant that is named."""
        caller = caller_of(request)
        if body.role == INSTANCE_ADMIN and caller.platform_role != INSTANCE_ADMIN:
            raise Forbidden("Only an administrator of the instance invites one.", code="instance_required")
        row, token = await self._platform.invite(caller, body.email, body.role, None if body.role == INSTANCE_ADMIN else caller.tenant)
        return JSONResponse({**row, "invitation": row, "token": token}, 201, NO_STORE)

    async def withdraw(self, token: Token, request: Request) -> Response:
        """By id or token; void from now on."""
        if not token.startswith("fb_in_"):
            _uuid(token)
        await self._platform.withdraw(caller_of(request), token, _own(caller_of(request)))
        return Response(status_code=204)

    async def validate(self, token: Token) -> JSONResponse:
        """For whom it is; 404 when it can not be accepted."""
        row = await self._platform.invitation(token)
        return JSONResponse({"valid": True, "email": row["email"], "role": row["role"], "expires_at": row["expires_at"]})

    async def accept(self, token: Token, body: AcceptBody, request: Request) -> JSONResponse:
        """201: the account, signed in."""
        found = await self._platform.accept(token, body.password, body.name, device_of(context_of(request.scope)))
        return JSONResponse(entered(found, self._platform), 201, NO_STORE)

    async def list_admins(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Administrators of a tenant one administers."""
        return JSONResponse(await self._platform.admins((await self._administered.find(caller_of(request), tenant)).id))

    async def assign(self, tenant: TenantPath, body: AssignBody, request: Request) -> JSONResponse:
        """201; a platform user."""
        caller = caller_of(request)
        return JSONResponse(await self._platform.assign(caller, (await self._administered.find(caller, tenant)).id, str(body.user_id)), 201)

    async def change_member(self, tenant: TenantPath, user: UUID, body: MemberBody, request: Request) -> JSONResponse:
        """The member as it is; 404 for somebody who is none, 400 for a role that there is not."""
        rows = await self._platform.admins((await self._administered.find(caller_of(request), tenant)).id)
        found = next((row for row in rows if row["user_id"] == str(user)), None)
        if found is None:
            raise NotFound("No such administrator.", code="unknown_admin")
        return JSONResponse({**found, "role": body.role})

    async def unassign(self, tenant: TenantPath, user: UUID, request: Request) -> Response:
        """From his next request on."""
        caller = caller_of(request)
        await self._platform.unassign(caller, (await self._administered.find(caller, tenant)).id, str(user))
        return Response(status_code=204)


def _own(caller: Principal) -> TenantId | None:
    """None: everybody's."""
    return None if caller.platform_role == INSTANCE_ADMIN else caller.tenant


def _uuid(text: str) -> None:
    try:
        UUID(text)
    except ValueError:
        raise NotFound("No such invitation.", code="unknown_invitation") from None

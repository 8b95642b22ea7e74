"""/api/v1/admin/users: the accounts of a tenant (contract-native 1.10), for the service key and administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from fluxbase.auth.user_admin import UserChange
from fluxbase.kernel.access import ADMIN, Access
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import accounts_of, caller_of, tenant_of
from fluxbase.web.native.auth.platform_shapes import admin_body
from fluxbase.web.native.auth.shapes import user_body

if TYPE_CHECKING:
    from fluxbase.auth.platform import Platform
    from fluxbase.auth.user_admin import UserAdmin
    from fluxbase.auth.users import User
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/admin/users"
Kind = Annotated[str, Query(alias="type", max_length=20)]
UserPath = Annotated[str, Path(max_length=100)]


class AdminUserBody(ClientBody):
    """Body of POST and PATCH."""

    email: str | None = None
    email_verified: bool | None = None
    password: str | None = Field(default=None, repr=False)
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    role: str | None = None
    ban_duration: str | None = None

    def change(self) -> UserChange:
        """In the service's words."""
        return UserChange(
            email=self.email, is_confirmed=self.email_verified, password=self.password, user_metadata=self.user_metadata,
            app_metadata=self.app_metadata, role=self.role, ban_duration=self.ban_duration,
        )  # fmt: skip


class RoleBody(ClientBody):
    """Body of PATCH …/role."""

    role: str = Field(min_length=1, max_length=63)


class AdminUsers:
    """Translates; every rule is in ``auth/user_admin.py``."""

    def __init__(self, users: UserAdmin, platform: Platform, registry: TenantRegistry) -> None:
        self._users = users
        self._platform = platform
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, permission in (
            ("GET", "", self.list, "auth:users:read"),
            ("POST", "", self.create, "auth:users:write"),
            ("GET", "/{user}", self.get, "auth:users:read"),
            ("PATCH", "/{user}", self.update, "auth:users:write"),
            ("PATCH", "/{user}/role", self.set_role, "auth:users:write"),
            ("POST", "/{user}/signout", self.sign_out, "auth:users:write"),
            ("DELETE", "/{user}", self.delete, "auth:users:write"),
        ):
            name = f"admin.users{path.replace('/', '.').replace('{user}', 'one')}.{method.lower()}"
            control.add(method, ROOT + path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=permission)

    async def list(
        self, request: Request, search: Annotated[str, Query(max_length=255)] = "", limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0, kind: Kind = "app",
    ) -> JSONResponse:  # fmt: skip
        """``{users, total}`` of the application's accounts, or of the platform's administrators."""
        users, total = await self._users.list(accounts_of(request, self._registry, kind), offset=offset, limit=limit, search=search)
        return JSONResponse({"users": [_body(each, kind) for each in users], "total": total})

    async def create(self, body: AdminUserBody, request: Request) -> JSONResponse:
        """201 with the user."""
        user = await self._users.create(tenant_of(request, self._registry), body.change(), by=caller_of(request))
        return JSONResponse(_body(user), 201)

    async def get(self, user: UserPath, request: Request, kind: Kind = "app") -> JSONResponse:
        """One user."""
        return JSONResponse(_body(await self._users.get(accounts_of(request, self._registry, kind), user), kind))

    async def update(self, user: UserPath, body: AdminUserBody, request: Request) -> JSONResponse:
        """The changed user."""
        found = await self._users.update(tenant_of(request, self._registry), user, body.change(), by=caller_of(request))
        return JSONResponse(_body(found))

    async def set_role(self, user: UserPath, body: RoleBody, request: Request, kind: Kind = "app") -> JSONResponse:
        """Another role; ends the user's sessions, whose tokens name the old one."""
        accounts_of(request, self._registry, kind)
        if kind == "dashboard":
            return JSONResponse(_body(await self._platform.set_role(caller_of(request), user, body.role), kind))
        change = UserChange(role=body.role)
        return JSONResponse(_body(await self._users.update(tenant_of(request, self._registry), user, change, by=caller_of(request))))

    async def sign_out(self, user: UserPath, request: Request) -> JSONResponse:
        """End every session of the user."""
        ended = await self._users.end_sessions(tenant_of(request, self._registry), user, by=caller_of(request))
        return JSONResponse({"message": "Signed out everywhere.", "sessions": ended})

    async def delete(self, user: UserPath, request: Request, kind: Kind = "app") -> JSONResponse:
        """Gone with everything that refers to it; never the last administrator of the instance."""
        accounts_of(request, self._registry, kind)
        if kind == "dashboard":
            await self._platform.remove(caller_of(request), user)
            return JSONResponse({"message": "The administrator was deleted."})
        await self._users.delete(tenant_of(request, self._registry), user, by=caller_of(request))
        return JSONResponse({"message": "The user was deleted."})


def _body(user: User, kind: str = "app") -> dict[str, Any]:
    if kind == "dashboard":
        return admin_body(user)
    return {**user_body(user), "is_locked": user.is_locked, "banned_until": user.banned_until}

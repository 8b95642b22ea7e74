"""/api/v1/admin/roles and a user's roles: for administrators of a tenant (docs/rbac.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import ADMIN, Access
from fluxbase.web.caller import caller_of

if TYPE_CHECKING:
    from fluxbase.auth.roles import Roles
    from fluxbase.web.control import ControlPlane

ROLES = "/api/v1/admin/roles"
OF_USER = "/api/v1/admin/users/{user}/roles"
Name = Annotated[str, Path(max_length=63)]


class RoleBody(BaseModel):
    """Body of PUT."""

    model_config = ConfigDict(extra="forbid")
    description: str = Field(default="", max_length=500)
    permissions: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=200)


class RoleRoutes:
    """Translates; every rule is in ``auth/roles.py``."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name, action in (
            ("GET", ROLES, self.list, "roles.list", "read"),
            ("PUT", f"{ROLES}/{{name}}", self.put, "roles.put", "write"),
            ("DELETE", f"{ROLES}/{{name}}", self.delete, "roles.delete", "write"),
            ("GET", OF_USER, self.of_user, "roles.of_user", "read"),
            ("PUT", f"{OF_USER}/{{name}}", self.assign, "roles.assign", "write"),
            ("DELETE", f"{OF_USER}/{{name}}", self.unassign, "roles.unassign", "write"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=f"auth:roles:{action}")

    async def list(self, request: Request) -> JSONResponse:
        """Every role of the tenant."""
        return JSONResponse({"roles": await self._roles.list(caller_of(request))})

    async def put(self, name: Name, body: RoleBody, request: Request) -> JSONResponse:
        """Make a role or write it anew."""
        return JSONResponse(await self._roles.put(caller_of(request), name, body.description, body.permissions))

    async def delete(self, name: Name, request: Request) -> Response:
        """Whoever had it has it no more."""
        await self._roles.delete(caller_of(request), name)
        return Response(status_code=204)

    async def of_user(self, user: UUID, request: Request) -> JSONResponse:
        """A user's tenant-wide roles."""
        return JSONResponse({"roles": await self._roles.of_user(caller_of(request), str(user))})

    async def assign(self, user: UUID, name: Name, request: Request) -> JSONResponse:
        """Give it; what the user has now."""
        return JSONResponse({"roles": await self._roles.assign(caller_of(request), str(user), name)})

    async def unassign(self, user: UUID, name: Name, request: Request) -> JSONResponse:
        """Take it back; what the user has left."""
        return JSONResponse({"roles": await self._roles.unassign(caller_of(request), str(user), name)})

"""GoTrue's /admin/users (contract-supabase 2.3), for the service key and administrators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from fluxbase.auth.user_admin import UserChange
from fluxbase.kernel.access import ADMIN, Access
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.supabase.auth.shapes import user_body

if TYPE_CHECKING:
    from fluxbase.auth.user_admin import UserAdmin
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

UserPath = Annotated[str, Path(max_length=100)]


class AdminUserBody(ClientBody):
    """Body of POST and PUT."""

    id: str | None = None
    email: str | None = None
    email_confirm: bool | None = None
    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    role: str | None = None
    ban_duration: str | None = None

    def change(self) -> UserChange:
        """In the service's words."""
        return UserChange(
            self.id, self.email, self.email_confirm or None, self.password, self.password_hash, self.user_metadata, self.app_metadata,
            self.role or None, self.ban_duration,
        )  # fmt: skip


class DeleteBody(ClientBody):
    """Body of DELETE, which may be empty."""

    should_soft_delete: bool = False


class GoTrueAdmin:
    """Translates; every rule is in ``auth/user_admin.py``."""

    def __init__(self, users: UserAdmin, registry: TenantRegistry) -> None:
        self._users = users
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, permission in (
            ("GET", "", self.list, "auth:users:read"),
            ("POST", "", self.create, "auth:users:write"),
            ("GET", "/{user}", self.get, "auth:users:read"),
            ("PUT", "/{user}", self.update, "auth:users:write"),
            ("DELETE", "/{user}", self.delete, "auth:users:write"),
        ):
            name = f"gotrue.admin.users{'.one' if path else ''}.{method.lower()}"
            control.add(
                method, f"/auth/v1/admin/users{path}", endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=permission
            )

    async def list(
        self, request: Request, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        per_page: Annotated[int, Query(ge=1, le=1000)] = 50, filter: Annotated[str, Query(max_length=255)] = "",  # noqa: A002 - GoTrue's name
    ) -> JSONResponse:  # fmt: skip
        """A page; how many there are and where the next ones are stands in the headers."""
        tenant = tenant_of(request, self._registry)
        users, total = await self._users.list(tenant, offset=(page - 1) * per_page, limit=per_page, search=filter)
        last = max(1, math.ceil(total / per_page))
        links = [*([("next", page + 1)] if page < last else []), ("last", last)]
        headers = {
            "x-total-count": str(total),
            "link": ", ".join(f'</admin/users?page={number}&per_page={per_page}>; rel="{name}"' for name, number in links),
        }
        return JSONResponse({"users": [user_body(each) for each in users], "aud": "authenticated"}, headers=headers)

    async def create(self, body: AdminUserBody, request: Request) -> JSONResponse:
        """The new user."""
        return JSONResponse(user_body(await self._users.create(tenant_of(request, self._registry), body.change(), by=caller_of(request))))

    async def get(self, user: UserPath, request: Request) -> JSONResponse:
        """One user."""
        return JSONResponse(user_body(await self._users.get(tenant_of(request, self._registry), user)))

    async def update(self, user: UserPath, body: AdminUserBody, request: Request) -> JSONResponse:
        """The changed user."""
        found = await self._users.update(tenant_of(request, self._registry), user, body.change(), by=caller_of(request))
        return JSONResponse(user_body(found))

    async def delete(self, user: UserPath, request: Request, body: DeleteBody | None = None) -> JSONResponse:
        """Gone with everything that refers to it, or softly."""
        is_soft = body is not None and body.should_soft_delete
        await self._users.delete(tenant_of(request, self._registry), user, by=caller_of(request), is_soft=is_soft)
        return JSONResponse({})

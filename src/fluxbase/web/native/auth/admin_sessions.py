"""/api/v1/admin/auth/sessions: the live sessions of a tenant's users (contract-native 1.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse

from fluxbase.kernel.access import ADMIN, Access
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.native.auth.shapes import session_body

if TYPE_CHECKING:
    from fluxbase.auth.user_admin import UserAdmin
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/admin/auth/sessions"
Id = Annotated[str, Path(max_length=100)]


class AdminSessions:
    """Translates; every rule is in ``auth/user_admin.py``."""

    def __init__(self, users: UserAdmin, registry: TenantRegistry) -> None:
        self._users = users
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name, permission in (
            ("GET", "", self.list, "admin.sessions.list", "auth:users:read"),
            ("DELETE", "/user/{user}", self.end_all, "admin.sessions.end_all", "auth:users:write"),
            ("DELETE", "/{session}", self.end, "admin.sessions.end", "auth:users:write"),
        ):
            control.add(method, ROOT + path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=permission)

    async def list(
        self, request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 50, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0
    ) -> JSONResponse:
        """Whose, from where, since when; the one used last first."""
        found, total = await self._users.list_sessions(tenant_of(request, self._registry), offset=offset, limit=limit)
        sessions = [{**session_body(each, None), "user_id": each.user_id} for each in found]
        return JSONResponse({"sessions": sessions, "total": total})

    async def end(self, session: Id, request: Request) -> JSONResponse:
        """Refused on its next request; 404 when there is none."""
        await self._users.end_session(tenant_of(request, self._registry), session, by=caller_of(request))
        return JSONResponse({"message": "The session has ended."})

    async def end_all(self, user: Id, request: Request) -> JSONResponse:
        """All of one user."""
        ended = await self._users.end_sessions(tenant_of(request, self._registry), user, by=caller_of(request))
        return JSONResponse({"message": "The user's sessions have ended.", "sessions": ended})

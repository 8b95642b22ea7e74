"""/api/v1/auth/impersonate: acting as somebody else, and the record of it (contract-native 1.1, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import ADMIN, Access
from fluxbase.web.caller import caller_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.shapes import user_body

if TYPE_CHECKING:
    from fluxbase.auth.impersonation import Impersonation
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/auth/impersonate"


class ReasonBody(BaseModel):
    """Body of POST /anon and /service."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(max_length=500)


class ImpersonateBody(ReasonBody):
    """Body of POST."""

    target_user_id: UUID


class ImpersonationRoutes:
    """Translates; every rule is in ``auth/impersonation.py``."""

    def __init__(self, impersonation: Impersonation, *, seconds: int) -> None:
        self._impersonation = impersonation
        self._seconds = seconds

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen. Who impersonates may ask what he is and stop it."""
        for method, path, endpoint, name, access, action in (
            ("POST", ROOT, self.user, "impersonation.user", Access.SERVICE, "start"),
            ("POST", f"{ROOT}/anon", self.anon, "impersonation.anon", Access.SERVICE, "start"),
            ("POST", f"{ROOT}/service", self.service, "impersonation.service", Access.SERVICE, "start"),
            ("DELETE", ROOT, self.stop, "impersonation.stop", Access.CREDENTIAL, "stop"),
            ("GET", ROOT, self.current, "impersonation.current", Access.CREDENTIAL, "stop"),
            ("GET", f"{ROOT}/sessions", self.sessions, "impersonation.sessions", Access.SERVICE, "read"),
        ):
            control.add(method, path, endpoint, access=access, limit=ADMIN, name=name, permission=f"auth:impersonation:{action}")

    async def user(self, body: ImpersonateBody, request: Request) -> JSONResponse:
        """As a user; never as an administrator."""
        return await self._start(request, "user", str(body.target_user_id), body.reason)

    async def anon(self, body: ReasonBody, request: Request) -> JSONResponse:
        """As somebody who is not signed in."""
        return await self._start(request, "anon", None, body.reason)

    async def service(self, body: ReasonBody, request: Request) -> JSONResponse:
        """As the tenant's service role."""
        return await self._start(request, "service", None, body.reason)

    async def _start(self, request: Request, kind: str, target: str | None, reason: str) -> JSONResponse:
        row, user, token = await self._impersonation.start(caller_of(request), kind, target, reason, device_of(context_of(request.scope)))
        body: dict[str, Any] = {"session": row, "target_user": None if user is None else user_body(user)}
        return JSONResponse(
            {**body, "access_token": token, "refresh_token": "", "expires_in": self._seconds}, headers={"cache-control": "no-store"}
        )

    async def stop(self, request: Request) -> JSONResponse:
        """Its token is refused from now on."""
        ended = await self._impersonation.stop(caller_of(request))
        return JSONResponse({"success": True, "message": "Ended." if ended else "There was none."})

    async def current(self, request: Request) -> JSONResponse:
        """What the caller is at, with nulls when at nothing."""
        row, user = await self._impersonation.current(caller_of(request))
        return JSONResponse({"session": row, "target_user": None if user is None else user_body(user)})

    async def sessions(
        self, request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50, offset: Annotated[int, Query(ge=0, le=100_000)] = 0
    ) -> JSONResponse:
        """The record."""
        rows = await self._impersonation.history(caller_of(request), limit, offset)
        return JSONResponse({"sessions": rows, "total": len(rows)})

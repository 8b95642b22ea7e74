"""/api/v1/orgs: organisations, their members and teams, for their own members (docs/rbac.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import CONTROL_PLANE, Access
from fluxbase.web.caller import caller_of

if TYPE_CHECKING:
    from fluxbase.auth.organisations import Organisations
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/orgs"
ONE = f"{ROOT}/{{organisation}}"
MEMBER = f"{ONE}/members/{{user}}"
TEAM = f"{ONE}/teams/{{team}}"
Role = Annotated[str | None, Field(max_length=63)]


class OrganisationBody(BaseModel):
    """Body of POST."""

    model_config = ConfigDict(extra="forbid")
    slug: str = Field(max_length=63)
    name: str = Field(default="", max_length=200)
    metadata: dict[str, Any] = Field(default={})
    owner_id: UUID | None = None


class OrganisationChange(BaseModel):
    """Body of PATCH."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(default=None, max_length=200)
    metadata: dict[str, Any] | None = None


class MemberBody(BaseModel):
    """Body of POST on members."""

    model_config = ConfigDict(extra="forbid")
    user_id: UUID
    role: Role = None


class RoleOfMember(BaseModel):
    """Body of PATCH on a member."""

    model_config = ConfigDict(extra="forbid")
    role: Role


class TeamBody(BaseModel):
    """Body of POST on teams."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=200)
    role: Role = None


class OrganisationRoutes:
    """Translates; every rule is in ``auth/organisations.py``."""

    def __init__(self, organisations: Organisations) -> None:
        self._organisations = organisations

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name in (
            ("GET", ROOT, self.list, "orgs.list"),
            ("POST", ROOT, self.create, "orgs.create"),
            ("GET", ONE, self.get, "orgs.get"),
            ("PATCH", ONE, self.update, "orgs.update"),
            ("DELETE", ONE, self.delete, "orgs.delete"),
            ("GET", f"{ONE}/members", self.members, "orgs.members"),
            ("POST", f"{ONE}/members", self.add_member, "orgs.add_member"),
            ("PATCH", MEMBER, self.change_member, "orgs.change_member"),
            ("DELETE", MEMBER, self.remove_member, "orgs.remove_member"),
            ("GET", f"{ONE}/teams", self.teams, "orgs.teams"),
            ("POST", f"{ONE}/teams", self.create_team, "orgs.create_team"),
            ("DELETE", TEAM, self.delete_team, "orgs.delete_team"),
            ("PUT", f"{TEAM}/members/{{user}}", self.join_team, "orgs.join_team"),
            ("DELETE", f"{TEAM}/members/{{user}}", self.leave_team, "orgs.leave_team"),
        ):
            control.add(
                method, path, endpoint, access=Access.CREDENTIAL, limit=CONTROL_PLANE, name=name, permission="orgs:organisations:use"
            )

    async def list(self, request: Request, offset: Annotated[int, Query(ge=0, le=10_000)] = 0) -> JSONResponse:
        """The caller's own, a hundred at a time."""
        return JSONResponse({"organisations": await self._organisations.list(caller_of(request), offset)})

    async def create(self, body: OrganisationBody, request: Request) -> JSONResponse:
        """201; the caller is its owner."""
        owner = None if body.owner_id is None else str(body.owner_id)
        return JSONResponse(await self._organisations.create(caller_of(request), body.slug, body.name, body.metadata, owner), 201)

    async def get(self, organisation: UUID, request: Request) -> JSONResponse:
        """One of the caller's."""
        return JSONResponse(await self._organisations.get(caller_of(request), str(organisation)))

    async def update(self, organisation: UUID, body: OrganisationChange, request: Request) -> JSONResponse:
        """Name and metadata."""
        return JSONResponse(await self._organisations.update(caller_of(request), str(organisation), body.name, body.metadata))

    async def delete(self, organisation: UUID, request: Request) -> Response:
        """With its teams and memberships."""
        await self._organisations.delete(caller_of(request), str(organisation))
        return Response(status_code=204)

    async def members(self, organisation: UUID, request: Request) -> JSONResponse:
        """Who is in it."""
        return JSONResponse({"members": await self._organisations.members(caller_of(request), str(organisation))})

    async def add_member(self, organisation: UUID, body: MemberBody, request: Request) -> JSONResponse:
        """Take a user in."""
        row = await self._organisations.set_member(caller_of(request), str(organisation), str(body.user_id), body.role, is_new=True)
        return JSONResponse(row, 201)

    async def change_member(self, organisation: UUID, user: UUID, body: RoleOfMember, request: Request) -> JSONResponse:
        """Another role."""
        row = await self._organisations.set_member(caller_of(request), str(organisation), str(user), body.role, is_new=False)
        return JSONResponse(row)

    async def remove_member(self, organisation: UUID, user: UUID, request: Request) -> Response:
        """Put out, or leave."""
        await self._organisations.remove_member(caller_of(request), str(organisation), str(user))
        return Response(status_code=204)

    async def teams(self, organisation: UUID, request: Request) -> JSONResponse:
        """Its teams."""
        return JSONResponse({"teams": await self._organisations.teams(caller_of(request), str(organisation))})

    async def create_team(self, organisation: UUID, body: TeamBody, request: Request) -> JSONResponse:
        """201."""
        return JSONResponse(await self._organisations.create_team(caller_of(request), str(organisation), body.name, body.role), 201)

    async def delete_team(self, organisation: UUID, team: UUID, request: Request) -> Response:
        """Its members stay in the organisation."""
        await self._organisations.delete_team(caller_of(request), str(organisation), str(team))
        return Response(status_code=204)

    async def join_team(self, organisation: UUID, team: UUID, user: UUID, request: Request) -> Response:
        """Put a member of the organisation into it."""
        await self._organisations.set_team_member(caller_of(request), str(organisation), str(team), str(user), is_in=True)
        return Response(status_code=204)

    async def leave_team(self, organisation: UUID, team: UUID, user: UUID, request: Request) -> Response:
        """Take a member out of it."""
        await self._organisations.set_team_member(caller_of(request), str(organisation), str(team), str(user), is_in=False)
        return Response(status_code=204)

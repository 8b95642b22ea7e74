"""/api/v1/admin/tenants: the lifecycle over HTTP (contract-native 1.10, 2.9).

For the instance's own service key and administrators; whoever administers a tenant reads it, and changes its name and metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import ADMIN, Access
from fluxbase.kernel.errors import Forbidden, InvalidInput
from fluxbase.kernel.permissions import administers, covers
from fluxbase.tenancy.lifecycle import NewTenant
from fluxbase.web.caller import caller_of
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.native.administered import Administered

ROOT = "/api/v1/admin/tenants"
TenantPath = Annotated[str, Path(max_length=100, description="Id or slug.")]


class TenantCreate(BaseModel):
    """Body of POST. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid")
    slug: str = Field(max_length=200)
    name: str = Field(default="", max_length=200)
    metadata: dict[str, Any] = Field(default={})
    hosts: list[str] = Field(default=[], max_length=20)
    isolation: Literal["database", "schema", "row"] = "database"
    db_mode: Literal["auto", "existing"] = "auto"
    db_name: str = Field(default="", max_length=63)
    auto_generate_keys: bool = True


class TenantUpdate(BaseModel):
    """Body of PATCH."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(default=None, max_length=200)
    metadata: dict[str, Any] | None = None


class TenantRoutes:
    """Translates; every rule is in ``tenancy/lifecycle.py``."""

    def __init__(self, administered: Administered) -> None:
        self._tenants = administered.tenants
        self._administered = administered

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen; literal paths before ``{tenant}``."""
        control.add(
            "GET", f"{ROOT}/mine", self.mine, access=Access.CREDENTIAL, limit=ADMIN, name="tenants.mine", permission="tenants:own:read"
        )
        for method, path, endpoint, name, action in (
            ("GET", ROOT, self.list, "tenants.list", "read"),
            ("GET", f"{ROOT}/deleted", self.deleted, "tenants.deleted", "read"),
            ("POST", ROOT, self.create, "tenants.create", "create"),
            ("DELETE", f"{ROOT}/{{tenant}}", self.delete, "tenants.delete", "delete"),
            ("POST", f"{ROOT}/{{tenant}}/recover", self.recover, "tenants.recover", "update"),
            ("POST", f"{ROOT}/{{tenant}}/migrate", self.migrate, "tenants.migrate", "update"),
            ("POST", f"{ROOT}/{{tenant}}/repair", self.repair, "tenants.repair", "update"),
            ("POST", f"{ROOT}/{{tenant}}/freeze", self.freeze, "tenants.freeze", "update"),
            ("POST", f"{ROOT}/{{tenant}}/thaw", self.thaw, "tenants.thaw", "update"),
        ):
            control.add(method, path, endpoint, access=Access.INSTANCE, limit=ADMIN, name=name, permission=f"tenants:tenants:{action}")
        for method, endpoint, name, action in (
            ("GET", self.get, "tenants.get", "read"),
            ("PATCH", self.update, "tenants.update", "write"),
        ):
            control.add(
                method, f"{ROOT}/{{tenant}}", endpoint, access=Access.CREDENTIAL, limit=ADMIN, name=name, permission=f"tenants:own:{action}"
            )

    async def list(self) -> JSONResponse:
        """Every tenant that is not deleted."""
        return JSONResponse([row.public() for row in await self._tenants.list()])

    async def deleted(self) -> JSONResponse:
        """Those that ``recover`` can bring back."""
        return JSONResponse([row.public() for row in await self._tenants.list(with_deleted=True) if row.deleted_at])

    async def mine(self, request: Request) -> JSONResponse:
        """The tenant of the key that asks; of a platform administrator, those he is assigned to."""
        caller = caller_of(request)
        if caller.platform_role == "instance_admin":
            return JSONResponse([{**row.public(), "my_role": caller.platform_role} for row in await self._tenants.list()])
        if caller.platform_role is None and not (administers(caller) or covers(caller.permissions, "tenants:own:read")):
            raise Forbidden("An administrator of the tenant is required.", code="service_role_required")
        ids = [caller.tenant] if caller.platform_role is None else await self._administered.assigned(caller)
        return JSONResponse([{**(await self._tenants.get(tenant)).public(), "my_role": "tenant_admin"} for tenant in ids])

    async def create(self, body: TenantCreate, request: Request) -> JSONResponse:
        """201 with the tenant, at the top level and under ``tenant``, and its keys."""
        if body.db_mode != "auto" or body.db_name:
            raise InvalidInput(
                "A tenant's database is made here and named by its id; one that exists is not taken over.", code="database_not_ours",
                hint="Leave db_mode and db_name out, then bring the data in with fluxbase db dump and restore.",
            )  # fmt: skip
        row = await self._tenants.create(
            NewTenant(body.slug, body.name, body.metadata, tuple(body.hosts), body.isolation), actor=_actor(request)
        )
        answer: dict[str, Any] = {**row.public(), "tenant": row.public(), "invitation_sent": False}
        if body.auto_generate_keys:
            answer |= await self._tenants.keys(row)
        return JSONResponse(answer, status_code=201)

    async def get(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """One tenant that the caller administers."""
        return JSONResponse((await self._administered.find(caller_of(request), tenant, "tenants:own:read")).public())

    async def update(self, tenant: TenantPath, body: TenantUpdate, request: Request) -> JSONResponse:
        """Name and metadata."""
        found = await self._administered.find(caller_of(request), tenant, "tenants:own:write")
        row = await self._tenants.update(found.id, name=body.name, metadata=body.metadata, actor=_actor(request))
        return JSONResponse(row.public())

    async def delete(self, tenant: TenantPath, request: Request, is_hard: Annotated[bool, Query(alias="hard")] = False) -> Response:
        """204. Soft unless ``hard=true``; the default tenant is refused."""
        await self._tenants.delete(tenant, is_hard=is_hard, actor=_actor(request))
        return Response(status_code=204)

    async def recover(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Undo a soft delete."""
        await self._tenants.recover(tenant, actor=_actor(request))
        return JSONResponse({"status": "recovered"})

    async def migrate(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Apply pending user migrations."""
        applied = await self._tenants.migrate(tenant, actor=_actor(request))
        return JSONResponse({"status": "migrated" if applied else "skipped", "applied": applied})

    async def repair(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Run every step of the making again."""
        return JSONResponse((await self._tenants.repair(tenant, actor=_actor(request))).public())

    async def freeze(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Refuse every request of the tenant from now on."""
        row = await self._tenants.freeze(tenant, is_frozen=True, actor=_actor(request))
        return JSONResponse({"id": row.id, "is_frozen": True})

    async def thaw(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Serve it again."""
        row = await self._tenants.freeze(tenant, is_frozen=False, actor=_actor(request))
        return JSONResponse({"id": row.id, "is_frozen": False})


def _actor(request: Request) -> str:
    principal = context_of(request.scope).principal
    if principal is None:
        return "nobody"
    return f"user:{principal.user_id}" if principal.user_id else f"key:{principal.credential_id}"

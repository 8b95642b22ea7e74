"""/api/v1/admin/tenants: the lifecycle over HTTP (contract-native 1.10, 2.9). For the instance's own service key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import ADMIN, Access
from fluxbase.kernel.errors import Forbidden
from fluxbase.kernel.permissions import administers, covers
from fluxbase.tenancy.lifecycle import NewTenant
from fluxbase.web.caller import caller_of
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.lifecycle import TenantLifecycle
    from fluxbase.web.control import ControlPlane

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
    auto_generate_keys: bool = True


class TenantUpdate(BaseModel):
    """Body of PATCH."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(default=None, max_length=200)
    metadata: dict[str, Any] | None = None


class TenantRoutes:
    """Translates; every rule is in ``tenancy/lifecycle.py``."""

    def __init__(self, tenants: TenantLifecycle, assigned: Callable[[Principal], Awaitable[list[str]]]) -> None:
        self._tenants = tenants
        self._assigned = assigned

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen; literal paths before ``{tenant}``."""
        control.add(
            "GET", f"{ROOT}/mine", self.mine, access=Access.CREDENTIAL, limit=ADMIN, name="tenants.mine", permission="tenants:own:read"
        )
        for method, path, endpoint, name, action in (
            ("GET", ROOT, self.list, "tenants.list", "read"),
            ("GET", f"{ROOT}/deleted", self.deleted, "tenants.deleted", "read"),
            ("POST", ROOT, self.create, "tenants.create", "create"),
            ("GET", f"{ROOT}/{{tenant}}", self.get, "tenants.get", "read"),
            ("PATCH", f"{ROOT}/{{tenant}}", self.update, "tenants.update", "update"),
            ("DELETE", f"{ROOT}/{{tenant}}", self.delete, "tenants.delete", "delete"),
            ("POST", f"{ROOT}/{{tenant}}/recover", self.recover, "tenants.recover", "update"),
            ("POST", f"{ROOT}/{{tenant}}/migrate", self.migrate, "tenants.migrate", "update"),
            ("POST", f"{ROOT}/{{tenant}}/repair", self.repair, "tenants.repair", "update"),
            ("POST", f"{ROOT}/{{tenant}}/freeze", self.freeze, "tenants.freeze", "update"),
            ("POST", f"{ROOT}/{{tenant}}/thaw", self.thaw, "tenants.thaw", "update"),
        ):
            control.add(method, path, endpoint, access=Access.INSTANCE, limit=ADMIN, name=name, permission=f"tenants:tenants:{action}")

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
        ids = [caller.tenant] if caller.platform_role is None else await self._assigned(caller)
        return JSONResponse([{**(await self._tenants.get(tenant)).public(), "my_role": "tenant_admin"} for tenant in ids])

    async def create(self, body: TenantCreate, request: Request) -> JSONResponse:
        """201 with the tenant, at the top level and under ``tenant``, and its keys."""
        row = await self._tenants.create(
            NewTenant(body.slug, body.name, body.metadata, tuple(body.hosts), body.isolation), actor=_actor(request)
        )
        answer: dict[str, Any] = {**row.public(), "tenant": row.public(), "invitation_sent": False}
        if body.auto_generate_keys:
            answer |= await self._tenants.keys(row)
        return JSONResponse(answer, status_code=201)

    async def get(self, tenant: TenantPath) -> JSONResponse:
        """One tenant."""
        return JSONResponse((await self._tenants.get(tenant)).public())

    async def update(self, tenant: TenantPath, body: TenantUpdate, request: Request) -> JSONResponse:
        """Name and metadata."""
        row = await self._tenants.update(tenant, name=body.name, metadata=body.metadata, actor=_actor(request))
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
    return f"key:{principal.credential_id}" if principal else "nobody"

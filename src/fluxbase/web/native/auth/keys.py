"""/api/v1/client-keys and /api/v1/admin/service-keys (contract-native 1.9, 2.8). A key's text is in the answer that made it only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fluxbase.auth.api_keys import NewKey
from fluxbase.kernel.access import ADMIN, CONTROL_PLANE, Access
from fluxbase.web.caller import caller_of

if TYPE_CHECKING:
    from fluxbase.auth.api_keys import ApiKeys
    from fluxbase.web.control import ControlPlane

CLIENT = "/api/v1/client-keys"
SERVICE = "/api/v1/admin/service-keys"
Scopes = Annotated[list[Annotated[str, Field(max_length=50)]], Field(max_length=50)]
Tables = dict[Annotated[str, Field(max_length=130)], Annotated[list[Annotated[str, Field(max_length=10)]], Field(max_length=4)]]
Networks = Annotated[list[Annotated[str, Field(max_length=50)]], Field(max_length=50)]
_NO_STORE = {"cache-control": "no-store"}


class KeyBody(BaseModel):
    """Members that both kinds of keys have when they are made."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=500)
    scopes: Scopes
    tables: Tables | None = None
    networks: Networks = []
    rate_limit_per_minute: int = Field(default=100, ge=0, le=1_000_000)
    rate_limit_per_hour: int | None = Field(default=None, ge=1, le=2_147_483_647)
    expires_at: AwareDatetime | None = None

    def wanted(self, **more: Any) -> NewKey:
        """As the service takes it; a limit of 0 is the default, as the contract has it."""
        return NewKey(
            self.name, tuple(self.scopes), self.description, self.tables, tuple(self.networks), self.rate_limit_per_minute or 100,
            self.rate_limit_per_hour, None if self.expires_at is None else self.expires_at.isoformat(), **more,
        )  # fmt: skip


class ClientKeyBody(KeyBody):
    """Body of POST /client-keys."""

    is_test: bool = False
    user_id: UUID | None = None


class ServiceKeyBody(KeyBody):
    """Body of POST /admin/service-keys."""

    scopes: Scopes = ["*"]
    key_type: Literal["service", "anon"] = "service"


class KeyChange(BaseModel):
    """Body of PATCH and PUT: what is not named stays."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=500)
    scopes: Scopes | None = None
    tables: Tables | None = None
    networks: Networks | None = None
    rate_limit_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    rate_limit_per_hour: int | None = Field(default=None, ge=1, le=2_147_483_647)
    expires_at: AwareDatetime | None = None

    def named(self) -> dict[str, Any]:
        """The members that were sent."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if found.get("expires_at") is not None:
            found["expires_at"] = found["expires_at"].isoformat()
        return {
            name: value for name, value in found.items() if value is not None or name in ("tables", "expires_at", "rate_limit_per_hour")
        }


class ReasonBody(BaseModel):
    """Body of revoke."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=500)


class GraceBody(ReasonBody):
    """Body of deprecate."""

    grace_period_hours: int = Field(default=24, ge=0, le=8760)


class RotateBody(BaseModel):
    """Body of rotate; both names of the contract."""

    model_config = ConfigDict(extra="forbid")
    new_name: str | None = Field(default=None, max_length=200)
    new_key_name: str | None = Field(default=None, max_length=200)
    new_scopes: Scopes | None = None
    grace_period_hours: int = Field(default=24, ge=0, le=8760)


def record(row: dict[str, Any]) -> dict[str, Any]:
    """A key as it is shown: never its hash."""
    shown = {name: value for name, value in row.items() if name not in ("role", "kind", "version", "ends_at", "is_enabled")}
    return {**shown, "key_type": "anon" if row["role"] == "anon" else "service", "enabled": row["is_enabled"], "allowed_namespaces": None}


class KeyRoutes:
    """Translates; every rule is in ``auth/api_keys.py``."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name, action in (
            ("GET", CLIENT, self.list_client, "client_keys.list", "read"),
            ("POST", CLIENT, self.create_client, "client_keys.create", "write"),
            ("GET", f"{CLIENT}/{{key}}", self.get_client, "client_keys.get", "read"),
            ("PATCH", f"{CLIENT}/{{key}}", self.update_client, "client_keys.update", "write"),
            ("DELETE", f"{CLIENT}/{{key}}", self.delete_client, "client_keys.delete", "write"),
            ("POST", f"{CLIENT}/{{key}}/revoke", self.revoke_client, "client_keys.revoke", "write"),
        ):
            control.add(
                method, path, endpoint, access=Access.CREDENTIAL, limit=CONTROL_PLANE, name=name, permission=f"keys:client:{action}"
            )
        for method, path, endpoint, name, action in (
            ("GET", SERVICE, self.list_service, "service_keys.list", "read"),
            ("POST", SERVICE, self.create_service, "service_keys.create", "write"),
            ("GET", f"{SERVICE}/{{key}}", self.get_service, "service_keys.get", "read"),
            ("PUT", f"{SERVICE}/{{key}}", self.update_service, "service_keys.update", "write"),
            ("DELETE", f"{SERVICE}/{{key}}", self.delete_service, "service_keys.delete", "write"),
            ("POST", f"{SERVICE}/{{key}}/disable", self.disable_service, "service_keys.disable", "write"),
            ("POST", f"{SERVICE}/{{key}}/enable", self.enable_service, "service_keys.enable", "write"),
            ("POST", f"{SERVICE}/{{key}}/revoke", self.revoke_service, "service_keys.revoke", "write"),
            ("POST", f"{SERVICE}/{{key}}/deprecate", self.deprecate_service, "service_keys.deprecate", "write"),
            ("POST", f"{SERVICE}/{{key}}/rotate", self.rotate_service, "service_keys.rotate", "write"),
            ("GET", f"{SERVICE}/{{key}}/revocations", self.revocations, "service_keys.revocations", "read"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=f"keys:service:{action}")

    async def list_client(self, request: Request, user_id: Annotated[UUID | None, Query()] = None) -> JSONResponse:
        """One's own; an administrator sees all, or those of ``user_id``."""
        rows = await self._keys.list(caller_of(request), "client", None if user_id is None else str(user_id))
        return JSONResponse({"client_keys": [record(row) for row in rows], "total": len(rows)})

    async def create_client(self, body: ClientKeyBody, request: Request) -> JSONResponse:
        """201 with the key, this once."""
        user = None if body.user_id is None else str(body.user_id)
        row, text = await self._keys.create(caller_of(request), "client", body.wanted(is_test=body.is_test, user_id=user))
        return JSONResponse({**record(row), "client_key": record(row), "key": text}, 201, _NO_STORE)

    async def get_client(self, key: UUID, request: Request) -> JSONResponse:
        """One of them."""
        return JSONResponse(record(await self._keys.get(caller_of(request), "client", str(key))))

    async def update_client(self, key: UUID, body: KeyChange, request: Request) -> JSONResponse:
        """Acts on the key's next request."""
        row = await self._keys.update(caller_of(request), "client", str(key), body.named())
        return JSONResponse({"success": True, "message": "Changed.", **record(row)})

    async def delete_client(self, key: UUID, request: Request) -> Response:
        """204; refused from now on."""
        await self._keys.delete(caller_of(request), "client", str(key))
        return Response(status_code=204)

    async def revoke_client(self, key: UUID, request: Request, body: ReasonBody | None = None) -> JSONResponse:
        """Refused from now on; stays in the list."""
        await self._keys.revoke(caller_of(request), "client", str(key), "" if body is None else body.reason)
        return JSONResponse({"success": True, "message": "Revoked."})

    async def list_service(self, request: Request) -> JSONResponse:
        """Every named key of the tenant."""
        return JSONResponse([record(row) for row in await self._keys.list(caller_of(request), "service")])

    async def create_service(self, body: ServiceKeyBody, request: Request) -> JSONResponse:
        """201 with the key, this once."""
        row, text = await self._keys.create(caller_of(request), "service", body.wanted(key_type=body.key_type))
        return JSONResponse({**record(row), "key": text}, 201, _NO_STORE)

    async def get_service(self, key: UUID, request: Request) -> JSONResponse:
        """One of them."""
        return JSONResponse(record(await self._keys.get(caller_of(request), "service", str(key))))

    async def update_service(self, key: UUID, body: KeyChange, request: Request) -> JSONResponse:
        """Acts on the key's next request."""
        return JSONResponse(record(await self._keys.update(caller_of(request), "service", str(key), body.named())))

    async def delete_service(self, key: UUID, request: Request) -> Response:
        """204; refused from now on."""
        await self._keys.delete(caller_of(request), "service", str(key))
        return Response(status_code=204)

    async def disable_service(self, key: UUID, request: Request) -> JSONResponse:
        """Refused until it is enabled again."""
        return JSONResponse(record(await self._keys.update(caller_of(request), "service", str(key), {"is_enabled": False})))

    async def enable_service(self, key: UUID, request: Request) -> JSONResponse:
        """Served again."""
        return JSONResponse(record(await self._keys.update(caller_of(request), "service", str(key), {"is_enabled": True})))

    async def revoke_service(self, key: UUID, request: Request, body: ReasonBody | None = None) -> JSONResponse:
        """Refused from now on, for good."""
        return JSONResponse(record(await self._keys.revoke(caller_of(request), "service", str(key), "" if body is None else body.reason)))

    async def deprecate_service(self, key: UUID, request: Request, body: GraceBody | None = None) -> JSONResponse:
        """Valid for the hours of grace."""
        hours = (body or GraceBody()).grace_period_hours
        return JSONResponse(record(await self._keys.deprecate(caller_of(request), str(key), hours)))

    async def rotate_service(self, key: UUID, request: Request, body: RotateBody | None = None) -> JSONResponse:
        """201: a new key; the old one is valid for the hours of grace."""
        asked = body or RotateBody()
        row, text = await self._keys.rotate(
            caller_of(request), str(key), asked.new_name or asked.new_key_name, asked.new_scopes, asked.grace_period_hours
        )
        return JSONResponse({**record(row), "key": text}, 201, _NO_STORE)

    async def revocations(self, key: UUID, request: Request) -> JSONResponse:
        """When, by whom and why it was revoked."""
        row = await self._keys.get(caller_of(request), "service", str(key))
        shown = {name: row[name] for name in ("id", "name", "revoked_at", "revoked_by", "revocation_reason")}
        return JSONResponse([shown] if row["revoked_at"] is not None else [])

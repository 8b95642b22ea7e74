"""Passkeys: /auth/v1/passkeys as GoTrue's clients call it, and the same under /api/v1/auth/passkeys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import ADMIN, CONFIRM, CONTROL_PLANE, Access
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import Dialect, context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth import shapes as native
from fluxbase.web.supabase.auth.accounts import entered

if TYPE_CHECKING:
    from fluxbase.auth.passkeys.service import PasskeyService
    from fluxbase.auth.passkeys.store import Passkey
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

Identifier = Annotated[str, Path(max_length=64)]
_NO_STORE = {"cache-control": "no-store"}


class AnswerBody(BaseModel):
    """A credential and the challenge it answers."""

    model_config = ConfigDict(extra="ignore")
    challenge_id: str = Field(max_length=64)
    credential: dict[str, Any]
    friendly_name: str = Field(default="", max_length=120)


class NameBody(BaseModel):
    """Body of PATCH."""

    model_config = ConfigDict(extra="ignore")
    friendly_name: str = Field(max_length=120)


class PasskeyRoutes:
    """Translates; every rule is in ``auth/passkeys``."""

    def __init__(self, passkeys: PasskeyService, registry: TenantRegistry) -> None:
        self._passkeys = passkeys
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen, for both dialects."""
        for root, area in (("/auth/v1/passkeys", "gotrue"), ("/api/v1/auth/passkeys", "auth")):
            for method, path, endpoint, name in (
                ("POST", f"{root}/registration/options", self.begin_registration, "passkeys_register_begin"),
                ("POST", f"{root}/registration/verify", self.finish_registration, "passkeys_register"),
                ("GET", root, self.list, "passkeys"),
                ("PATCH", f"{root}/{{passkey}}", self.rename, "passkeys_rename"),
                ("DELETE", f"{root}/{{passkey}}", self.remove, "passkeys_remove"),
            ):
                control.add(
                    method, path, endpoint, access=Access.USER, limit=CONTROL_PLANE, name=f"{area}.{name}", permission="auth:account:write"
                )
            control.add(
                "POST", f"{root}/authentication/options", self.begin_sign_in, access=Access.ENTRY, limit=CONTROL_PLANE,
                name=f"{area}.passkeys_signin_begin", permission="auth:session:begin",
            )  # fmt: skip
            control.add(
                "POST", f"{root}/authentication/verify", self.finish_sign_in, access=Access.ENTRY, limit=CONFIRM,
                name=f"{area}.passkeys_signin", permission="auth:session:begin",
            )  # fmt: skip
        admin = "/auth/v1/admin/users/{user}/passkeys"
        for method, path, endpoint, name in (
            ("GET", admin, self.admin_list, "gotrue.admin_passkeys"),
            ("DELETE", f"{admin}/{{passkey}}", self.admin_remove, "gotrue.admin_passkeys_delete"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission="auth:factors:manage")

    async def begin_registration(self, request: Request) -> JSONResponse:
        """Options for ``navigator.credentials.create``."""
        found = await self._passkeys.begin_registration(tenant_of(request, self._registry), caller_of(request))
        return JSONResponse(found, headers=_NO_STORE)

    async def finish_registration(self, body: AnswerBody, request: Request) -> JSONResponse:
        """The new passkey."""
        tenant, caller = tenant_of(request, self._registry), caller_of(request)
        made = await self._passkeys.finish_registration(tenant, caller, body.challenge_id, body.credential, body.friendly_name)
        return JSONResponse(_passkey_body(made))

    async def begin_sign_in(self, request: Request) -> JSONResponse:
        """Options for ``navigator.credentials.get``."""
        return JSONResponse(await self._passkeys.begin_sign_in(tenant_of(request, self._registry)), headers=_NO_STORE)

    async def finish_sign_in(self, body: AnswerBody, request: Request) -> JSONResponse:
        """A session."""
        context = context_of(request.scope)
        found = await self._passkeys.finish_sign_in(
            tenant_of(request, self._registry), body.challenge_id, body.credential, device_of(context)
        )
        word = native.entered if context.dialect is Dialect.NATIVE else entered
        return JSONResponse(word(found), headers=_NO_STORE)

    async def list(self, request: Request) -> JSONResponse:
        """The caller's passkeys."""
        return JSONResponse(
            [_passkey_body(each) for each in await self._passkeys.list(tenant_of(request, self._registry), caller_of(request))]
        )

    async def rename(self, passkey: Identifier, body: NameBody, request: Request) -> JSONResponse:
        """Another name."""
        tenant, caller = tenant_of(request, self._registry), caller_of(request)
        return JSONResponse(_passkey_body(await self._passkeys.rename(tenant, caller, passkey, body.friendly_name)))

    async def remove(self, passkey: Identifier, request: Request) -> Response:
        """204. Another's passkey and none at all are the same 404."""
        await self._passkeys.remove(tenant_of(request, self._registry), caller_of(request), passkey)
        return Response(status_code=204)

    async def admin_list(self, user: Identifier, request: Request) -> JSONResponse:
        """A user's passkeys."""
        return JSONResponse([_passkey_body(each) for each in await self._passkeys.list_of(tenant_of(request, self._registry), user)])

    async def admin_remove(self, user: Identifier, passkey: Identifier, request: Request) -> Response:
        """Take a passkey away; written to the audit log."""
        await self._passkeys.remove_of(tenant_of(request, self._registry), user, passkey, by=caller_of(request))
        return Response(status_code=204)


def _passkey_body(passkey: Passkey) -> dict[str, Any]:
    optional = {"friendly_name": passkey.friendly_name, "last_used_at": passkey.last_used_at}
    return {"id": passkey.id, "created_at": passkey.created_at, **{name: value for name, value in optional.items() if value}}

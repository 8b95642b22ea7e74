"""GoTrue: /factors, their challenges, recovery codes, and /admin/users/{id}/factors (contract-supabase 2.2, 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.factors import totp
from fluxbase.kernel.access import ADMIN, CONTROL_PLANE, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.supabase.auth.shapes import factor_body, session_body

if TYPE_CHECKING:
    from fluxbase.auth.factors.removal import FactorRemoval
    from fluxbase.auth.factors.service import Factors
    from fluxbase.auth.passkeys.security_keys import SecurityKeys
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/auth/v1/factors"
_NO_STORE = {"cache-control": "no-store"}
Identifier = Annotated[str, Path(max_length=64)]


class EnrolBody(BaseModel):
    """Body of POST /factors."""

    model_config = ConfigDict(extra="ignore")
    factor_type: str = Field(max_length=20)
    friendly_name: str | None = Field(default=None, max_length=120)
    issuer: str | None = Field(default=None, max_length=64)


class WebAuthnAnswer(BaseModel):
    """What a security key answered."""

    model_config = ConfigDict(extra="ignore")
    type: str = Field(default="", max_length=20)
    credential_response: dict[str, Any] = Field(default={})


class VerifyBody(BaseModel):
    """Body of POST /factors/{id}/verify."""

    model_config = ConfigDict(extra="ignore")
    challenge_id: str = Field(default="", max_length=64)
    code: str = Field(default="", max_length=64, repr=False)
    webauthn: WebAuthnAnswer | None = None


class CodeBody(BaseModel):
    """Body of POST /factors/recovery-codes/verify."""

    model_config = ConfigDict(extra="ignore")
    code: str = Field(max_length=64, repr=False)


class NameBody(BaseModel):
    """Body of PUT /admin/users/{id}/factors/{factor}."""

    model_config = ConfigDict(extra="ignore")
    friendly_name: str = Field(max_length=120)


class GoTrueFactors:
    """Translates; every rule is in ``auth/factors``."""

    def __init__(self, factors: Factors, removal: FactorRemoval, keys: SecurityKeys, registry: TenantRegistry) -> None:
        self._factors = factors
        self._removal = removal
        self._keys = keys
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen; literal paths before ``{factor}``."""
        for method, path, endpoint, access, name in (
            ("POST", ROOT, self.enrol, Access.PENDING, "gotrue.factors_enroll"),
            ("GET", f"{ROOT}/recovery-codes", self.codes, Access.PENDING, "gotrue.recovery_codes"),
            ("POST", f"{ROOT}/recovery-codes", self.new_codes, Access.USER, "gotrue.recovery_codes_generate"),
            ("POST", f"{ROOT}/recovery-codes/regenerate", self.new_codes, Access.USER, "gotrue.recovery_codes_regenerate"),
            ("POST", f"{ROOT}/recovery-codes/verify", self.use_code, Access.PENDING, "gotrue.recovery_codes_verify"),
            ("DELETE", f"{ROOT}/recovery-codes", self.remove_codes, Access.USER, "gotrue.recovery_codes_remove"),
            ("POST", f"{ROOT}/{{factor}}/challenge", self.challenge, Access.PENDING, "gotrue.factors_challenge"),
            ("POST", f"{ROOT}/{{factor}}/verify", self.verify, Access.PENDING, "gotrue.factors_verify"),
            ("DELETE", f"{ROOT}/{{factor}}", self.unenrol, Access.PENDING, "gotrue.factors_unenroll"),
        ):
            control.add(method, path, endpoint, access=access, limit=CONTROL_PLANE, name=name, permission="auth:account:write")
        admin = "/auth/v1/admin/users/{user}/factors"
        for method, path, endpoint, name in (
            ("GET", admin, self.admin_list, "gotrue.admin_factors"),
            ("PUT", f"{admin}/{{factor}}", self.admin_rename, "gotrue.admin_factors_update"),
            ("DELETE", f"{admin}/{{factor}}", self.admin_delete, "gotrue.admin_factors_delete"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission="auth:factors:manage")

    async def enrol(self, body: EnrolBody, request: Request) -> JSONResponse:
        """A factor that waits for its first code or key."""
        tenant, caller, name = tenant_of(request, self._registry), caller_of(request), body.friendly_name or ""
        if body.factor_type == "webauthn":
            factor = await self._keys.enrol(tenant, caller, name)
            return JSONResponse({"id": factor.id, "type": "webauthn", "friendly_name": name})
        if body.factor_type == "phone":
            raise AuthError("MFA enroll is disabled for Phone", code="mfa_phone_enroll_not_enabled")
        if body.factor_type != "totp":
            raise AuthError("factor_type needs to be totp or webauthn", code="validation_failed")
        made = await self._factors.enrol_totp(tenant, caller, friendly_name=name, issuer=body.issuer or "")
        shown = {"qr_code": totp.qr_svg(totp.qr(made.uri)), "secret": made.secret, "uri": made.uri}
        return JSONResponse({"id": made.factor.id, "type": "totp", "friendly_name": name, "totp": shown}, headers=_NO_STORE)

    async def challenge(self, factor: Identifier, request: Request) -> JSONResponse:
        """Begin to show a factor."""
        tenant, caller = tenant_of(request, self._registry), caller_of(request)
        if await self._factors.type_of(tenant, caller, factor) == "webauthn":
            return JSONResponse(await self._keys.challenge(tenant, caller, factor))
        device = device_of(context_of(request.scope))
        challenge_id, ends_at, shown = await self._factors.challenge(tenant, caller, factor, device)
        return JSONResponse({"id": challenge_id, "type": shown.factor_type, "expires_at": ends_at})

    async def verify(self, factor: Identifier, body: VerifyBody, request: Request) -> JSONResponse:
        """The session, raised to aal2."""
        tenant, caller = tenant_of(request, self._registry), caller_of(request)
        if body.webauthn is not None:
            issued = await self._keys.verify(tenant, caller, factor, body.challenge_id, body.webauthn.credential_response)
        else:
            device = device_of(context_of(request.scope))
            issued = await self._factors.verify(tenant, caller, factor, body.challenge_id, body.code, device)
        return JSONResponse(session_body(issued), headers=_NO_STORE)

    async def unenrol(self, factor: Identifier, request: Request) -> JSONResponse:
        """The factor is gone, and sessions that rest on it are aal1."""
        return JSONResponse({"id": await self._removal.remove(tenant_of(request, self._registry), caller_of(request), factor)})

    async def codes(self, request: Request) -> JSONResponse:
        """How many recovery codes are left."""
        found = await self._factors.recovery.status(tenant_of(request, self._registry), caller_of(request))
        return JSONResponse({"id": found.id, "type": "recovery_code", "total": found.total, "remaining": found.remaining})

    async def new_codes(self, request: Request) -> JSONResponse:
        """Ten new recovery codes, shown this once."""
        factor_id, codes = await self._factors.recovery.renew(tenant_of(request, self._registry), caller_of(request))
        return JSONResponse({"id": factor_id, "type": "recovery_code", "total": len(codes), "codes": codes}, headers=_NO_STORE)

    async def use_code(self, body: CodeBody, request: Request) -> JSONResponse:
        """The session, raised by a recovery code."""
        issued = await self._factors.recovery.verify(tenant_of(request, self._registry), caller_of(request), body.code)
        return JSONResponse(session_body(issued), headers=_NO_STORE)

    async def remove_codes(self, request: Request) -> JSONResponse:
        """No recovery code is good any more."""
        return JSONResponse({"id": await self._factors.recovery.remove(tenant_of(request, self._registry), caller_of(request))})

    async def admin_list(self, user: Identifier, request: Request) -> JSONResponse:
        """A user's factors."""
        return JSONResponse([factor_body(each) for each in await self._removal.list_of(tenant_of(request, self._registry), user)])

    async def admin_rename(self, user: Identifier, factor: Identifier, body: NameBody, request: Request) -> JSONResponse:
        """Another name."""
        tenant = tenant_of(request, self._registry)
        return JSONResponse(factor_body(await self._removal.rename(tenant, user, factor, body.friendly_name, by=caller_of(request))))

    async def admin_delete(self, user: Identifier, factor: Identifier, request: Request) -> JSONResponse:
        """Take a factor away; written to the audit log."""
        taken = await self._removal.reset(tenant_of(request, self._registry), user, factor, by=caller_of(request))
        return JSONResponse(factor_body(taken[0]))

"""/api/v1/auth/2fa: the second factor (contract-native 2.4), and its reset by an administrator.

``signin`` answers ``{requires_2fa, user_id, ticket}``: both members carry the same opaque ticket, because the SDK sends back what it
found in ``user_id``. A user's id is never accepted in its place (threat B26).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.factors import totp
from fluxbase.auth.users import SECOND_FACTORS
from fluxbase.kernel.access import ADMIN, CONFIRM, CONTROL_PLANE, Access
from fluxbase.web.caller import accounts_of, caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.shapes import entered, tokens_body

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.factors.removal import FactorRemoval
    from fluxbase.auth.factors.service import Factors
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/auth/2fa"
_NO_STORE = {"cache-control": "no-store"}
_CODE_LENGTH = 64


class SetupBody(BaseModel):
    """Body of POST /2fa/setup, which may be empty."""

    model_config = ConfigDict(extra="ignore")
    issuer: str = Field(default="", max_length=64)
    friendly_name: str = Field(default="", max_length=120)


class CodeBody(BaseModel):
    """Body of POST /2fa/enable."""

    model_config = ConfigDict(extra="ignore")
    code: str = Field(max_length=_CODE_LENGTH, repr=False)


class VerifyBody(BaseModel):
    """Body of POST /2fa/verify: the ticket stands in either member."""

    model_config = ConfigDict(extra="ignore")
    user_id: str = Field(default="", max_length=200, repr=False)
    ticket: str = Field(default="", max_length=200, repr=False)
    code: str = Field(max_length=_CODE_LENGTH, repr=False)


class PasswordBody(BaseModel):
    """Body of POST /2fa/disable."""

    model_config = ConfigDict(extra="ignore")
    password: str = Field(repr=False)


class NativeFactors:
    """Translates; every rule is in ``auth/factors``."""

    def __init__(self, factors: Factors, removal: FactorRemoval, accounts: Accounts, registry: TenantRegistry) -> None:
        self._factors = factors
        self._removal = removal
        self._accounts = accounts
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name in (
            ("POST", f"{ROOT}/setup", self.setup, "auth.2fa_setup"),
            ("POST", f"{ROOT}/enable", self.enable, "auth.2fa_enable"),
            ("POST", f"{ROOT}/challenge", self.challenge, "auth.2fa_challenge"),
            ("GET", f"{ROOT}/status", self.status, "auth.2fa_status"),
        ):
            control.add(method, path, endpoint, access=Access.PENDING, limit=CONTROL_PLANE, name=name, permission="auth:account:write")
        control.add(
            "POST",
            f"{ROOT}/verify",
            self.verify,
            access=Access.ENTRY,
            limit=CONFIRM,
            name="auth.2fa_verify",
            permission="auth:session:begin",
        )
        for path, endpoint, name in (
            ("disable", self.disable, "auth.2fa_disable"),
            ("recovery-codes", self.recovery_codes, "auth.2fa_codes"),
        ):
            control.add(
                "POST", f"{ROOT}/{path}", endpoint, access=Access.USER, limit=CONTROL_PLANE, name=name, permission="auth:account:write"
            )
        control.add(
            "POST", "/api/v1/admin/users/{user}/2fa/reset", self.reset, access=Access.SERVICE, limit=ADMIN, name="admin.users_2fa_reset",
            permission="auth:factors:manage",
        )  # fmt: skip

    async def setup(self, request: Request, body: SetupBody | None = None) -> JSONResponse:
        """A new secret as text, as ``otpauth://`` and as a picture; it counts when its first code was given."""
        wanted = body or SetupBody()
        made = await self._factors.enrol_totp(
            tenant_of(request, self._registry), caller_of(request), friendly_name=wanted.friendly_name, issuer=wanted.issuer
        )
        code = totp.qr(made.uri)
        picture = {"qr_code": totp.qr_png_data_uri(code), "qr_svg": totp.qr_svg(code), "secret": made.secret, "uri": made.uri}
        return JSONResponse({"id": made.factor.id, "type": "totp", "totp": picture}, headers=_NO_STORE)

    async def enable(self, body: CodeBody, request: Request) -> JSONResponse:
        """The first code: ten recovery codes, and new tokens, because the session shows two factors now."""
        issued, codes = await self._factors.confirm_newest(tenant_of(request, self._registry), caller_of(request), body.code)
        answer = {
            "success": True, "backup_codes": codes, "message": "Two-factor authentication is on. Keep the recovery codes in a safe place.",
            **tokens_body(issued),
        }  # fmt: skip
        return JSONResponse(answer, headers=_NO_STORE)

    async def challenge(self, request: Request) -> JSONResponse:
        """A ticket with which ``verify`` raises the caller's own session (step-up)."""
        device = device_of(context_of(request.scope))
        ticket = await self._factors.step_up_ticket(tenant_of(request, self._registry), caller_of(request), device)
        return JSONResponse({"ticket": ticket, "user_id": ticket}, headers=_NO_STORE)

    async def verify(self, body: VerifyBody, request: Request) -> JSONResponse:
        """The second step of a sign-in: a session. 401 without a good ticket, 400 for a wrong code."""
        device = device_of(context_of(request.scope))
        issued = await self._factors.complete(tenant_of(request, self._registry), body.ticket or body.user_id, body.code, device)
        return JSONResponse(entered(issued), headers=_NO_STORE)

    async def status(self, request: Request) -> JSONResponse:
        """Which factors there are."""
        user, _ = await self._accounts.current(tenant_of(request, self._registry), caller_of(request))
        factors = [_factor_body(each) for each in user.factors if each["factor_type"] in SECOND_FACTORS]
        return JSONResponse({
            "totp_enabled": user.has_second_factor, "all": factors,
            "totp": [each for each in factors if each["type"] == "totp" and each["status"] == "verified"],
        })  # fmt: skip

    async def disable(self, body: PasswordBody, request: Request) -> JSONResponse:
        """No second factor any more, with the password, in a session that showed it."""
        factor_id = await self._removal.remove_all(tenant_of(request, self._registry), caller_of(request), body.password)
        return JSONResponse({"id": factor_id, "success": True, "message": "Two-factor authentication is off."})

    async def recovery_codes(self, request: Request) -> JSONResponse:
        """Ten new recovery codes; the old ones are dead."""
        _, codes = await self._factors.recovery.renew(tenant_of(request, self._registry), caller_of(request))
        return JSONResponse({"success": True, "backup_codes": codes}, headers=_NO_STORE)

    async def reset(
        self, user: Annotated[str, Path(max_length=64)], request: Request, kind: Annotated[str, Query(alias="type", max_length=20)] = "app"
    ) -> JSONResponse:
        """An administrator takes every factor of a user away; written to the audit log."""
        taken = await self._removal.reset(accounts_of(request, self._registry, kind), user, None, by=caller_of(request))
        return JSONResponse({"success": True, "removed": [each["id"] for each in taken]})


def _factor_body(factor: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": factor["id"], "type": factor["factor_type"], "status": factor["status"], "created_at": factor["created_at"],
        "updated_at": factor["updated_at"], **({"friendly_name": factor["friendly_name"]} if factor["friendly_name"] else {}),
    }  # fmt: skip

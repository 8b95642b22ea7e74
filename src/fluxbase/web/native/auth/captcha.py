"""/api/v1/auth/captcha: what a page needs to show a captcha, and a challenge of the built-in one (contract-native 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.kernel.access import CONTROL_PLANE, Access
from fluxbase.web.caller import tenant_of

if TYPE_CHECKING:
    from fluxbase.auth.captcha.service import CaptchaService
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/auth/captcha"


class CheckBody(BaseModel):
    """Body of POST /captcha/check; members that only adaptive providers use are ignored."""

    model_config = ConfigDict(extra="ignore")
    endpoint: str = Field(max_length=40)


class CaptchaRoutes:
    """Translates; every rule is in ``auth/captcha``."""

    def __init__(self, captcha: CaptchaService, registry: TenantRegistry) -> None:
        self._captcha = captcha
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        control.add("GET", f"{ROOT}/config", self.settings, access=Access.PUBLIC, limit=CONTROL_PLANE, name="auth.captcha_config")
        control.add(
            "POST",
            f"{ROOT}/check",
            self.check,
            access=Access.ENTRY,
            limit=CONTROL_PLANE,
            name="auth.captcha_check",
            permission="auth:settings:read",
        )

    async def settings(self, request: Request) -> JSONResponse:
        """Provider, site key and the flows that ask for it."""
        return JSONResponse(self._captcha.public_settings(tenant_of(request, self._registry)))

    async def check(self, body: CheckBody, request: Request) -> JSONResponse:
        """Whether this flow asks for one; with the built-in provider, the challenge to solve."""
        return JSONResponse(self._captcha.challenge(tenant_of(request, self._registry), body.endpoint))

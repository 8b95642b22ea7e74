"""/api/v1/admin/users/invite and …/reset-password (contract-native 1.10): what an administrator has mailed to a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from fluxbase.auth.account_mails import MailRequest
from fluxbase.auth.platform import INSTANCE_ADMIN
from fluxbase.kernel.access import ADMIN, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import accounts_of, caller_of
from fluxbase.web.native.auth.dashboard import RESET_PAGE
from fluxbase.web.native.auth.shapes import user_body

if TYPE_CHECKING:
    from fluxbase.auth.account_mails import AccountMails
    from fluxbase.auth.platform import Platform
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.auth.user_admin import UserAdmin
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/admin/users"
Kind = Annotated[str, Query(alias="type", max_length=20)]


class InviteBody(ClientBody):
    """Body of POST /admin/users/invite."""

    email: str = Field(max_length=255)
    role: Literal["", "instance_admin", "tenant_admin"] = ""
    user_metadata: dict[str, Any] = Field(default={})
    redirect_to: str | None = Field(default=None, max_length=2000)


class AdminMailed:
    """Translates; every rule is in ``auth/account_mails.py`` and ``auth/platform.py``."""

    def __init__(
        self, users: UserAdmin, mails: AccountMails, platform: Platform, redirects: RedirectRule, registry: TenantRegistry, public_url: str
    ) -> None:
        self._users = users
        self._mails = mails
        self._platform = platform
        self._redirects = redirects
        self._registry = registry
        self._reset_url = f"{public_url}{RESET_PAGE}"

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for path, endpoint, name in (
            ("/invite", self.invite, "admin.users.invite"),
            ("/{user}/reset-password", self.reset, "admin.users.reset_password"),
        ):
            control.add("POST", ROOT + path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission="auth:users:write")

    async def invite(self, body: InviteBody, request: Request, kind: Kind = "app") -> JSONResponse:
        """201: a user of the application and his mail; with ``type=dashboard`` an administrator's invitation and its token, this once."""
        tenant = accounts_of(request, self._registry, kind)
        if kind == "dashboard":
            role = body.role or INSTANCE_ADMIN
            into = None if role == INSTANCE_ADMIN else caller_of(request).tenant
            row, token = await self._platform.invite(caller_of(request), body.email, role, into)
            answer = {"user": {"email": row["email"], "role": row["role"]}, "invitation": row, "token": token}
            return JSONResponse({**answer, "message": "Hand the token over; it is shown this once."}, 201, {"cache-control": "no-store"})
        redirect_to = self._redirects.checked(body.redirect_to) or None
        asked = MailRequest(body.email, redirect_to, user_metadata=body.user_metadata)
        user = await self._mails.invite(tenant, asked, by=caller_of(request))
        return JSONResponse({"user": user_body(user), "message": "The invitation is on its way."}, 201)

    async def reset(self, user: Annotated[str, Path(max_length=100)], request: Request, kind: Kind = "app") -> JSONResponse:
        """A mail with a link to choose a new password; the old one stays good until then."""
        tenant = accounts_of(request, self._registry, kind)
        found = await self._users.get(tenant, user)
        if not found.email:
            raise AuthError("The user has no e-mail address.", code="validation_failed")
        is_admin = kind == "dashboard"
        await self._mails.recover(tenant, MailRequest(found.email, self._reset_url if is_admin else None, is_app_link=is_admin))
        return JSONResponse({"message": "A mail is on its way."})

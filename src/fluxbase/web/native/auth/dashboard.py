"""/api/v1/dashboard/auth: a platform administrator's own account (contract-native 1.2, 2.4; docs/platform.md).

Over the same services as the account of every user, in the administrators' own tenant. ``login`` answers ``{requires_2fa, user_id,
ticket}`` where a second factor is on: both members carry one opaque ticket, a user's id is accepted nowhere in its place (threat B26).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Form, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from fluxbase.auth.account_mails import MailRequest
from fluxbase.auth.accounts import AccountChange
from fluxbase.auth.factors import totp
from fluxbase.auth.platform import at_home
from fluxbase.kernel.access import ADMIN, CONFIRM, CONTROL_PLANE, RECOVERY, Access
from fluxbase.kernel.errors import AuthError, Forbidden
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.mailed import ResetBody, TokenBody
from fluxbase.web.native.auth.platform_shapes import NO_STORE, admin_body, entered
from fluxbase.web.native.auth.shapes import tokens_body
from fluxbase.web.verify_page import note_page, reset_page

if TYPE_CHECKING:
    from fluxbase.auth.account_mails import AccountMails
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.factors.removal import FactorRemoval
    from fluxbase.auth.factors.service import Factors
    from fluxbase.auth.platform import Platform
    from fluxbase.auth.verification import Verification
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/dashboard/auth"
RESET_PAGE = "/dashboard/reset-password"
_PERMISSION = "platform:account:use"
_CODE_LENGTH = 64


class FactorBody(ClientBody):
    """Body of POST 2fa/setup, which may be empty."""

    friendly_name: str = Field(default="", max_length=120)


class CodeBody(ClientBody):
    """Body of POST 2fa/enable and 2fa/verify: the ticket stands in either member."""

    user_id: str = Field(default="", max_length=200, repr=False)
    ticket: str = Field(default="", max_length=200, repr=False)
    code: str = Field(max_length=_CODE_LENGTH, repr=False)


class PasswordBody(ClientBody):
    """Body of what wants the password again."""

    password: str = Field(repr=False)


class ChangeBody(ClientBody):
    """Body of POST password/change."""

    current_password: str = Field(repr=False)
    new_password: str = Field(repr=False)


class ProfileBody(ClientBody):
    """Body of PUT profile."""

    full_name: str | None = Field(default=None, max_length=200)
    name: str | None = Field(default=None, max_length=200)
    avatar_url: str | None = Field(default=None, max_length=1000)


class EmailBody(ClientBody):
    """Body of POST password/reset."""

    email: str = Field(max_length=255)


class DashboardRoutes:
    """Translates; every rule is in ``auth/``."""

    def __init__(
        self, platform: Platform, accounts: Accounts, factors: Factors, removal: FactorRemoval, mails: AccountMails,
        verification: Verification, *, public_url: str, app_name: str,
    ) -> None:  # fmt: skip
        self._platform = platform
        self._home = platform.home
        self._accounts = accounts
        self._factors = factors
        self._removal = removal
        self._mails = mails
        self._verification = verification
        self._reset_url = f"{public_url}{RESET_PAGE}"
        self._app_name = app_name

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen; login, sign-up and refresh are those of ``platform.py``."""
        for method, path, endpoint, limit in (
            ("POST", f"{ROOT}/2fa/verify", self.verify, CONFIRM),
            ("POST", f"{ROOT}/password/reset", self.reset, RECOVERY),
            ("POST", f"{ROOT}/password/reset/verify", self.check_reset, CONFIRM),
            ("POST", f"{ROOT}/password/reset/confirm", self.confirm_reset, CONFIRM),
            ("GET", RESET_PAGE, self.page, CONTROL_PLANE),
            ("POST", RESET_PAGE, self.press, CONFIRM),
        ):
            name = f"dashboard{path.removeprefix(ROOT).removeprefix('/dashboard').replace('/', '.')}.{method.lower()}"
            control.add(method, path, endpoint, access=Access.PUBLIC, limit=limit, name=name)
        for method, path, endpoint, access in (
            ("GET", "/me", self.me, Access.PENDING),
            ("POST", "/2fa/setup", self.setup, Access.PENDING),
            ("POST", "/2fa/enable", self.enable, Access.PENDING),
            ("POST", "/2fa/disable", self.disable, Access.PLATFORM),
            ("POST", "/2fa/recovery-codes", self.recovery_codes, Access.PLATFORM),
            ("PUT", "/profile", self.profile, Access.PLATFORM),
            ("POST", "/password/change", self.change_password, Access.PLATFORM),
            ("DELETE", "/account", self.close_account, Access.PLATFORM),
        ):
            name = f"dashboard{path.replace('/', '.')}.{method.lower()}"
            control.add(method, f"{ROOT}{path}", endpoint, access=access, limit=ADMIN, name=name, permission=_PERMISSION)

    # -- the second step of a sign-in, a forgotten password -----------------------------------------------------------------

    async def verify(self, body: CodeBody, request: Request) -> JSONResponse:
        """The second step: a session. 401 without a good ticket, 400 for a wrong code."""
        device = device_of(context_of(request.scope))
        found = await self._factors.complete(self._home, body.ticket or body.user_id, body.code, device)
        return JSONResponse(entered(found, self._platform), headers=NO_STORE)

    async def reset(self, body: EmailBody) -> JSONResponse:
        """The same answer whether or not an administrator has the address."""
        await self._mails.recover(self._home, MailRequest(body.email, redirect_to=self._reset_url, is_app_link=True))
        return JSONResponse({"message": "If an administrator has this address, a mail is on its way."})

    async def check_reset(self, body: TokenBody) -> JSONResponse:
        """Whether the token is good; it stays so."""
        await self._verification.check_reset(self._home, body.token)
        return JSONResponse({"valid": True, "message": "The token is valid."})

    async def confirm_reset(self, body: ResetBody, request: Request) -> JSONResponse:
        """A new password; then a session, or the second step."""
        device = device_of(context_of(request.scope))
        found = await self._verification.reset_password(self._home, body.token, body.new_password, device)
        return JSONResponse(entered(found, self._platform), headers=NO_STORE)

    async def page(self, token: Annotated[str, Query()] = "") -> Response:
        """What the mailed link opens: a field for the new password. Uses nothing up."""
        return reset_page(self._app_name, token, RESET_PAGE)

    async def press(self, request: Request, token: Annotated[str, Form()] = "", new_password: Annotated[str, Form()] = "") -> Response:
        """The page's button: the new password, and no session in a browser's history."""
        context = context_of(request.scope)
        if context.headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            raise Forbidden("The button of a mailed link is pressed on its own page.", code="cross_site_form")
        try:
            await self._verification.reset_password(self._home, token, new_password, device_of(context))
        except AuthError as error:
            context.error_code = error.code
            if error.code == "weak_password":
                return reset_page(self._app_name, token, RESET_PAGE, words=error.message, status=400)
            return note_page(self._app_name, "This link is not valid any more. Ask for a new one.", status=403)
        return note_page(self._app_name, "Your password is changed. You can sign in with it now.", status=200)

    # -- signed in ----------------------------------------------------------------------------------------------------------

    async def me(self, request: Request) -> JSONResponse:
        """The caller's account; also before its second factor was shown, so that a page can say whose it asks for."""
        body = admin_body(await self._platform.me(caller_of(request)))
        return JSONResponse({**body, "user": body})

    async def setup(self, request: Request, body: FactorBody | None = None) -> JSONResponse:
        """A new secret as text, as ``otpauth://`` and as a picture; it counts when its first code was given."""
        wanted = body or FactorBody()
        made = await self._factors.enrol_totp(self._home, _self(request), friendly_name=wanted.friendly_name, issuer="")
        code = totp.qr(made.uri)
        picture = {"qr_code": totp.qr_png_data_uri(code), "qr_svg": totp.qr_svg(code), "secret": made.secret, "uri": made.uri}
        return JSONResponse({"id": made.factor.id, "type": "totp", "totp": picture, **picture}, headers=NO_STORE)

    async def enable(self, body: CodeBody, request: Request) -> JSONResponse:
        """The first code: ten recovery codes, and new tokens, because the session shows two factors now."""
        issued, codes = await self._factors.confirm_newest(self._home, _self(request), body.code)
        return JSONResponse({"success": True, "backup_codes": codes, **tokens_body(issued)}, headers=NO_STORE)

    async def disable(self, body: PasswordBody, request: Request) -> JSONResponse:
        """No second factor any more, with the password, in a session that showed it."""
        factor = await self._removal.remove_all(self._home, _self(request), body.password)
        return JSONResponse({"id": factor, "success": True, "message": "Two-factor authentication is off."})

    async def recovery_codes(self, request: Request) -> JSONResponse:
        """Ten new recovery codes; the old ones are dead."""
        _, codes = await self._factors.recovery.renew(self._home, _self(request))
        return JSONResponse({"success": True, "backup_codes": codes}, headers=NO_STORE)

    async def profile(self, body: ProfileBody, request: Request) -> JSONResponse:
        """Name and picture."""
        given: dict[str, Any] = {"name": body.full_name if body.full_name is not None else body.name, "avatar_url": body.avatar_url}
        change = AccountChange(user_metadata={name: value for name, value in given.items() if value is not None})
        return JSONResponse(admin_body(await self._accounts.update(self._home, _self(request), change)))

    async def change_password(self, body: ChangeBody, request: Request) -> JSONResponse:
        """With the old one; the other sessions end."""
        await self._accounts.update(
            self._home, _self(request), AccountChange(password=body.new_password, current_password=body.current_password)
        )
        return JSONResponse({"message": "The password is changed; your other sessions have ended."})

    async def close_account(self, body: PasswordBody, request: Request) -> JSONResponse:
        """Gone, with its assignments; 409 for the last one who administers the instance."""
        await self._platform.close_account(caller_of(request), body.password)
        return JSONResponse({"message": "The account was deleted."})


def _self(request: Request) -> Principal:
    return at_home(caller_of(request))

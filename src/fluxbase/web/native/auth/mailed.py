"""/api/v1/auth: magic link, e-mail code, password reset, verification, reauthentication (contract-native 1.1, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import Field

from fluxbase.auth.account_mails import MailRequest
from fluxbase.auth.one_time import PURPOSES
from fluxbase.auth.verification import AppCode, HalfConfirmed, Proof
from fluxbase.kernel.access import CONFIRM, RECOVERY, Access
from fluxbase.kernel.errors import AuthError
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.native.auth.shapes import entered, user_body

if TYPE_CHECKING:
    from fluxbase.auth.account_mails import AccountMails
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.auth.users import Device
    from fluxbase.auth.verification import Verification
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/auth"
_NO_STORE = {"cache-control": "no-store"}
_ASKED = {"user": None, "session": None}


class MailOptions(ClientBody):
    """The SDK's ``options`` of a mailed sign-in."""

    redirect_to: str | None = None
    should_create_user: bool = True
    data: dict[str, Any] = Field(default={})


class MailBody(ClientBody):
    """Body of whatever asks for a mail."""

    email: str = ""
    phone: str = ""
    type: str = "email"
    redirect_to: str | None = None
    options: MailOptions = Field(default=MailOptions())


class TokenBody(ClientBody):
    """Body of whatever takes the token of a link."""

    token: str = Field(repr=False, max_length=300)


class ResetBody(TokenBody):
    """Body of POST /auth/password/reset/confirm."""

    new_password: str = Field(repr=False)


class CodeBody(ClientBody):
    """Body of POST /auth/otp/verify."""

    email: str = ""
    phone: str = ""
    token: str = Field(repr=False, max_length=300)
    type: str = "email"


class NativeMailed:
    """Translates; every rule is in ``auth/account_mails.py`` and ``auth/verification.py``."""

    def __init__(
        self, mails: AccountMails, verification: Verification, accounts: Accounts, redirects: RedirectRule, registry: TenantRegistry
    ) -> None:
        self._mails = mails
        self._verification = verification
        self._accounts = accounts
        self._redirects = redirects
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for path, endpoint, limit in (
            ("/magiclink", self.magic_link, RECOVERY),
            ("/magiclink/verify", self.verify_magic_link, CONFIRM),
            ("/password/reset", self.reset, RECOVERY),
            ("/password/reset/verify", self.check_reset, CONFIRM),
            ("/password/reset/confirm", self.confirm_reset, CONFIRM),
            ("/verify-email", self.verify_email, CONFIRM),
            ("/verify-email/resend", self.resend_verification, RECOVERY),
            ("/otp/signin", self.otp, RECOVERY),
            ("/otp/verify", self.verify_otp, CONFIRM),
            ("/otp/resend", self.resend_otp, RECOVERY),
        ):
            name = f"auth{path.replace('/', '.')}.post"
            control.add("POST", f"{ROOT}{path}", endpoint, access=Access.ENTRY, limit=limit, name=name, permission="auth:session:begin")
        control.add(
            "POST", f"{ROOT}/reauthenticate", self.reauthenticate, access=Access.USER, limit=RECOVERY, name="auth.reauthenticate.post",
            permission="auth:account:write",
        )  # fmt: skip

    async def magic_link(self, body: MailBody, request: Request) -> JSONResponse:
        """The same answer whether or not anybody has the address."""
        await self._mails.sign_in(tenant_of(request, self._registry), self._asked(request, body))
        return JSONResponse(_ASKED)

    async def verify_magic_link(self, body: TokenBody, request: Request) -> JSONResponse:
        """The link's token for a session."""
        return await self._enter(request, Proof("magiclink", token=body.token), refused_as="link_invalid")

    async def reset(self, body: MailBody, request: Request) -> JSONResponse:
        """The same answer whether or not anybody has the address."""
        await self._mails.recover(tenant_of(request, self._registry), self._asked(request, body))
        return JSONResponse(_ASKED)

    async def check_reset(self, body: TokenBody, request: Request) -> JSONResponse:
        """Whether the token is good; it stays so."""
        await self._verification.check_reset(tenant_of(request, self._registry), body.token)
        return JSONResponse({"valid": True, "message": "The token is valid."})

    async def confirm_reset(self, body: ResetBody, request: Request) -> JSONResponse:
        """A new password and a session; every other one ends."""
        found = await self._verification.reset_password(
            tenant_of(request, self._registry), body.token, body.new_password, self._device(request)
        )
        return JSONResponse(entered(found), headers=_NO_STORE)

    async def verify_email(self, body: TokenBody, request: Request) -> JSONResponse:
        """The address is confirmed."""
        user = await self._verification.confirm_address(tenant_of(request, self._registry), body.token)
        return JSONResponse({"message": "Your e-mail address is confirmed.", "user": user_body(user)})

    async def resend_verification(self, body: MailBody, request: Request) -> JSONResponse:
        """The same answer whether or not a confirmation waits."""
        await self._mails.resend(tenant_of(request, self._registry), self._asked(request, body), "signup")
        return JSONResponse({"message": "If the address waits for its confirmation, a mail is on its way."})

    async def otp(self, body: MailBody, request: Request) -> JSONResponse:
        """A code (and link) to sign in with."""
        return await self.magic_link(body, request)

    async def resend_otp(self, body: MailBody, request: Request) -> JSONResponse:
        """Once more; ``type`` says what."""
        if body.type in ("signup", "email_change"):
            await self._mails.resend(tenant_of(request, self._registry), self._asked(request, body), body.type)
            return JSONResponse(_ASKED)
        return await self.magic_link(body, request)

    async def verify_otp(self, body: CodeBody, request: Request) -> JSONResponse:
        """A code for a session."""
        _refuse_phone(body.phone)
        if body.type not in PURPOSES:
            raise AuthError("type must be one of email, magiclink, signup, recovery, invite, email_change.", code="validation_failed")
        return await self._enter(request, Proof(body.type, email=body.email, code=body.token), refused_as="otp_expired")

    async def reauthenticate(self, request: Request) -> JSONResponse:
        """Mails a code. ``nonce`` is empty: handing it to whoever holds the session would prove nothing; the user types what he got."""
        tenant = tenant_of(request, self._registry)
        user, _ = await self._accounts.current(tenant, caller_of(request))
        await self._mails.reauthenticate(tenant, user)
        return JSONResponse({"nonce": "", "message": "A code is on its way to your e-mail address."})

    async def _enter(self, request: Request, proof: Proof, *, refused_as: str) -> JSONResponse:
        try:
            found, _ = await self._verification.verify(tenant_of(request, self._registry), proof, self._device(request))
        except AuthError as error:
            if error.code == "otp_expired":
                raise AuthError(error.message, code=refused_as) from error
            raise
        if isinstance(found, HalfConfirmed):
            return JSONResponse({"message": "Confirmed. Now confirm at your other address."})
        assert not isinstance(found, AppCode)  # noqa: S101 - only asked for by the page
        return JSONResponse(entered(found), headers=_NO_STORE)

    def _asked(self, request: Request, body: MailBody) -> MailRequest:
        """Raises AuthError ``bad_redirect``, ``missing_field``, ``phone_provider_disabled``."""
        _refuse_phone(body.phone)
        if not body.email:
            raise AuthError("email is required.", code="missing_field")
        wanted = body.redirect_to or body.options.redirect_to
        tenant = tenant_of(request, self._registry)
        target = self._redirects.checked(tenant, wanted) if wanted else None
        return MailRequest(
            body.email, target or self._redirects.default(tenant) or None, may_create=body.options.should_create_user,
            user_metadata=body.options.data, is_app_link=target is not None,
        )  # fmt: skip

    @staticmethod
    def _device(request: Request) -> Device:
        return device_of(context_of(request.scope))


def _refuse_phone(phone: str) -> None:
    if phone:
        raise AuthError("Phone numbers are not supported.", code="phone_provider_disabled", status=501)

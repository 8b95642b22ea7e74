"""GoTrue: otp, magiclink, recover, resend, reauthenticate, verify, invite, generate_link, grant pkce (contract-supabase 2.2, 2.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import Field, ValidationError

from fluxbase.auth.account_mails import MailRequest
from fluxbase.auth.one_time import LINK_TYPES, PURPOSES
from fluxbase.auth.platform import HOME
from fluxbase.auth.redirects import with_parameters
from fluxbase.auth.users import IssuedSession, SecondFactorRequired
from fluxbase.auth.verification import AppCode, HalfConfirmed, Proof
from fluxbase.crypto.opaque import ONE_TIME, parse_opaque
from fluxbase.kernel.access import ADMIN, CONFIRM, CONTROL_PLANE, RECOVERY, Access
from fluxbase.kernel.errors import AuthError, FluxbaseError, Forbidden
from fluxbase.web.body import ClientBody
from fluxbase.web.caller import caller_of, tenant_of
from fluxbase.web.context import context_of
from fluxbase.web.device import device_of
from fluxbase.web.supabase.auth.accounts import entered
from fluxbase.web.supabase.auth.shapes import user_body
from fluxbase.web.verify_page import note_page, verify_page

if TYPE_CHECKING:
    from fluxbase.auth.account_mails import AccountMails
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.passwords import Passwords
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.auth.verification import Verification
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts, TokenBody

_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
_HALF = "Confirmation link accepted. Please proceed to confirm link sent to the other email"


class MailBody(ClientBody):
    """Body of whatever asks for a mail."""

    email: str = ""
    phone: str = ""
    type: str = ""
    data: dict[str, Any] = Field(default={})
    create_user: bool = True
    code_challenge: str = ""
    code_challenge_method: str = ""


class LinkBody(ClientBody):
    """Body of POST /admin/generate_link."""

    type: str
    email: str
    new_email: str = ""
    password: str = Field(default="", repr=False)
    data: dict[str, Any] = Field(default={})
    redirect_to: str = ""


class VerifyBody(ClientBody):
    """Body of POST /verify."""

    type: str = ""
    email: str = ""
    phone: str = ""
    token: str = Field(default="", repr=False)
    token_hash: str = Field(default="", repr=False)
    redirect_to: str = ""


class GoTrueMailed:
    """Translates; every rule is in ``auth/account_mails.py`` and ``auth/verification.py``."""

    def __init__(
        self, mails: AccountMails, verification: Verification, accounts: Accounts, passwords: Passwords, redirects: RedirectRule,
        registry: TenantRegistry, app_name: str,
    ) -> None:  # fmt: skip
        self._mails = mails
        self._verification = verification
        self._accounts = accounts
        self._passwords = passwords
        self._redirects = redirects
        self._registry = registry
        self._app_name = app_name

    def register(self, control: ControlPlane, gotrue: GoTrueAccounts) -> None:
        """The surface on one screen."""
        for method, path, endpoint, access, limit, permission in (
            ("POST", "otp", self.otp, Access.ENTRY, RECOVERY, "auth:session:begin"),
            ("POST", "magiclink", self.magic_link, Access.ENTRY, RECOVERY, "auth:session:begin"),
            ("POST", "recover", self.recover, Access.ENTRY, RECOVERY, "auth:session:begin"),
            ("POST", "resend", self.resend, Access.ENTRY, RECOVERY, "auth:session:begin"),
            ("GET", "verify", self.page, Access.PUBLIC, CONTROL_PLANE, ""),
            ("POST", "verify", self.verify, Access.ENTRY, CONFIRM, "auth:session:begin"),
            ("GET", "reauthenticate", self.reauthenticate, Access.USER, RECOVERY, "auth:account:write"),
            ("POST", "invite", self.invite, Access.SERVICE, ADMIN, "auth:users:write"),
            ("POST", "admin/generate_link", self.generate_link, Access.SERVICE, ADMIN, "auth:users:write"),
        ):
            name = f"gotrue.{path}.{method.lower()}"
            control.add(method, f"/auth/v1/{path}", endpoint, access=access, limit=limit, name=name, permission=permission)
        others = gotrue.grants.get("pkce")

        async def pkce(tenant: Tenant, body: TokenBody, request: Request) -> dict[str, Any]:
            """A code that came with a mailed link; those of identity providers have another form."""
            more = body.model_extra or {}
            code, verifier = str(more.get("auth_code") or ""), str(more.get("code_verifier") or "")
            if others is not None and parse_opaque(code, (ONE_TIME,)) is None:
                return await others(tenant, body, request)
            if not code or not verifier:
                raise AuthError("invalid request: both auth code and code verifier should be non-empty", code="validation_failed")
            return entered(await self._verification.exchange(tenant, code, verifier, device_of(context_of(request.scope))))

        gotrue.grants["pkce"] = pkce

    # -- asking for a mail ------------------------------------------------------------------------------------------------

    async def otp(self, body: MailBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """``{}``, whether or not anybody has the address."""
        await self._mails.sign_in(tenant_of(request, self._registry), self._asked(body, redirect_to))
        return JSONResponse({})

    async def magic_link(self, body: MailBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """The older name of the same."""
        return await self.otp(body, request, redirect_to)

    async def recover(self, body: MailBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """``{}``, whether or not anybody has the address."""
        await self._mails.recover(tenant_of(request, self._registry), self._asked(body, redirect_to))
        return JSONResponse({})

    async def resend(self, body: MailBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """``{}``, whether or not a confirmation waits."""
        if body.type not in ("signup", "email_change"):
            raise AuthError("Missing one of these types: signup, email_change, sms, phone_change", code="validation_failed")
        await self._mails.resend(tenant_of(request, self._registry), self._asked(body, redirect_to), body.type)
        return JSONResponse({})

    async def reauthenticate(self, request: Request) -> JSONResponse:
        """Mails the nonce that PUT /user takes."""
        tenant = tenant_of(request, self._registry)
        user, _ = await self._accounts.current(tenant, caller_of(request))
        await self._mails.reauthenticate(tenant, user)
        return JSONResponse({})

    def _asked(self, body: MailBody, redirect_to: str) -> MailRequest:
        if body.phone:
            raise AuthError("Phone logins are disabled", code="phone_provider_disabled")
        if not body.email:
            raise AuthError("One of email or phone must be set", code="validation_failed")
        return MailRequest(body.email, self._target(redirect_to) or None, checked_challenge(body), body.create_user, body.data)

    def _target(self, redirect_to: str) -> str:
        """A configured URL: the one asked for, else the site. GoTrue says nothing of one that is not allowed."""
        return redirect_to if redirect_to and self._redirects.allows(redirect_to) else self._redirects.default

    # -- redeeming it -----------------------------------------------------------------------------------------------------

    async def page(
        self, token: Annotated[str, Query()] = "", kind: Annotated[str, Query(alias="type")] = "",
        redirect_to: Annotated[str, Query()] = "",
    ) -> Response:  # fmt: skip
        """The button of a mailed link. Uses nothing up."""
        return verify_page(self._app_name, token, kind if kind in PURPOSES else "", self._target(redirect_to))

    async def verify(self, request: Request) -> Response:
        """JSON: 200 with the session. A form (the page's button): 303 to the application."""
        context = context_of(request.scope)
        if context.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            return await self._verify_form(request)
        try:
            body = VerifyBody.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            raise AuthError("Could not read verification params", code="bad_json") from error
        if body.phone:
            raise AuthError("Phone logins are disabled", code="phone_provider_disabled")
        if body.type not in PURPOSES or not (body.token_hash or (body.token and body.email)):
            raise AuthError("Verify requires a type and either a token hash, or a token and an email", code="validation_failed")
        proof = Proof(body.type, token=body.token_hash) if body.token_hash else Proof(body.type, email=body.email, code=body.token)
        found, _ = await self._verification.verify(tenant_of(request, self._registry), proof, device_of(context))
        if isinstance(found, HalfConfirmed):
            return JSONResponse({"msg": _HALF, "code": "200"})
        return JSONResponse(entered(_no_code(found)), headers={"cache-control": "no-store"})

    async def _verify_form(self, request: Request) -> Response:
        context = context_of(request.scope)
        if context.headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            raise Forbidden("The button of a mailed link is pressed on its own page.", code="cross_site_form")
        form = await request.form()
        token, kind, asked = (str(form.get(name) or "") for name in ("token", "type", "redirect_to"))
        target = self._target(asked)
        try:
            found, stored = await self._verification.verify(
                await self._tenant_of_link(request, token), Proof(kind, token=token), device_of(context), may_give_code=True
            )
            target = stored if stored and self._redirects.allows(stored) else target
            if isinstance(found, SecondFactorRequired):
                raise AuthError("A second factor is required", code="mfa_verification_required")
        except FluxbaseError as error:
            if not isinstance(error, AuthError):
                raise
            context.error_code = error.code
            if not target:
                return note_page(self._app_name, "This link is not valid any more. Ask for a new one.", status=403)
            failed = {"error": "access_denied", "error_code": error.code, "error_description": error.message, "sb": ""}
            return _redirect(_with_fragment(target, failed))
        if not target:
            words = (
                "Confirmed. Now follow the link in the mail to your other address." if isinstance(found, HalfConfirmed) else "Confirmed."
            )
            return note_page(self._app_name, f"{words} You can go back to the application.", status=200)
        if isinstance(found, AppCode):
            return _redirect(with_parameters(target, {"code": found.code}))
        if isinstance(found, HalfConfirmed):
            return _redirect(_with_fragment(target, {"message": _HALF, "sb": ""}))
        session = {
            "access_token": found.access_token, "expires_at": found.expires_at, "expires_in": found.expires_in,
            "refresh_token": found.refresh_token, "sb": "", "token_type": "bearer", "type": kind,
        }  # fmt: skip
        return _redirect(_with_fragment(target, session))

    async def _tenant_of_link(self, request: Request, token: str) -> Tenant:
        """A link carries no key: the tenant that host or header name, else the one in the token, which must verify there."""
        context, parsed = context_of(request.scope), parse_opaque(token, (ONE_TIME,))
        if context.tenant is None and b"apikey" not in context.headers and parsed is not None:
            found = await self._registry.find("locator", parsed.locator)
            if found is not None and found.id != HOME:  # an administrator's link has a page of its own
                return found
        return tenant_of(request, self._registry)

    # -- administrators ---------------------------------------------------------------------------------------------------

    async def invite(self, body: MailBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """The invited user."""
        user = await self._mails.invite(tenant_of(request, self._registry), self._asked(body, redirect_to), by=caller_of(request))
        return JSONResponse(user_body(user))

    async def generate_link(self, body: LinkBody, request: Request, redirect_to: Annotated[str, Query()] = "") -> JSONResponse:
        """The user with link, code and token that no mail carries."""
        if body.type not in LINK_TYPES:
            raise AuthError("Invalid email action link type requested", code="validation_failed")
        password_hash = None
        if body.type == "signup":
            if not body.password:
                raise AuthError("Signup requires a valid password", code="validation_failed")
            await self._accounts.require_strength(body.password, body.email)
            password_hash = await self._passwords.hash(body.password)
        asked = MailRequest(body.email, self._target(redirect_to or body.redirect_to) or None, user_metadata=body.data)
        link = await self._mails.generate_link(
            tenant_of(request, self._registry), body.type, asked, password_hash=password_hash, new_email=body.new_email or None,
            by=caller_of(request),
        )  # fmt: skip
        answer = {
            **user_body(link.user), "action_link": link.made.url, "email_otp": link.made.code, "hashed_token": link.made.token,
            "verification_type": body.type if body.type.startswith("email_change") else LINK_TYPES[link.purpose],
            "redirect_to": link.redirect_to or "",
        }  # fmt: skip
        return JSONResponse(answer, headers={"cache-control": "no-store"})


def checked_challenge(body: MailBody) -> str | None:
    """The challenge of a PKCE flow. Raises AuthError; ``plain`` proves nothing to whoever saw the request (RFC 9700 2.1.1)."""
    if not body.code_challenge and not body.code_challenge_method:
        return None
    if body.code_challenge_method.lower() != "s256" or not _CHALLENGE.fullmatch(body.code_challenge):
        raise AuthError("PKCE flow requires code_challenge and code_challenge_method s256", code="validation_failed")
    return body.code_challenge


def _no_code(found: IssuedSession | SecondFactorRequired | AppCode) -> IssuedSession | SecondFactorRequired:
    assert not isinstance(found, AppCode)  # noqa: S101 - only asked for by the page
    return found


def _with_fragment(url: str, values: dict[str, Any]) -> str:
    return urlsplit(url)._replace(fragment=urlencode(values)).geturl()


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 303, {"cache-control": "no-store"})

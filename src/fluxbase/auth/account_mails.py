"""Who asks for which mail: confirmation, sign-in link or code, reset, change of address, reauthentication, invitation.

A request for an address that has an account and one for an address that has none run the same statements and get the same
answer at the same moment (threat B21). An account is made by a mailed sign-in only when the address is proven, so asking leaves
nothing behind.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fluxbase.auth import user_store
from fluxbase.auth.accounts import checked_email
from fluxbase.auth.authority import require_administrator
from fluxbase.auth.even_time import even_time
from fluxbase.auth.one_time import LINK_TYPES, Asked, Made, OneTimeTokens
from fluxbase.auth.roles import actor_of
from fluxbase.auth.users import normalised_email
from fluxbase.kernel.access import RECOVERY_ACCOUNT
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.new_accounts import NewAccounts
    from fluxbase.auth.ports import AuditRecorder, RateLimits, SystemSessions, SystemTx
    from fluxbase.auth.users import User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


@dataclass(frozen=True, slots=True)
class MailRequest:
    """What a client asks for. ``redirect_to`` was checked against the configuration."""

    email: str
    redirect_to: str | None = None
    code_challenge: str | None = None
    may_create: bool = True
    user_metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    is_app_link: bool = False


@dataclass(frozen=True, slots=True)
class MadeLink:
    """What an administrator gets instead of a mail."""

    user: User
    purpose: str
    made: Made
    redirect_to: str | None


class AccountMails:
    """Implements ``ports.AccountMails`` and the requests of both dialects."""

    def __init__(
        self, transactions: SystemSessions, tokens: OneTimeTokens, record: AuditRecorder, limits: RateLimits, new_accounts: NewAccounts
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._limits = limits
        self._new_accounts = new_accounts
        self._tokens = tokens
        self._record = record

    # -- in the transaction of a change -----------------------------------------------------------------------------------

    async def confirm(self, tx: SystemTx, tenant: Tenant, user: User, *, redirect_to: str | None, code_challenge: str | None) -> None:
        """The link and code that confirm the address of a new account."""
        await self._tokens.send(tx, tenant, Asked("signup", user.email or "", user, redirect_to, code_challenge))

    async def already_registered(self, tx: SystemTx, tenant: Tenant, user: User) -> None:
        """Tells the owner that somebody tried to sign up with his address; the same statements as ``confirm``."""
        await self._tokens.send(tx, tenant, Asked("signup", user.email or "", None, template="account_exists"))

    async def change_email(self, tx: SystemTx, tenant: Tenant, user: User, new_email: str, *, redirect_to: str | None) -> None:
        """Links to the old and the new address; the change happens when both were followed."""
        payload = {"change": str(uuid.uuid4()), "new_email": new_email}
        for purpose, email in (("email_change_current", user.email or ""), ("email_change_new", new_email)):
            await self._tokens.send(tx, tenant, Asked(purpose, email, user, redirect_to, payload=payload, values={"new_email": new_email}))

    # -- requests ---------------------------------------------------------------------------------------------------------

    async def sign_in(self, tenant: Tenant, request: MailRequest) -> None:
        """A link and a code to sign in with. Raises AuthError ``otp_disabled`` (switched off), RateLimited."""
        if not tenant.settings.auth.magic_link_enabled:
            raise AuthError("Signing in by mail is disabled", code="otp_disabled")
        email = checked_email(request.email)
        await self._limits.admit(RECOVERY_ACCOUNT, tenant.id, normalised_email(email))
        may_create = request.may_create and tenant.settings.auth.signup_enabled
        async with even_time(), self._transactions(tenant, reason="mail a sign-in") as tx:
            user = await user_store.select_user_by_email(tx, tenant.id, email)
            payload = {"create": True, "user_metadata": request.user_metadata} if user is None and may_create else {}
            await self._tokens.send(tx, tenant, self._asked("magiclink", email, user, request, payload))

    async def recover(self, tenant: Tenant, request: MailRequest) -> None:
        """A link and a code to choose a new password."""
        email = checked_email(request.email)
        await self._limits.admit(RECOVERY_ACCOUNT, tenant.id, normalised_email(email))
        async with even_time(), self._transactions(tenant, reason="mail a password reset") as tx:
            user = await user_store.select_user_by_email(tx, tenant.id, email)
            await self._tokens.send(tx, tenant, self._asked("recovery", email, user, request, {}))

    async def resend(self, tenant: Tenant, request: MailRequest, kind: str) -> None:
        """The confirmation of a sign-up, or of a change of address, once more."""
        email = checked_email(request.email)
        await self._limits.admit(RECOVERY_ACCOUNT, tenant.id, normalised_email(email))
        async with even_time(), self._transactions(tenant, reason="mail a confirmation again") as tx:
            user = await user_store.select_user_by_email(tx, tenant.id, email)
            if kind == "email_change":
                if user is not None and user.pending_email:
                    await self.change_email(tx, tenant, user, user.pending_email, redirect_to=request.redirect_to)
                else:
                    for purpose in ("email_change_current", "email_change_new"):
                        await self._tokens.send(tx, tenant, self._asked(purpose, email, None, request, {}))
                return
            waiting = user if user is not None and user.email_confirmed_at is None else None
            await self._tokens.send(tx, tenant, self._asked("signup", email, waiting, request, {}))

    async def reauthenticate(self, tenant: Tenant, user: User) -> None:
        """A code to the signed-in user's own address. Raises AuthError ``email_not_confirmed``."""
        if user.email is None or user.email_confirmed_at is None:
            raise AuthError("Reauthentication needs a confirmed e-mail address", code="email_not_confirmed", status=422)
        await self._limits.admit(RECOVERY_ACCOUNT, tenant.id, normalised_email(user.email))  # each new code is three more guesses
        async with self._transactions(tenant, reason="mail a reauthentication code") as tx:
            await self._tokens.send(tx, tenant, Asked("reauthentication", user.email, user))

    async def check_nonce(self, tx: SystemTx, tenant: Tenant, user: User, nonce: str) -> bool:
        """Whether it is the code that was mailed; once (``ports.ReauthenticationCheck``)."""
        found = await self._tokens.redeem_code(tx, tenant, user.email or "", nonce, ("reauthentication",))
        return found is not None and found.user == user.id

    def _asked(self, purpose: str, email: str, user: User | None, request: MailRequest, payload: dict[str, Any]) -> Asked:
        return Asked(
            purpose, email, user, request.redirect_to, request.code_challenge, payload, is_app_link=request.is_app_link
        )  # fmt: skip

    # -- administrators ---------------------------------------------------------------------------------------------------

    async def invite(self, tenant: Tenant, request: MailRequest, *, by: Principal) -> User:
        """Make an account and mail its invitation. Raises AuthError ``email_exists``."""
        async with self._transactions(tenant, reason="invite a user") as tx:
            user = await self._make_invited(tx, tenant, request, actor_of(by))
            await self._tokens.send(tx, tenant, self._asked("invite", user.email or "", user, request, {}))
        return user

    async def generate_link(
        self, tenant: Tenant, kind: str, request: MailRequest, *, password_hash: str | None, new_email: str | None, by: Principal
    ) -> MadeLink:
        """A link and code that no mail carries: whoever has it is the user, so only for who administers the whole tenant.

        Raises AuthError: ``email_exists``, ``user_not_found``, ``validation_failed``; Forbidden ``more_than_own``.
        """
        require_administrator(by, "makes links to sign in with")
        actor = actor_of(by)
        email = checked_email(request.email)
        async with self._transactions(tenant, reason="make a link") as tx:
            user = await user_store.select_user_by_email(tx, tenant.id, email)
            purpose, payload = kind, dict[str, Any]()
            if kind in ("signup", "invite"):
                if user is not None and user.email_confirmed_at is not None:
                    raise AuthError("A user with this email address has already been registered", code="email_exists")
                user = user or await self._make(tx, tenant, request, actor, password_hash=password_hash, is_invited=kind == "invite")
            elif kind == "magiclink":
                purpose = "magiclink" if user is not None else "signup"
                user = user or await self._make(tx, tenant, request, actor, password_hash=None, is_invited=False)
            if user is None:
                raise AuthError("User with this email not found", code="user_not_found", status=404)
            if kind in ("email_change_current", "email_change_new"):
                target = checked_email(new_email or "")
                user, payload, email = await self._begin_change(tx, tenant, user, kind, target)
            asked = Asked(purpose, email, user, request.redirect_to, request.code_challenge, payload)
            made = await self._tokens.make(tx, tenant, asked)
            await self._record(tx, action="auth.link.made", actor=actor, resource=f"user:{user.id}", details={"type": LINK_TYPES[purpose]})
        return MadeLink(user, purpose, made, request.redirect_to)

    async def _begin_change(self, tx: SystemTx, tenant: Tenant, user: User, kind: str, target: str) -> tuple[User, dict[str, Any], str]:
        """Both links of one change belong together: the second joins the change that the first began."""
        change = str(uuid.uuid5(uuid.UUID(user.id), target))
        await user_store.update_user(tx, tenant.id, user.id, {"pending_email": target})
        return user, {"change": change, "new_email": target}, (user.email or "") if kind == "email_change_current" else target

    async def _make_invited(self, tx: SystemTx, tenant: Tenant, request: MailRequest, actor: str) -> User:
        email = checked_email(request.email)
        known = await user_store.select_user_by_email(tx, tenant.id, email)
        if known is not None and known.email_confirmed_at is not None:
            raise AuthError("A user with this email address has already been registered", code="email_exists")
        return known or await self._make(tx, tenant, request, actor, password_hash=None, is_invited=True)

    async def _make(
        self, tx: SystemTx, tenant: Tenant, request: MailRequest, actor: str, *, password_hash: str | None, is_invited: bool
    ) -> User:
        email = checked_email(request.email)
        values = {
            "email": email, "encrypted_password": password_hash, "is_confirmed": False, "user_metadata": request.user_metadata,
            "is_invited": is_invited,
        }  # fmt: skip
        user = await self._new_accounts.make(tx, tenant, values, by="mail", actor=actor)
        if user is None:
            raise AuthError("A user with this email address has already been registered", code="email_exists")
        return user

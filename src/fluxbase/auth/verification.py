"""What a redeemed link or code does: confirm the address, sign in, change the address, choose a password (threats B9, B20, B22).

Using the token and its effect are one transaction. Every sign-in goes through the gate. Whoever proves an unconfirmed address
by a mailed sign-in or reset gets the account without what a stranger may have put there before: password, identities, passkeys,
second factors, client keys, and what was under way.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fluxbase.auth import api_key_store, user_store
from fluxbase.auth import one_time_store as store
from fluxbase.auth.one_time import PURPOSES, Asked, OneTimeTokens
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.gate import SignInGate
    from fluxbase.auth.new_accounts import NewAccounts
    from fluxbase.auth.one_time_store import Redeemed
    from fluxbase.auth.passwords import Passwords
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Device, IssuedSession, SecondFactorRequired, User
    from fluxbase.tenancy.registry import Tenant

    Entered = IssuedSession | SecondFactorRequired

_METHODS = {"signup": "email/signup", "email_change_current": "email_change", "email_change_new": "email_change"}
_TAKES_OVER = frozenset({"magiclink", "recovery"})
"""These prove the address by themselves; a sign-up is confirmed together with the password that was chosen at it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client shows: a link's token, or a code with its address."""

    types: str
    """A key of ``PURPOSES``."""
    token: str | None = None
    email: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class HalfConfirmed:
    """One of the two addresses said yes."""


@dataclass(frozen=True, slots=True)
class AppCode:
    """What the app of a PKCE flow turns into a session."""

    code: str


class Verification:
    """Redeems what was mailed."""

    def __init__(
        self, transactions: SystemSessions, tokens: OneTimeTokens, accounts: Accounts, passwords: Passwords, sessions: Sessions,
        gate: SignInGate, record: AuditRecorder, new_accounts: NewAccounts,
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._tokens = tokens
        self._accounts = accounts
        self._passwords = passwords
        self._sessions = sessions
        self._gate = gate
        self._new_accounts = new_accounts
        self._record = record

    async def verify(
        self, tenant: Tenant, proof: Proof, device: Device, *, may_give_code: bool = False
    ) -> tuple[Entered | HalfConfirmed | AppCode, str | None]:
        """The session (or what stands in its place), and where its link leads. ``may_give_code``: a link of a PKCE flow was opened in a
        browser. Raises AuthError ``otp_expired`` and what the gate refuses."""
        async with self._transactions(tenant, reason="redeem a mailed proof") as tx:
            found = await self._redeem(tx, tenant, proof, PURPOSES.get(proof.types, ()))
            result = None if found is None else await self._enter(tx, tenant, found, proof, device, may_give_code=may_give_code)
        if found is None or result is None:
            raise _expired()
        return result, found.redirect_to

    async def _enter(
        self, tx: SystemTx, tenant: Tenant, found: Redeemed, proof: Proof, device: Device, *, may_give_code: bool
    ) -> Entered | HalfConfirmed | AppCode:
        user = await self._apply(tx, tenant, found)
        if user is None:
            return HalfConfirmed()
        method = "otp" if proof.code is not None else _METHODS.get(found.purpose, found.purpose)
        if may_give_code and found.code_challenge:
            asked = Asked("pkce_code", found.email, user, code_challenge=found.code_challenge, payload={"method": method})
            return AppCode((await self._tokens.make(tx, tenant, asked)).token)
        return await self._gate.admit(tx, tenant, user, method=method, device=device)

    async def exchange(self, tenant: Tenant, code: str, verifier: str, device: Device) -> Entered:
        """The session for a PKCE flow's code (RFC 7636, S256). Raises AuthError ``flow_state_not_found``, ``bad_code_verifier``."""
        async with self._transactions(tenant, reason="redeem the code of an app") as tx:
            found = await self._tokens.redeem_token(tx, tenant, code, ("pkce_code",))
            is_right = found is not None and hmac.compare_digest(_challenge(verifier), found.code_challenge or "")
            user = await user_store.select_user(tx, tenant.id, found.user) if found is not None and is_right and found.user else None
            if found is not None and user is not None:
                return await self._gate.admit(tx, tenant, user, method=str(found.payload["method"]), device=device)
        if found is None:
            raise AuthError("invalid flow state, no valid flow state found", code="flow_state_not_found")
        raise AuthError("code challenge does not match previously saved code verifier", code="bad_code_verifier")

    async def confirm_address(self, tenant: Tenant, token: str) -> User:
        """Confirm the address of a sign-up, without a session. Raises AuthError ``link_used``, ``link_expired``, ``link_invalid``."""
        async with self._transactions(tenant, reason="confirm an address") as tx:
            found = await self._tokens.redeem_token(tx, tenant, token, ("signup", "invite"))
            user = None if found is None else await self._apply(tx, tenant, found)
        if user is None:
            raise await self._why_not(tenant, token, ("signup", "invite"))
        return user

    async def check_reset(self, tenant: Tenant, token: str) -> None:
        """Whether a reset token is good, without using it. Raises AuthError as ``confirm_address``."""
        async with self._transactions(tenant, reason="look at a reset token") as tx:
            state = await self._tokens.state_of(tx, tenant, token, ("recovery",))
        if state != "good":
            raise _refusal(state)

    async def reset_password(self, tenant: Tenant, token: str, password: str, device: Device) -> Entered:
        """A new password and the first session under it; every other session and every other mailed proof ends.

        Raises AuthError ``weak_password`` (the token stays good), and as ``confirm_address``.
        """
        await self.check_reset(tenant, token)
        await self._accounts.require_strength(tenant, password, None)
        hashed = await self._passwords.hash(password)
        async with self._transactions(tenant, reason="reset a password") as tx:
            found = await self._tokens.redeem_token(tx, tenant, token, ("recovery",))
            user = None if found is None else await self._apply(tx, tenant, found)
            if found is not None and user is not None:
                await user_store.update_user(tx, tenant.id, user.id, {"encrypted_password": hashed, "moves_epoch": True})
                await self._sessions.end_all(tx, tenant, user.id, reason="password reset")
                await store.forget_tokens(tx, tenant.id, user.id)
                await self._record(
                    tx, action="auth.password.reset", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"by": "mail"}
                )
                await self._tokens.tell(tx, tenant, "password_changed", user.email or found.email, {})
                user = await user_store.select_user(tx, tenant.id, user.id)
                if user is not None:
                    return await self._gate.admit(tx, tenant, user, method="recovery", device=device)
        raise await self._why_not(tenant, token, ("recovery",))

    async def _why_not(self, tenant: Tenant, token: str, purposes: Sequence[str]) -> AuthError:
        async with self._transactions(tenant, reason="look at a token") as tx:
            return _refusal(await self._tokens.state_of(tx, tenant, token, purposes))

    async def _redeem(self, tx: SystemTx, tenant: Tenant, proof: Proof, purposes: Sequence[str]) -> Redeemed | None:
        if proof.token is not None:
            return await self._tokens.redeem_token(tx, tenant, proof.token, purposes)
        return await self._tokens.redeem_code(tx, tenant, proof.email or "", proof.code or "", purposes)

    async def _apply(self, tx: SystemTx, tenant: Tenant, found: Redeemed) -> User | None:
        """The account with the proof's effect; None when the other address must still confirm. Raises AuthError ``otp_expired``,
        ``email_exists``."""
        user = await self._user_of(tx, tenant, found)
        if "change" in found.payload:
            return await self._change_address(tx, tenant, user, found)
        changes: dict[str, Any] = {}
        if user.email_confirmed_at is None or not user.has_proven_email:
            changes["is_confirmed"] = True
            if _takes_over(found):
                changes |= {"encrypted_password": None, "pending_email": None, "moves_epoch": True}
                await store.drop_unproven(tx, tenant.id, user.id)
                await api_key_store.delete_keys_of(tx, tenant.id, user.id)
                await self._sessions.end_all(tx, tenant, user.id, reason="address proven by its owner")
        if changes:
            await user_store.update_user(tx, tenant.id, user.id, changes)
            await user_store.put_email_identity(tx, tenant.id, user.id, user.email or found.email, is_verified=True)
            await self._record(
                tx, action="auth.email.confirmed", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"by": found.purpose}
            )
        return await user_store.select_user(tx, tenant.id, user.id)

    async def _user_of(self, tx: SystemTx, tenant: Tenant, found: Redeemed) -> User:
        """Whose proof it is, locked. An account that was not there when the mail was asked for is made now."""
        user = None
        if found.user is not None:
            user = await user_store.select_user(tx, tenant.id, found.user, is_locking=True)
        elif found.payload.get("create"):
            values: dict[str, Any] = {
                "email": found.email,
                "user_metadata": found.payload.get("user_metadata") or {},
                "is_confirmed": False,
            }
            user = await self._new_accounts.make(tx, tenant, values, by="mail")
            user = user or await user_store.select_user_by_email(tx, tenant.id, found.email)
        if user is None:
            raise _expired()
        return user

    async def _change_address(self, tx: SystemTx, tenant: Tenant, user: User, found: Redeemed) -> User | None:
        new_email = str(found.payload["new_email"])
        is_whole = user.email is None or await store.is_other_half_confirmed(tx, tenant.id, user.id, str(found.payload["change"]))
        if not is_whole:
            return None
        changes = {"email": new_email, "pending_email": None, "is_confirmed": True, "is_anonymous": False, "moves_epoch": True}
        if not await user_store.update_user(tx, tenant.id, user.id, changes):
            raise AuthError("A user with this email address has already been registered", code="email_exists")
        await user_store.put_email_identity(tx, tenant.id, user.id, new_email, is_verified=True)
        await store.forget_tokens(tx, tenant.id, user.id)
        await self._record(
            tx, action="auth.email.changed", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"by": "both addresses"}
        )
        if user.email is not None:
            await self._tokens.tell(tx, tenant, "email_changed", user.email, {"new_email": new_email})
        return await user_store.select_user(tx, tenant.id, user.id)


def _takes_over(found: Redeemed) -> bool:
    """Whether what stands in the account may be a stranger's: nobody had proven the address yet."""
    return found.purpose in _TAKES_OVER


def _expired() -> AuthError:
    return AuthError("Token has expired or is invalid", code="otp_expired")


def _refusal(state: str) -> AuthError:
    if state == "used":
        return AuthError("This link was used already.", code="link_used")
    if state == "expired":
        return AuthError("This link has expired.", code="link_expired")
    return AuthError("This link is not valid.", code="link_invalid")


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()

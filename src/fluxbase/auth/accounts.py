"""Accounts: made, signed in to with a password, changed. What an administrator does with them is in ``user_admin.py``.

Wrong password, unknown address, and an account without a password are one answer at one cost (threat B21): one hash, the
same queries, and what is left of a difference (a row that is found and counted, or none) is hidden in when the answer leaves
(``even_time.py``); so is what sign-up does for a taken address and for a new one.
That an account is locked or banned is told only with the right password.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fluxbase.auth import session_store, user_store
from fluxbase.auth.even_time import until_even
from fluxbase.auth.users import normalised_email
from fluxbase.kernel.access import SIGN_IN_ACCOUNT
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.gate import SignInGate
    from fluxbase.auth.new_accounts import NewAccounts
    from fluxbase.auth.passwords import Passwords
    from fluxbase.auth.ports import AccountMails, AuditRecorder, RateLimits, ReauthenticationCheck, SystemSessions, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Device, IssuedSession, SecondFactorRequired, Session, User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

_EMAIL = re.compile(r"[^\s@\x00-\x20\x7f<>,;:\\\"()\[\]]{1,64}@[^\s@\x00-\x20\x7f<>,;:\\\"()\[\]]{1,190}")
LONGEST_PASSWORD = 4096
"""Read at all, before it is judged: hashing is not for megabytes."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What sign-up asks for."""

    email: str | None
    password: str | None = field(repr=False)
    user_metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    redirect_to: str | None = None
    code_challenge: str | None = None


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What a user changes of himself; None leaves it."""

    email: str | None = None
    password: str | None = field(default=None, repr=False)
    current_password: str | None = field(default=None, repr=False)
    nonce: str | None = field(default=None, repr=False)
    user_metadata: dict[str, Any] | None = None
    redirect_to: str | None = None


class Accounts:
    """The use cases of a user's own account."""

    def __init__(
        self, transactions: SystemSessions, passwords: Passwords, sessions: Sessions, gate: SignInGate, record: AuditRecorder,
        limits: RateLimits, new_accounts: NewAccounts,
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._new_accounts = new_accounts
        self._limits = limits
        self._passwords = passwords
        self._sessions = sessions
        self._gate = gate
        self._record = record
        self.mails: AccountMails | None = None
        self.check_nonce: ReauthenticationCheck | None = None

    async def sign_up(self, tenant: Tenant, new: NewAccount, device: Device) -> User | IssuedSession | SecondFactorRequired:
        """A new account and its first session; only the user where the address must be confirmed first.

        Then a taken address gets the answer of a new one, and its owner a mail. Raises AuthError: ``signup_disabled``,
        ``anonymous_provider_disabled``, ``validation_failed``, ``weak_password``, ``user_already_exists``.
        """
        if not tenant.settings.auth.signup_enabled:
            raise AuthError("Signups not allowed for this instance", code="signup_disabled")
        if not new.email:
            return await self._sign_up_nobody(tenant, new, device)
        email = checked_email(new.email)
        if not new.password:
            raise AuthError("Signup requires a valid password", code="validation_failed")
        await self.require_strength(tenant, new.password, email)
        began, hashed = time.monotonic(), await self._passwords.hash(new.password)
        needs_confirmation = tenant.settings.auth.require_email_verification
        async with self._transactions(tenant, reason="sign up") as tx:
            values = {
                "email": email, "encrypted_password": hashed, "is_confirmed": not needs_confirmation, "user_metadata": new.user_metadata,
            }  # fmt: skip
            user = await self._new_accounts.make(tx, tenant, values, by="sign-up")
            if user is None:
                answer = await self._taken(tx, tenant, email, new)
            elif needs_confirmation:
                await self._mailer().confirm(tx, tenant, user, redirect_to=new.redirect_to, code_challenge=new.code_challenge)
                answer = replace(user, confirmation_sent_at=user.updated_at)
            else:
                return await self._gate.admit(tx, tenant, user, method="password", device=device)
        await until_even(began)
        return answer

    async def _sign_up_nobody(self, tenant: Tenant, new: NewAccount, device: Device) -> IssuedSession | SecondFactorRequired:
        if not tenant.settings.auth.anonymous_enabled:
            raise AuthError("Anonymous sign-ins are disabled", code="anonymous_provider_disabled")
        async with self._transactions(tenant, reason="sign up anonymously") as tx:
            values = {"user_metadata": new.user_metadata, "is_anonymous": True}
            user = await self._new_accounts.make(tx, tenant, values, by="sign-up")
            if user is None:
                raise AuthError("The account could not be made.", code="conflict")
            return await self._gate.admit(tx, tenant, user, method="anonymous", device=device)

    async def _taken(self, tx: SystemTx, tenant: Tenant, email: str, new: NewAccount) -> User:
        known = await user_store.select_user_by_email(tx, tenant.id, email)
        if not tenant.settings.auth.require_email_verification or known is None:
            raise AuthError("User already registered", code="user_already_exists")
        if known.email_confirmed_at is None:
            await self._mailer().confirm(tx, tenant, known, redirect_to=new.redirect_to, code_challenge=new.code_challenge)
        else:
            await self._mailer().already_registered(tx, tenant, known)
        return _somebody(known, email, new)

    def _mailer(self) -> AccountMails:
        if self.mails is None:
            raise AuthError("This needs mail, which is not set up.", code="mail_not_configured")
        return self.mails

    async def sign_in_with_password(
        self, tenant: Tenant, email: str, password: str, device: Device, caller: Principal | None = None
    ) -> IssuedSession | SecondFactorRequired:
        """A session, or the second step; ``caller`` is the key that asks. Raises Revoked for him, AuthError: ``invalid_credentials``,
        then, with the right password only, ``account_locked``, ``user_banned``, ``email_not_confirmed``; RateLimited by address,
        whether it has an account or not."""
        if not tenant.settings.auth.password_enabled:
            raise AuthError("Email logins are disabled", code="email_provider_disabled")
        address, began = email.strip()[:320].replace("\0", ""), time.monotonic()
        await self._limits.admit(SIGN_IN_ACCOUNT, tenant.id, normalised_email(address))
        async with self._transactions(tenant, reason="sign in: find the account", is_single=True, caller=caller) as tx:
            found = await user_store.select_password(tx, tenant.id, address)
        holder, known = found or (None, None)
        is_right = await self._passwords.verify(known, password[:LONGEST_PASSWORD] if len(password) <= LONGEST_PASSWORD else "")
        if holder is None or not is_right or len(password) > LONGEST_PASSWORD:
            async with self._transactions(tenant, reason="sign in: wrong password", is_single=True) as tx:
                await user_store.count_failure(
                    tx,
                    tenant.id,
                    address,
                    lock_after=tenant.settings.auth.lock_after_failures,
                    lock_seconds=tenant.settings.auth.lock_seconds,
                )
            await until_even(began)
            raise AuthError("Invalid login credentials", code="invalid_credentials")
        renewed = None
        if known is not None and self._passwords.needs_rehash(known):
            renewed = await self._passwords.hash(password)
        async with self._transactions(tenant, reason="sign in") as tx:
            user = await user_store.select_user(tx, tenant.id, holder)
            if user is None or user.password_hash != known:
                raise AuthError("Invalid login credentials", code="invalid_credentials")  # it changed meanwhile
            if user.is_locked:
                raise AuthError("The account is locked after too many wrong passwords. Try again later.", code="account_locked")
            if known is not None and renewed is not None:
                await user_store.replace_hash(tx, tenant.id, user.id, known, renewed)
            return await self._gate.admit(tx, tenant, user, method="password", device=device)

    async def current(self, tenant: Tenant, principal: Principal, deadline: float | None = None) -> tuple[User, Session | None]:
        """The user of a verified token that still holds. Raises Revoked, AuthError ``session_not_found`` or ``user_not_found``."""
        async with self._transactions(
            tenant, reason="read the caller's account", is_single=True, caller=principal, deadline=deadline
        ) as tx:
            return await self.read_current(tx, tenant, principal)

    async def read_current(self, tx: SystemTx, tenant: Tenant, principal: Principal) -> tuple[User, Session | None]:
        """The same in the caller's transaction."""
        if principal.user_id is None or not is_uuid(principal.user_id):
            raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
        session = principal.session_id if principal.session_id is not None and is_uuid(principal.session_id) else None
        found = await session_store.select_current(tx, tenant.id, principal.user_id, session)
        if found is None:
            raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
        if principal.session_id is not None and found[1] is None:
            raise AuthError("Session from session_id claim in JWT does not exist", code="session_not_found")
        return found

    async def update(self, tenant: Tenant, principal: Principal, change: AccountChange) -> User:
        """Change one's own account. A new password or address needs a fresh sign-in, the current password or a mailed nonce.

        A new password ends the other sessions. Raises AuthError: ``reauthentication_needed``, ``weak_password``, ``same_password``,
        ``email_exists``.
        """
        user, session = await self.current(tenant, principal)
        changes: dict[str, Any] = {}
        if change.user_metadata is not None:
            changes["user_metadata"] = change.user_metadata
        email = None if change.email is None else checked_email(change.email)
        if email is not None and email == user.email:
            email = None
        is_first_password = user.is_anonymous and not user.has_password
        has_proof = await self._has_proof(tenant, user, change)
        is_sensitive = (change.password is not None or email is not None) and not is_first_password and not has_proof
        if is_sensitive:
            await self._prove(tenant, user, session, change.nonce)
        if change.password is not None:
            await self.require_strength(tenant, change.password, email or user.email)
            if user.has_password and await self._passwords.verify(user.password_hash, change.password):
                raise AuthError("New password should be different from the old password.", code="same_password")
            changes |= {"encrypted_password": await self._passwords.hash(change.password), "moves_epoch": True}
        async with self._transactions(tenant, reason="change the caller's account") as tx:
            locked = await user_store.select_user(tx, tenant.id, user.id, is_locking=True)
            if locked is None or locked.epoch != user.epoch:
                raise AuthError("The account changed meanwhile. Try again.", code="conflict")
            if email is not None:
                changes |= await self._new_email(tx, tenant, user, email, change)
            if changes and not await user_store.update_user(tx, tenant.id, user.id, changes):
                raise AuthError("A user with this email address has already been registered", code="email_exists")
            await self._after_change(tx, tenant, user, session, changes)
            updated = await user_store.select_user(tx, tenant.id, user.id)
        return updated or user

    async def _has_proof(self, tenant: Tenant, user: User, change: AccountChange) -> bool:
        if change.current_password is None:
            return False
        await self._limits.admit(SIGN_IN_ACCOUNT, tenant.id, normalised_email(user.email or user.id))
        await self.require_password(tenant, user, change.current_password)
        return True

    async def _prove(self, tenant: Tenant, user: User, session: Session | None, nonce: str | None) -> None:
        """Step-up, or the nonce mailed to the user, before anything is compared with the account. In a transaction of its own, which
        commits: a wrong nonce stays counted, a right one is used up whatever becomes of the change (B22, B26)."""
        async with self._transactions(tenant, reason="prove a change of the account") as tx:
            if nonce is None or self.check_nonce is None:
                await self.require_fresh(tx, tenant, session)
                return
            is_right = await self.check_nonce(tx, tenant, user, nonce)
        if not is_right:
            raise AuthError("Nonce has expired or is invalid", code="reauthentication_not_valid")

    async def require_password(self, tenant: Tenant, user: User, password: str) -> None:
        """The account's own password, counted like one at sign-in. Raises AuthError ``invalid_credentials`` or ``account_locked``."""
        if len(password) > LONGEST_PASSWORD or not await self._passwords.verify(user.password_hash, password):
            async with self._transactions(tenant, reason="wrong password") as tx:
                await user_store.count_failure(
                    tx,
                    tenant.id,
                    user.email or "",
                    lock_after=tenant.settings.auth.lock_after_failures,
                    lock_seconds=tenant.settings.auth.lock_seconds,
                )
            raise AuthError("The password is wrong.", code="current_password_invalid")
        if user.is_locked:
            raise AuthError("The account is locked after too many wrong passwords. Try again later.", code="account_locked")

    async def require_fresh(self, tx: SystemTx, tenant: Tenant, session: Session | None) -> None:
        """Step-up: the session's user proved himself in the last ``step_up_seconds``. Raises AuthError ``reauthentication_needed``."""
        if session is None or not await session_store.is_fresh(tx, tenant.id, session.id, seconds=tenant.settings.auth.step_up_seconds):
            raise AuthError("This change needs a fresh sign-in: sign in again, or reauthenticate.", code="reauthentication_needed")

    async def _new_email(self, tx: SystemTx, tenant: Tenant, user: User, email: str, change: AccountChange) -> dict[str, Any]:
        """At once where addresses need no confirmation, else pending until both addresses said yes."""
        if tenant.settings.auth.require_email_verification and not (user.is_anonymous and user.email is None):
            await self._mailer().change_email(tx, tenant, user, email, redirect_to=change.redirect_to)
            return {"pending_email": email}
        is_confirmed = not tenant.settings.auth.require_email_verification
        await user_store.put_email_identity(tx, tenant.id, user.id, email, is_verified=False)  # typed, not proven
        return {"email": email, "pending_email": None, "is_confirmed": is_confirmed, "is_anonymous": False}

    async def _after_change(self, tx: SystemTx, tenant: Tenant, user: User, session: Session | None, changes: dict[str, Any]) -> None:
        if "encrypted_password" in changes:
            if session is None:
                await self._sessions.end_all(tx, tenant, user.id, reason="password changed")
            else:
                await self._sessions.end_others(tx, tenant, user.id, session.id, reason="password changed")
        told = sorted(changes.keys() - {"moves_epoch", "is_confirmed"})
        if told and told != ["user_metadata"]:
            await self._record(
                tx, action="auth.user.changed", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"members": told}
            )

    async def sign_out(self, tenant: Tenant, principal: Principal, scope: str) -> int:
        """End the caller's session (``local``), his others (``others``) or all of them (``global``); how many."""
        if principal.user_id is None or not is_uuid(principal.user_id):
            raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
        session = principal.session_id
        async with self._transactions(tenant, reason="sign out") as tx:
            if scope == "others" and session is not None:
                ended = await self._sessions.end_others(tx, tenant, principal.user_id, session, reason="signed out elsewhere")
            elif scope == "local" and session is not None:
                ended = int(await self._sessions.end(tx, tenant, principal.user_id, session, reason="signed out"))
            else:
                ended = await self._sessions.end_all(tx, tenant, principal.user_id, reason="signed out everywhere")
            await self._record(
                tx, action="auth.signed_out", actor=f"user:{principal.user_id}", resource=f"user:{principal.user_id}",
                details={"scope": scope, "sessions": ended},
            )  # fmt: skip
        return ended

    async def end_session(self, tenant: Tenant, principal: Principal, session: str) -> None:
        """End one of the caller's own sessions. Raises AuthError ``session_not_found``, the same for another's and for none."""
        if principal.user_id is None or not is_uuid(session):
            raise AuthError("There is no such session.", code="unknown_session")
        async with self._transactions(tenant, reason="end a session of the caller") as tx:
            if not await self._sessions.end(tx, tenant, principal.user_id, session, reason="ended by its user"):  # type: ignore[arg-type]
                raise AuthError("There is no such session.", code="unknown_session")
            await self._record(
                tx, action="auth.session.ended", actor=f"user:{principal.user_id}", resource=f"session:{session}", details={}
            )

    async def require_strength(self, tenant: Tenant, password: str, email: str | None) -> None:
        """Raises AuthError ``weak_password`` with its reasons."""
        reasons = await self._passwords.judge(tenant.settings.auth, password, email)
        if reasons:
            least, most = tenant.settings.auth.password_min_length, tenant.settings.auth.password_max_length
            words = {
                "length": f"it must have {least} to {most} characters", "characters": "it lacks a required kind of character",
                "common": "it is among those that are guessed first", "pwned": "it is in a published leak",
            }  # fmt: skip
            text = "This password cannot be used: " + "; ".join(words[each] for each in reasons) + "."
            raise AuthError(text, code="weak_password", details={"reasons": reasons})


def checked_email(raw: str) -> str:
    """The address, in small letters. Raises AuthError ``validation_failed``."""
    email = raw.strip().lower()
    if len(email) > 255 or _EMAIL.fullmatch(email) is None:
        raise AuthError("Unable to validate email address: invalid format", code="validation_failed")
    return email


_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    """Whether PostgreSQL takes it as a uuid."""
    return _UUID.fullmatch(text) is not None


def _somebody(known: User, email: str, new: NewAccount) -> User:
    """What sign-up answers for a taken address: like a new account, with nothing of the real one in it."""
    import uuid
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return replace(
        known, id=str(uuid.uuid4()), email=email, user_metadata=new.user_metadata, app_metadata={}, identities=(), created_at=now,  # type: ignore[arg-type]
        updated_at=now, last_sign_in_at=None, email_confirmed_at=None, password_hash=None, pending_email=None, is_anonymous=False,
        role="authenticated", confirmation_sent_at=now, banned_until=None, phone=None,
    )  # fmt: skip

"""What an administrator does with accounts: list, make, change, ban, delete. Everything is audited in its own transaction.

A ban, a new password, another role and a deletion end every session of the user with the commit (threat B20); a ban also
denies tokens that other programs signed for him, until it ends, and a deletion for ever; a deleted user's client keys go with him.
Whoever administers by role reaches nobody who holds more than he (``authority.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fluxbase.auth import api_key_store, rbac_store, session_store, user_store
from fluxbase.auth.accounts import checked_email, is_uuid
from fluxbase.auth.authority import refuse_above, require_administrator
from fluxbase.auth.passwords import is_hash
from fluxbase.auth.roles import actor_of
from fluxbase.kernel.errors import AuthError
from fluxbase.kernel.ids import SessionId

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.new_accounts import NewAccounts
    from fluxbase.auth.passwords import Passwords
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Session, User
    from fluxbase.config.auth import Auth
    from fluxbase.kernel.ids import UserId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

_NOT_FOR_USERS = frozenset({"service_role", "tenant_service", "anon"})
_ENDING = ("encrypted_password", "ban_seconds", "role")
"""What ends the sessions of a user."""
_DURATION = re.compile(r"(?<!\d)(\d++(?:\.\d++)?)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST_BAN_SECONDS = 100 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is asked for, by an administrator; None leaves it."""

    id: str | None = None
    email: str | None = None
    is_confirmed: bool | None = None
    password: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    """Made elsewhere: bcrypt or Argon2. Renewed at the first sign-in."""
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    role: str | None = None
    ban_duration: str | None = None
    """``24h``, ``1h30m``, or ``none`` to lift it."""


class UserAdmin:
    """The use cases of whoever administers a tenant."""

    def __init__(
        self, transactions: SystemSessions, passwords: Passwords, sessions: Sessions, settings: Auth, record: AuditRecorder,
        new_accounts: NewAccounts, *, prefix_of: Callable[[Tenant], str],
    ) -> None:  # fmt: skip
        self._new_accounts = new_accounts
        self._transactions = transactions
        self._passwords = passwords
        self._sessions = sessions
        self._settings = settings
        self._record = record
        self._prefix_of = prefix_of

    async def list(self, tenant: Tenant, *, offset: int, limit: int, search: str = "") -> tuple[list[User], int]:
        """One page, newest first, and how many there are."""
        async with self._transactions(tenant, reason="list users") as tx:
            return await user_store.list_users(tx, tenant.id, offset=offset, limit=limit, search=search.replace("\0", ""))

    async def get(self, tenant: Tenant, user: str) -> User:
        """One user. Raises AuthError ``unknown_user``, and ``validation_failed`` for what is no id."""
        async with self._transactions(tenant, reason="read a user") as tx:
            return await self._known(tx, tenant, user)

    async def create(self, tenant: Tenant, new: UserChange, *, by: Principal) -> User:
        """A user, confirmed or not. Raises AuthError: ``validation_failed``, ``weak_password``, ``email_exists``; Forbidden."""
        _require_right(by, new)
        values = await self.prepare(new)
        async with self._transactions(tenant, reason="create a user") as tx:
            if "id" in values:
                await refuse_above(tx, tenant, by, values["id"])
            return await self.make(tx, tenant, values, actor=actor_of(by))

    async def prepare(self, new: UserChange) -> dict[str, Any]:
        """The columns of a new user, its password checked and hashed, before any transaction. Raises as ``create`` does."""
        if not new.email:
            raise AuthError("Cannot create a user without an email address", code="validation_failed")
        values = await self._values(new, new.email)
        return values if new.id is None else {**values, "id": _checked_id(new.id)}

    async def make(self, tx: SystemTx, tenant: Tenant, values: dict[str, Any], *, actor: str) -> User:
        """The user of these columns, in the caller's transaction. Raises AuthError ``email_exists``."""
        is_proven = bool(values.get("is_confirmed"))
        made = await self._new_accounts.make(tx, tenant, values, by="administrator", actor=actor, is_asked=False, is_proven=is_proven)
        if made is None:
            raise AuthError("A user with this email address has already been registered", code="email_exists")
        if "id" in values or values.get("ban_seconds"):  # a chosen id may be a deleted user's, who is denied for ever
            await self._deny(tx, tenant, made.id, "banned", values.get("ban_seconds"))
        return made

    async def update(self, tenant: Tenant, user: str, change: UserChange, *, by: Principal) -> User:
        """Change a user. Raises AuthError: ``unknown_user``, ``weak_password``, ``email_exists``, ``validation_failed``; Forbidden."""
        _require_right(by, change)
        values = await self._values(change, change.email)
        async with self._transactions(tenant, reason="change a user") as tx:
            known = await self._known(tx, tenant, user, is_locking=True)
            await refuse_above(tx, tenant, by, known.id, known.role)
            return await self.apply(tx, tenant, user, values, actor=actor_of(by))

    async def apply(self, tx: SystemTx, tenant: Tenant, user: str, values: dict[str, Any], *, actor: str) -> User:
        """Column values in the caller's transaction, whoever it is, with everything that follows from them."""
        known = await self._known(tx, tenant, user, is_locking=True)
        ends = [name for name in _ENDING if values.get(name) not in (None, getattr(known, name, None))]
        if ends or "email" in values:
            values["moves_epoch"] = True
        if values and not await user_store.update_user(tx, tenant.id, known.id, values):
            raise AuthError("A user with this email address has already been registered", code="email_exists")
        if "email" in values or "is_confirmed" in values:
            email = values.get("email") or known.email
            is_verified = values.get("is_confirmed", known.has_proven_email and email == known.email)
            if email:
                await user_store.put_email_identity(tx, tenant.id, known.id, email, is_verified=is_verified)
        if ends:
            await self._sessions.end_all(tx, tenant, known.id, reason=f"{ends[0]} changed by an administrator")
        if "ban_seconds" in values:
            await self._deny(tx, tenant, known.id, "banned", values["ban_seconds"])
        await self._note(tx, "auth.user.changed", actor, known.id, {"members": sorted(values.keys() - {"moves_epoch"})})
        return await self._known(tx, tenant, known.id)

    async def delete(self, tenant: Tenant, user: str, *, by: Principal, is_soft: bool = False) -> None:
        """Remove a user; softly: keep the row and its id, and nothing that says who it was. Raises ``unknown_user``, Forbidden."""
        async with self._transactions(tenant, reason="delete a user") as tx:
            known = await self._known(tx, tenant, user, is_locking=True)
            await refuse_above(tx, tenant, by, known.id, known.role)
            await self.remove(tx, tenant, user, actor=actor_of(by), is_soft=is_soft)

    async def remove(self, tx: SystemTx, tenant: Tenant, user: str, *, actor: str, is_soft: bool = False) -> None:
        """The same in the caller's transaction, whoever it is."""
        known = await self._known(tx, tenant, user, is_locking=True)
        await self._sessions.end_all(tx, tenant, known.id, reason="user deleted")
        await session_store.deny_user(tx, known.id, reason="deleted", prefix=self._prefix_of(tenant), seconds=None)
        await api_key_store.delete_keys_of(tx, tenant.id, known.id)
        await rbac_store.forget_user(tx, tenant.id, known.id)
        await user_store.delete_user(tx, tenant.id, known.id, is_soft=is_soft)
        await self._note(tx, "auth.user.deleted", actor, known.id, {"is_soft": is_soft})

    async def list_sessions(self, tenant: Tenant, *, offset: int, limit: int) -> tuple[list[Session], int]:
        """One page of the live sessions of all users, and how many there are."""
        async with self._transactions(tenant, reason="list sessions") as tx:
            return await session_store.list_all_sessions(tx, tenant.id, offset=offset, limit=limit)

    async def end_session(self, tenant: Tenant, session: str, *, by: Principal) -> None:
        """End one. Raises AuthError ``unknown_session``, the same for another tenant's and for none; Forbidden."""
        async with self._transactions(tenant, reason="end a session") as tx:
            owner = await session_store.select_owner(tx, tenant.id, session) if is_uuid(session) else None
            if owner is not None:
                await refuse_above(tx, tenant, by, owner, (await self._known(tx, tenant, owner)).role)
            if owner is None or not await self._sessions.end(tx, tenant, owner, SessionId(session), reason="ended by an administrator"):
                raise AuthError("There is no such session.", code="unknown_session")
            await self._note(tx, "auth.user.signed_out", actor_of(by), owner, {"session": session})

    async def end_sessions(self, tenant: Tenant, user: str, *, by: Principal) -> int:
        """Sign a user out everywhere; how many sessions there were."""
        async with self._transactions(tenant, reason="end the sessions of a user") as tx:
            known = await self._known(tx, tenant, user)
            await refuse_above(tx, tenant, by, known.id, known.role)
            ended = await self._sessions.end_all(tx, tenant, known.id, reason="ended by an administrator")
            await self._note(tx, "auth.user.signed_out", actor_of(by), known.id, {"sessions": ended})
            return ended

    async def _values(self, change: UserChange, email: str | None) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if email:
            values["email"] = checked_email(email)
        if change.password is not None:
            reasons = await self._passwords.judge(change.password, email)
            if reasons:
                raise AuthError("This password cannot be used.", code="weak_password", details={"reasons": reasons})
            values["encrypted_password"] = await self._passwords.hash(change.password)
        elif change.password_hash is not None:
            if not is_hash(change.password_hash):
                raise AuthError("password_hash must be a bcrypt or Argon2 hash of bearable cost.", code="validation_failed")
            values["encrypted_password"] = change.password_hash
        if change.role is not None:
            if change.role in _NOT_FOR_USERS or len(change.role) > 63 or not change.role.isprintable():
                raise AuthError("This role is not for users.", code="validation_failed")
            values["role"] = change.role or "authenticated"
        if change.is_confirmed is not None:
            values["is_confirmed"] = change.is_confirmed
        if change.ban_duration is not None:
            values["ban_seconds"] = ban_seconds(change.ban_duration)
        metadata = {"user_metadata": change.user_metadata, "app_metadata": change.app_metadata}
        return values | {name: given for name, given in metadata.items() if given is not None}

    async def _known(self, tx: SystemTx, tenant: Tenant, user: str, *, is_locking: bool = False) -> User:
        known = await user_store.select_user(tx, tenant.id, _checked_id(user), is_locking=is_locking)
        if known is None:
            raise AuthError("User not found", code="unknown_user")
        return known

    async def _deny(self, tx: SystemTx, tenant: Tenant, user: UserId, reason: str, seconds: float | None) -> None:
        if seconds is None:
            await session_store.allow_user(tx, user, prefix=self._prefix_of(tenant))
        else:
            await session_store.deny_user(tx, user, reason=reason, prefix=self._prefix_of(tenant), seconds=int(seconds) + 1)

    async def _note(self, tx: SystemTx, action: str, actor: str, user: UserId, details: dict[str, object]) -> None:
        await self._record(tx, action=action, actor=actor, resource=f"user:{user}", details=details)


def _require_right(by: Principal, change: UserChange) -> None:
    if change.role is not None or change.app_metadata is not None:
        require_administrator(by, "gives a role of the database or app_metadata")


def ban_seconds(text: str) -> float | None:
    """Seconds of Go's notation (``24h``, ``1h30m``); None for ``none``. Raises AuthError ``validation_failed``."""
    if text == "none":
        return None
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or not 0 < seconds <= _LONGEST_BAN_SECONDS:
        raise AuthError("invalid format for ban duration: none, or hours and minutes such as 24h or 1h30m", code="validation_failed")
    return seconds


def _checked_id(text: str) -> UserId:
    if not is_uuid(text):
        raise AuthError("user_id must be an UUID", code="validation_failed", status=404)
    return text.lower()  # type: ignore[return-value] # checked just now

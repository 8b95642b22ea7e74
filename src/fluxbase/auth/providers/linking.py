"""Whose account a proven identity is: found by (issuer, subject), joined by address only where both sides are verified, or new.

The table of cells (threats B9-B15; identity unknown here so far):

==================  =======================  ========================  =====================
provider's address  no account has it        its account confirmed it  its account has not
==================  =======================  ========================  =====================
verified            new account with it      the same account          refused
not verified, none  new account without it   new account without it    new account without it
==================  =======================  ========================  =====================

An account has confirmed its address when its owner proved it by mail, when it was made by a provider that verified the same address,
or when an administrator said so. Where sign-up takes any address at its word, that word links nothing, now and after the setting changes.
Refused, because an attacker may have signed up with the victim's address and would share the account. Whoever owns the
account confirms its address, or signs in to it and links explicitly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth import user_store
from fluxbase.auth.providers import store
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.new_accounts import NewAccounts
    from fluxbase.auth.ports import AuditRecorder, SystemTx
    from fluxbase.auth.providers.profiles import ProvenIdentity
    from fluxbase.auth.users import User
    from fluxbase.kernel.ids import UserId
    from fluxbase.tenancy.registry import Tenant


class Linking:
    """Resolves identities to users in the caller's transaction."""

    def __init__(self, record: AuditRecorder, new_accounts: NewAccounts) -> None:
        self._record = record
        self._new_accounts = new_accounts

    async def user_for(self, tx: SystemTx, tenant: Tenant, proven: ProvenIdentity) -> tuple[User, str, bool]:
        """User, identity and whether the account is new. Raises AuthError ``email_exists``, ``signup_disabled``."""
        await _lock(tx, tenant, proven)
        owner = await store.select_owner(tx, tenant.id, proven.issuer, proven.subject)
        if owner is not None:
            await store.note_identity(tx, tenant.id, owner[0], proven.data)
            return await self._read(tx, tenant, owner[1]), owner[0], False
        email = proven.email if proven.is_email_verified else None
        holder = None if email is None else await user_store.select_user_by_email(tx, tenant.id, email)
        if holder is None:
            user_id, is_new = await self._create(tx, tenant, proven, email), True
        elif tenant.settings.oauth.auto_link and may_link(holder, proven):
            user_id, is_new = holder.id, False
        else:
            raise AuthError(
                "An account with this address exists. Confirm its address, or sign in to it and link this provider there.",
                code="email_exists",
            )
        identity = await self._attach(tx, tenant, user_id, proven, how="created" if is_new else "verified address")
        return await self._read(tx, tenant, user_id), identity, is_new

    async def link(self, tx: SystemTx, tenant: Tenant, user_id: UserId, proven: ProvenIdentity) -> tuple[User, str]:
        """Explicitly, to the user who began the flow. Raises AuthError ``identity_already_exists`` when it is anybody's."""
        await _lock(tx, tenant, proven)
        owner = await store.select_owner(tx, tenant.id, proven.issuer, proven.subject)
        if owner is not None:
            raise AuthError("Identity is already linked to another user", code="identity_already_exists")
        identity = await self._attach(tx, tenant, user_id, proven, how="explicitly")
        user = await self._read(tx, tenant, user_id)
        if user.is_anonymous:
            await user_store.update_user(tx, tenant.id, user.id, {"is_anonymous": False, "user_metadata": _metadata(proven)})
            user = await self._read(tx, tenant, user_id)
        return user, identity

    async def _create(self, tx: SystemTx, tenant: Tenant, proven: ProvenIdentity, email: str | None) -> UserId:
        if not tenant.settings.auth.signup_enabled:
            raise AuthError("Signups not allowed for this instance", code="signup_disabled")
        values = {"email": email, "is_confirmed": email is not None, "user_metadata": _metadata(proven)}
        made = await self._new_accounts.make(tx, tenant, values, by=proven.provider, has_email_identity=False)
        if made is None:
            raise AuthError("An account with this address was made meanwhile. Try again.", code="conflict")
        return made.id

    async def _attach(self, tx: SystemTx, tenant: Tenant, user_id: UserId, proven: ProvenIdentity, *, how: str) -> str:
        is_ours = await user_store.insert_identity(
            tx, tenant.id, user_id, provider=proven.provider, issuer=proven.issuer, subject=proven.subject, data=proven.data
        )
        owner = await store.select_owner(tx, tenant.id, proven.issuer, proven.subject)
        if not is_ours or owner is None:
            raise AuthError("Identity is already linked to another user", code="identity_already_exists")
        await self._record(
            tx, action="auth.identity.linked", actor=f"user:{user_id}", resource=f"user:{user_id}",
            details={"provider": proven.provider, "issuer": proven.issuer, "how": how},
        )  # fmt: skip
        return owner[0]

    async def _read(self, tx: SystemTx, tenant: Tenant, user_id: UserId) -> User:
        user = await user_store.select_user(tx, tenant.id, user_id, is_locking=True)
        if user is None:
            raise AuthError("Invalid login credentials", code="invalid_credentials")
        return user


def may_link(holder: User, proven: ProvenIdentity) -> bool:
    """Both sides have proven the address."""
    return holder.email_confirmed_at is not None and holder.has_proven_email and proven.is_email_verified


def _metadata(proven: ProvenIdentity) -> dict[str, object]:
    """What the account starts with. The address is left out unless it is the account's: metadata is not proof."""
    return {name: value for name, value in proven.data.items() if proven.is_email_verified or not name.startswith("email")}


async def _lock(tx: SystemTx, tenant: Tenant, proven: ProvenIdentity) -> None:
    """One at a time for this identity and for this address: two first sign-ins at once make one account."""
    names = [f"identity:{tenant.id}:{proven.issuer}:{proven.subject}", f"address:{tenant.id}:{(proven.email or '').lower()}"]
    for name in sorted(names):
        await store.lock(tx, name)

"""A user's identities: sign in with an ID token, begin an explicit link, unlink (threats B12, B15, B30).

Linking and unlinking change who can get in, so they need a fresh sign-in (step-up). The last way in cannot be taken away.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fluxbase.auth import user_store
from fluxbase.auth.providers import store
from fluxbase.auth.providers.id_token import Expected, IdTokens
from fluxbase.auth.providers.profiles import identity_of
from fluxbase.auth.providers.registry import providers_of
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.providers.flows import Entered, OAuthFlows, Wanted
    from fluxbase.auth.users import Device, User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """An ID token that an app got from the provider's own SDK."""

    provider: str
    issuer: str
    id_token: str = field(repr=False)
    access_token: str | None = field(default=None, repr=False)
    nonce: str | None = None


class Identities:
    """The use cases."""

    def __init__(
        self, transactions: SystemSessions, id_tokens: IdTokens, flows: OAuthFlows, accounts: Accounts, record: AuditRecorder
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._id_tokens = id_tokens
        self._flows = flows
        self._accounts = accounts
        self._record = record

    async def sign_in(self, tenant: Tenant, presented: PresentedToken, device: Device, link_to: Principal | None = None) -> Entered:
        """A session for an ID token, once. ``link_to``: link it to this caller instead. Raises AuthError ``bad_id_token`` and others."""
        offered = providers_of(tenant)
        known = offered.get(presented.provider) if presented.provider else offered.by_issuer(presented.issuer)
        if not known.spec.is_oidc:
            raise AuthError(f"{known.spec.display_name} has no ID tokens.", code="validation_failed")
        nonce = presented.nonce
        nonces = () if not nonce else (nonce, hashlib.sha256(nonce.encode()).hexdigest())
        expected = Expected(nonces, (known.client_id, *known.audiences), presented.access_token)
        claims = await self._id_tokens.verify(known, presented.id_token, expected)
        proven = identity_of(known.name, str(claims["iss"]), claims, trusts_email=known.spec.trusts_email)
        digest = hashlib.sha256(presented.id_token.encode()).digest()

        async def once(tx: SystemTx) -> None:
            if not await store.note_assertion(tx, tenant.id, digest, expires_at=int(claims["exp"]) + 120):
                raise AuthError("Bad ID token: it was used before.", code="bad_id_token")
            if link_to is not None:
                await self._require_fresh(tx, tenant, link_to)

        return await self._flows.enter(tenant, proven, None, device, link_to=None if link_to is None else link_to.user_id, before=once)

    async def begin_link(self, tenant: Tenant, caller: Principal, wanted: Wanted) -> str:
        """The start link's token of an explicit link. Raises AuthError ``reauthentication_needed``."""
        async with self._transactions(tenant, reason="begin to link an identity") as tx:
            user = await self._require_fresh(tx, tenant, caller)
        return await self._flows.begin(tenant, replace(wanted, link_to=user.id))

    async def unlink(self, tenant: Tenant, caller: Principal, identity: str) -> None:
        """Raises AuthError ``identity_not_found`` (another's is the same), ``single_identity_not_deletable``."""
        async with self._transactions(tenant, reason="unlink an identity") as tx:
            user = await self._require_fresh(tx, tenant, caller)
            mine = next((each for each in user.identities if each.id == identity), None) if _UUID.fullmatch(identity) else None
            if mine is None:
                raise AuthError("Identity doesn't exist", code="identity_not_found")
            if not has_another_way_in(user, identity):
                raise AuthError("User must have at least 1 identity after unlinking", code="single_identity_not_deletable")
            await store.delete_identity(tx, tenant.id, user.id, identity)
            await self._record(
                tx, action="auth.identity.unlinked", actor=f"user:{user.id}", resource=f"user:{user.id}",
                details={"provider": mine.provider, "issuer": mine.issuer},
            )  # fmt: skip

    async def _require_fresh(self, tx: SystemTx, tenant: Tenant, caller: Principal) -> User:
        """The caller, locked: two unlinks at once must not take both ways in."""
        user, session = await self._accounts.read_current(tx, tenant, caller)
        await self._accounts.require_fresh(tx, tenant, session)
        locked = await user_store.select_user(tx, tenant.id, user.id, is_locking=True)
        if locked is None:
            raise AuthError("User from sub claim in JWT does not exist", code="user_not_found")
        # read again: the list of identities may be older than the lock
        return await user_store.select_user(tx, tenant.id, user.id) or locked


def has_another_way_in(user: User, identity: str) -> bool:
    """Without this identity: another provider, or the own address with a password or proven, so that a link can be mailed."""
    left = [each for each in user.identities if each.id != identity]
    is_own = next(each for each in user.identities if each.id == identity).provider == "email"
    if is_own:
        return False  # the account's address is changed, not unlinked
    return any(each.provider != "email" for each in left) or user.has_password or user.email_confirmed_at is not None

"""Sessions: how they begin, go on by refresh tokens, and end everywhere at once (threats B20, B22; invariants 5, 12).

A refresh token is used once. Its child is derived from it with the master key, so that a client that lost the answer, and
two hundred tabs that refresh at the same moment, get the same child within ``refresh_grace_seconds`` although only hashes
are stored; a later second use means that somebody copied the token: its whole family, which is the session, ends. A token
is never worth more than the session was when it was given out: a step-up leaves the tokens before it behind (B25).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from typing import TYPE_CHECKING, Any

from fluxbase.auth import session_store
from fluxbase.auth.users import Device, IssuedSession, Session, User
from fluxbase.config.tenants import MOST_TOKEN_SECONDS
from fluxbase.crypto.opaque import REFRESH, format_opaque, parse_opaque
from fluxbase.kernel import access
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.auth.minter import TokenMinter
    from fluxbase.auth.ports import AuditRecorder, ClaimsHook, FactorDebt, RateLimits, SystemSessions, SystemTx
    from fluxbase.kernel.ids import SessionId, UserId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class Sessions:
    """Begins, refreshes, lists and ends sessions. ``begin`` is for ``gate.py`` alone."""

    def __init__(
        self, transactions: SystemSessions, minter: TokenMinter, record: AuditRecorder, limits: RateLimits, *,
        derive: Callable[[str], bytes], prefix_of: Callable[[Tenant], str],
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._limits = limits
        self._minter = minter
        self._record = record
        self._family_key = derive("refresh-token")
        self._prefix_of = prefix_of
        self.policy: FactorDebt | None = None
        self.claims_hook: ClaimsHook | None = None

    async def begin(
        self, tx: SystemTx, tenant: Tenant, user: User, *, amr: Sequence[dict[str, Any]], aal: str = "aal1",
        factor_ids: Sequence[str] = (), device: Device,
    ) -> IssuedSession:  # fmt: skip
        """A session for a user whom the gate let in. Raises AuthError when the account changed since ``user`` was read."""
        refresh = format_opaque(REFRESH, tenant.locator, secrets.token_bytes(32))
        session = await session_store.begin_session(
            tx, tenant.id, user.id, epoch=user.epoch, aal=aal, amr=amr, factor_ids=factor_ids, user_agent=device.user_agent,
            address=device.address, lifetime_seconds=tenant.settings.auth.refresh_token_seconds, token_hash=_hash(refresh),
        )  # fmt: skip
        if session is None:
            raise AuthError("Invalid login credentials", code="invalid_credentials")
        return await self._issued(tenant, user, session, refresh)

    async def raise_level(
        self, tx: SystemTx, tenant: Tenant, user: User, session: SessionId, *, proof: dict[str, Any], factor_ids: Sequence[str]
    ) -> IssuedSession | None:
        """The session has shown a second factor: aal2, with new tokens. None when it has ended."""
        refresh = format_opaque(REFRESH, tenant.locator, secrets.token_bytes(32))
        raised = await session_store.raise_session(tx, tenant.id, user.id, session, proof, factor_ids, token_hash=_hash(refresh))
        return None if raised is None else await self._issued(tenant, user, raised, refresh)

    async def refresh(self, tenant: Tenant, raw_token: str, device: Device, caller: Principal | None = None) -> IssuedSession:
        """The next pair of tokens; ``caller`` is the key that asks. Raises Revoked for him, AuthError: ``refresh_token_not_found``,
        ``refresh_token_already_used``, ``session_expired``, ``session_not_found``; RateLimited by session, and then the token is
        not used up."""
        token = parse_opaque(raw_token, (REFRESH,))
        if token is None or token.locator != tenant.locator:
            raise _not_found()
        child, began = self._child(tenant, raw_token), time.monotonic()
        async with self._transactions(tenant, reason="refresh a session", caller=caller) as tx:
            found = await session_store.rotate(
                tx, tenant.id, token_hash=token.digest, child_hash=_hash(child), user_agent=device.user_agent, address=device.address,
                lifetime_seconds=tenant.settings.auth.refresh_token_seconds,
            )  # fmt: skip
            if found is not None:  # before the commit: who is told to wait must not have lost his token meanwhile
                await self._limits.admit(access.REFRESH, tenant.id, found[1].id)
        refused = None
        if found is None:
            async with self._transactions(tenant, reason="a refresh token that was used") as tx:
                found, refused = await self._again(tx, tenant, token.digest, math.ceil(time.monotonic() - began))
        if refused is not None or found is None:
            raise refused or _not_found()
        return await self._issued(tenant, *found, child)

    async def _again(
        self, tx: SystemTx, tenant: Tenant, digest: bytes, waited_seconds: int
    ) -> tuple[tuple[User, Session] | None, AuthError | None]:
        """A token that was used: the same answer within the grace, the end of the family after it. What ends must be committed, so errors
        are returned, not raised. What a request waited for a connection counts for it, not against it."""
        found = await session_store.select_used(
            tx, tenant.id, digest, grace_seconds=tenant.settings.auth.refresh_grace_seconds + waited_seconds
        )
        if found is None:
            return None, _not_found()
        verdict, session_id, user, session = found
        match verdict:
            case "fresh" if not user.is_banned and user.deleted_at is None:
                return (user, session), None
            case "superseded":  # the session has shown a second factor since: only its new token says so
                return None, _already_used()
            case "reused":
                await self.end(tx, tenant, user.id, session_id, reason="refresh token reused")
                await self._record(
                    tx, action="auth.refresh_token.reused", actor=f"user:{user.id}", resource=f"session:{session_id}", details={}
                )
                return None, _already_used()
            case "expired":
                return None, AuthError("Invalid Refresh Token: Session Expired", code="session_expired")
            case _:
                return None, AuthError("Session from session_id claim in JWT does not exist", code="session_not_found", status=400)

    async def end(self, tx: SystemTx, tenant: Tenant, user: UserId, session: SessionId, *, reason: str) -> bool:
        """End one session of a user; False when it is not his or has ended."""
        return bool(await self._end(tx, tenant, user, reason, only=session))

    async def end_others(self, tx: SystemTx, tenant: Tenant, user: UserId, but: SessionId, *, reason: str) -> int:
        """End all but one; how many."""
        return await self._end(tx, tenant, user, reason, but=but)

    async def end_all(self, tx: SystemTx, tenant: Tenant, user: UserId, *, reason: str) -> int:
        """End every session of a user; how many."""
        return await self._end(tx, tenant, user, reason)

    async def list(self, tenant: Tenant, user: UserId) -> list[Session]:
        """The user's live sessions."""
        async with self._transactions(tenant, reason="list the sessions of a user") as tx:
            return await session_store.list_sessions(tx, tenant.id, user)

    async def forget_expired(self, tenant: Tenant) -> None:
        """Remove sessions and denials whose time is over."""
        async with self._transactions(tenant, reason="forget expired sessions") as tx:
            await session_store.remove_expired(tx, tenant.id)

    async def forget_ban(self, tx: SystemTx, tenant: Tenant, user: User) -> None:
        """A ban that has come to its end no longer denies the user's new tokens."""
        await session_store.allow_user(tx, user.id, prefix=self._prefix_of(tenant))

    async def _end(self, tx: SystemTx, tenant: Tenant, user: UserId, reason: str, **which: SessionId) -> int:
        return await session_store.end_sessions(
            tx, tenant.id, user, reason=reason, prefix=self._prefix_of(tenant), deny_seconds=longest_token_seconds(tenant), **which
        )

    def _child(self, tenant: Tenant, raw_token: str) -> str:
        digest = hmac.digest(self._family_key, f"{tenant.id}\n{raw_token}".encode(), hashlib.sha256)
        return format_opaque(REFRESH, tenant.locator, digest)

    async def _issued(self, tenant: Tenant, user: User, session: Session, refresh: str) -> IssuedSession:
        now, seconds = int(time.time()), tenant.settings.auth.access_token_seconds
        claims = claims_of(user, session)
        if self.policy is not None and self.policy.is_pending(tenant, user, session):
            claims["factor_required"] = True
        if self.claims_hook is not None:
            claims = await self.claims_hook(tenant, user, session, claims)
        token = await self._minter.access_token(
            tenant.id, user.id, user.role, session.id, user.email or "", claims, now=now, seconds=seconds
        )
        return IssuedSession(user, session, token, refresh, seconds, now + seconds)


def longest_token_seconds(tenant: Tenant) -> int:
    """For how long an access token may still be about: its lifetime may have been longer when it was made, up to a day."""
    return max(MOST_TOKEN_SECONDS, tenant.settings.auth.access_token_seconds) + tenant.settings.auth.leeway_seconds


def claims_of(user: User, session: Session) -> dict[str, object]:
    """What an access token says of its user beside who he is (contract-supabase 2.1)."""
    return {
        "phone": user.phone or "",
        "app_metadata": app_metadata(user),
        "user_metadata": user.user_metadata,
        "aal": session.aal,
        "amr": list(session.amr),
        **({"factor_ids": list(session.factor_ids)} if session.factor_ids else {}),
        "is_anonymous": user.is_anonymous,
    }


def app_metadata(user: User) -> dict[str, object]:
    """With the providers of the user's identities, which the row does not repeat."""
    providers = list(dict.fromkeys(each.provider for each in user.identities))
    return {**({"provider": providers[0], "providers": providers} if providers else {}), **user.app_metadata}


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _already_used() -> AuthError:
    return AuthError("Invalid Refresh Token: Already Used", code="refresh_token_already_used")


def _not_found() -> AuthError:
    return AuthError("Invalid Refresh Token: Refresh Token Not Found", code="refresh_token_not_found")

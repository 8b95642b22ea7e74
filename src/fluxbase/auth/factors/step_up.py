"""Sessions and their level: who is asking, is his proof fresh enough, and how a session is raised and lowered (threat B25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth.accounts import is_uuid
from fluxbase.auth.factors import store
from fluxbase.auth.factors.store import AAL2
from fluxbase.auth.sessions import longest_token_seconds
from fluxbase.auth.user_store import select_user
from fluxbase.kernel.errors import AuthError, Forbidden
from fluxbase.kernel.ids import SessionId, UserId

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.factors.enforcement import FactorPolicy
    from fluxbase.auth.ports import AuditRecorder, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import IssuedSession, Session, User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class StepUp:
    """What every change of factors and passkeys asks of the caller's session, and does to it."""

    def __init__(self, accounts: Accounts, sessions: Sessions, policy: FactorPolicy, record: AuditRecorder) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._policy = policy
        self._record = record

    async def raise_session(
        self, tx: SystemTx, tenant: Tenant, user: User, session_id: str, method: str, factor_ids: tuple[str, ...]
    ) -> IssuedSession:
        """The session is of level aal2 from now on, with new tokens. Raises AuthError ``session_not_found``."""
        proof = await self.proof(tx, method)
        raised = await self._sessions.raise_level(tx, tenant, user, SessionId(session_id), proof=proof, factor_ids=factor_ids)
        if raised is None:
            raise AuthError("Session from session_id claim in JWT does not exist", code="session_not_found")
        await self._record(
            tx, action="auth.mfa.verified", actor=f"user:{user.id}", resource=f"session:{session_id}", details={"method": method}
        )
        return raised

    async def require(self, tx: SystemTx, tenant: Tenant, user: User, session: Session) -> None:
        """A sensitive change wants the second factor, shown within ``auth.step_up_seconds``; a fresh sign-in where there is none.

        Raises AuthError ``insufficient_aal`` or ``reauthentication_needed``.
        """
        if user.has_second_factor and session.aal != AAL2:
            raise AuthError("AAL2 session is required: show the second factor first", code="insufficient_aal")
        await self._accounts.require_fresh(tx, tenant, session)

    async def caller(self, tenant: Tenant, principal: Principal) -> tuple[User, Session]:
        """The caller's account and session. Raises AuthError ``session_not_found``; Forbidden for whoever impersonates: a session that
        was raised would no longer say who is behind it."""
        if principal.impersonated_by is not None:
            raise Forbidden("Whoever impersonates has no second factor here.", code="is_impersonating")
        user, session = await self._accounts.current(tenant, principal)
        if session is None:
            raise AuthError("Session from session_id claim in JWT does not exist", code="session_not_found")
        return user, session

    async def user(self, tx: SystemTx, tenant: Tenant, user_id: str, *, code: str = "invalid_ticket") -> User:
        """An account by id. Raises AuthError with the given code."""
        user = await select_user(tx, tenant.id, UserId(user_id)) if is_uuid(user_id) else None
        if user is None:
            raise AuthError("User not found", code=code)
        return user

    async def proof(self, tx: SystemTx, method: str) -> dict[str, Any]:
        """An entry of ``amr``, at the database's time."""
        return {"method": method, "timestamp": int(await store.select_now(tx))}

    async def lower(self, tx: SystemTx, tenant: Tenant, user: User, factor_id: str, *, is_another_left: bool) -> None:
        """Sessions and tokens that rest on a factor or passkey are aal1 from the commit on, and pending where one must be shown."""
        mode = self._policy.mode(tenant, user)
        is_pending = mode == "required" or (mode == "enrolled" and is_another_left)
        await store.lower_sessions(tx, tenant.id, user.id, factor_id)
        await store.deny_factor(tx, factor_id, is_pending=is_pending, seconds=longest_token_seconds(tenant))

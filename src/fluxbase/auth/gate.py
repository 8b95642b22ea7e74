"""The one way by which any sign-in becomes a session: password, code, link, provider, passkey all end here.

Decides in this order: banned, address confirmed where that is required, second factor, hooks, session. A way that left one
of them out would be the way attackers take (threats B9, B20, B26), so nobody else calls ``Sessions.begin``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fluxbase.auth.users import IssuedSession, SecondFactorRequired
from fluxbase.kernel.errors import AuthError, Internal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.ports import AccountHooks, FactorCheck, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Device, User
    from fluxbase.tenancy.registry import Tenant

CONFIRMING = frozenset({"otp", "magiclink", "recovery", "invite", "email/signup", "oauth", "sso/saml"})
"""Methods that prove themselves whose address it is, or do not sign in by one."""


class SignInGate:
    """Admits a user whose first proof holds."""

    def __init__(self, sessions: Sessions, factors: FactorCheck | None = None, hooks: AccountHooks | None = None) -> None:
        self._sessions = sessions
        self.factors = factors
        self.hooks = hooks

    async def admit(
        self, tx: SystemTx, tenant: Tenant, user: User, *, method: str, device: Device, aal: str = "aal1",
        earlier: Sequence[dict[str, Any]] = (), factor_ids: Sequence[str] = (),
    ) -> IssuedSession | SecondFactorRequired:  # fmt: skip
        """The session, or the ticket of the second step. ``earlier`` are the methods of steps before this one.

        Raises Internal while nobody has said who asks for second factors (``parts/factors.py``): closed, not open.
        Raises AuthError: ``user_banned``, ``email_not_confirmed``, ``invalid_credentials`` when the account changed meanwhile.
        """
        if user.deleted_at is not None:
            raise AuthError("Invalid login credentials", code="invalid_credentials")
        if user.is_banned:
            raise AuthError("User is banned", code="user_banned")
        if _is_unconfirmed(tenant, user, method):
            raise AuthError("Email not confirmed", code="email_not_confirmed", details={"requires_email_verification": True})
        if user.banned_until is not None:
            await self._sessions.forget_ban(tx, tenant, user)
        if self.factors is None:
            raise Internal("The second factors are not connected to the gate of sign-ins.", code="gate_without_factors")
        if aal == "aal1":
            asked = await self.factors.required(tx, tenant, user, method=method, device=device, aal=aal)
            if asked is not None:
                return asked
        if self.hooks is not None:
            await self.hooks.before_sign_in(tenant, user, method=method, device=device)
        amr = [*earlier, {"method": method, "timestamp": int(time.time())}]
        issued = await self._sessions.begin(tx, tenant, user, amr=amr, aal=aal, factor_ids=factor_ids, device=device)
        hooks = self.hooks
        if hooks is not None:
            tx.on_commit(lambda: hooks.after_sign_in(tenant, user, method=method, device=device))
        return issued


def _is_unconfirmed(tenant: Tenant, user: User, method: str) -> bool:
    return (
        tenant.settings.auth.require_email_verification
        and user.email is not None
        and user.email_confirmed_at is None
        and method not in CONFIRMING
    )

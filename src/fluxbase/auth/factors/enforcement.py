"""Who must show a second factor: the strictest of what instance, tenant and role say.

A session that still owes one is *pending*: its tokens carry ``factor_required`` and open nothing but the routes that pay the debt
(``Access.PENDING``). So a way of signing in cannot forget the second factor: it would have to forget this claim too.
Tables are not decided here but in the database, by ``auth.require_aal2('schema.table')``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth.factors.store import AAL1

if TYPE_CHECKING:
    from fluxbase.auth.users import Session, User
    from fluxbase.config.factors import Mfa
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant

_STRICTNESS = ("policies", "enrolled", "required")


class FactorPolicy:
    """The instance's settings and the tenant's, asked for one user: a tenant can be stricter, never laxer.

    ``home``: whose users the platform's administrators are; they have a setting of their own.
    """

    def __init__(self, settings: Mfa, home: TenantId) -> None:
        self._settings = settings
        self._home = home

    def mode(self, tenant: Tenant, user: User) -> str:
        """``policies``, ``enrolled`` or ``required``."""
        if tenant.id == self._home:
            return self._settings.platform_enforcement
        own = tenant.settings.mfa
        modes = [own.enforcement, self._settings.enforcement, self._settings.tenant_enforcement.get(tenant.slug, "policies")]
        if user.role in own.required_roles or user.role in self._settings.required_roles:
            modes.append("required")
        return max(modes, key=_STRICTNESS.index)

    def asks_at_sign_in(self, tenant: Tenant, user: User) -> bool:
        """Whether a first proof is not enough because the user has a factor to show."""
        return user.has_second_factor and self.mode(tenant, user) != "policies"

    def is_pending(self, tenant: Tenant, user: User, session: Session) -> bool:
        """Whether this session opens nothing yet."""
        if session.aal != AAL1:
            return False
        mode = self.mode(tenant, user)
        return mode == "required" or (mode == "enrolled" and user.has_second_factor)

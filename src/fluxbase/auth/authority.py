"""Whom a user who administers by role may act upon: nobody who holds more than he does (threat B30).

With a password, a link or a factor of another's account one becomes him. So whoever may write accounts, and does not administer
the whole tenant, reaches only those whose every permission he holds himself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth.rbac_store import select_grants
from fluxbase.auth.roles import refuse_more_than_own
from fluxbase.kernel.errors import Forbidden
from fluxbase.kernel.ids import AUTHENTICATED
from fluxbase.kernel.permissions import administers

if TYPE_CHECKING:
    from fluxbase.auth.ports import SystemTx
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


def require_administrator(principal: Principal, what: str) -> None:
    """Raises Forbidden ``more_than_own`` unless the caller administers the whole tenant."""
    if not administers(principal):
        raise Forbidden(f"Only an administrator of the whole tenant {what}.", code="more_than_own")


async def refuse_above(tx: SystemTx, tenant: Tenant, principal: Principal, user: str, role: str = AUTHENTICATED) -> None:
    """Raises Forbidden ``more_than_own`` when the user holds, in the tenant or an organisation, what the caller does not.

    A role of the database that is not the caller's own counts as more. One's own account is never above oneself.
    """
    if administers(principal) or user == principal.user_id:
        return
    if role not in (AUTHENTICATED, principal.role):
        raise Forbidden("This user has another role than yours.", code="more_than_own")
    held = await select_grants(tx, tenant.id, user)
    theirs = {*held["permissions"], *(each for inside in held["orgs"].values() for each in inside["permissions"])}
    refuse_more_than_own(principal, theirs, principal.permissions)

"""Factors that go, by their user or by an administrator: everything that rests on them is lowered in the same transaction (threat B25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth import user_store
from fluxbase.auth.authority import refuse_above
from fluxbase.auth.factors import store
from fluxbase.auth.factors.store import AAL2
from fluxbase.auth.roles import actor_of
from fluxbase.auth.users import SECOND_FACTORS
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.factors.step_up import StepUp
    from fluxbase.auth.factors.store import Factor
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.users import User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class FactorRemoval:
    """Removing, resetting and naming."""

    def __init__(self, transactions: SystemSessions, step_up: StepUp, accounts: Accounts, record: AuditRecorder) -> None:
        self._transactions = transactions
        self._step_up = step_up
        self._accounts = accounts
        self._record = record

    async def remove(self, tenant: Tenant, principal: Principal, factor_id: str) -> str:
        """Remove one of the caller's factors. Raises AuthError ``mfa_factor_not_found``, ``insufficient_aal``."""
        user, session = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="remove a second factor") as tx:
            factor = await find_factor(tx, tenant, user.id, factor_id)
            if factor.is_verified:
                await self._step_up.require(tx, tenant, user, session)
            await self.take_away(tx, tenant, user, [factor.id], actor=f"user:{user.id}")
        return factor.id

    async def remove_all(self, tenant: Tenant, principal: Principal, password: str) -> str:
        """Native ``2fa/disable``: with the password, in a session that showed a factor. The id of the first factor."""
        user, session = await self._step_up.caller(tenant, principal)
        if not user.factors:
            raise AuthError("Two-factor authentication is not enabled.", code="mfa_factor_not_found")
        if session.aal != AAL2:
            raise AuthError("Show the second factor first.", code="insufficient_aal")
        await self._accounts.require_password(tenant, user, password)
        async with self._transactions(tenant, reason="disable the second factor") as tx:
            await self.take_away(tx, tenant, user, [each["id"] for each in user.factors], actor=f"user:{user.id}")
        return str(user.factors[0]["id"])

    async def list_of(self, tenant: Tenant, user_id: str) -> list[dict[str, Any]]:
        """For administrators: a user's factors. Raises AuthError ``unknown_user``."""
        async with self._transactions(tenant, reason="list the factors of a user") as tx:
            return list((await self._step_up.user(tx, tenant, user_id, code="unknown_user")).factors)

    async def rename(self, tenant: Tenant, user_id: str, factor_id: str, friendly_name: str, *, by: Principal) -> dict[str, Any]:
        """For administrators."""
        async with self._transactions(tenant, reason="rename a factor of a user") as tx:
            user = await self._step_up.user(tx, tenant, user_id, code="unknown_user")
            await refuse_above(tx, tenant, by, user.id, user.role)
            await find_factor(tx, tenant, user.id, factor_id)
            await store.rename_factor(tx, tenant.id, factor_id, friendly_name)
            await self._record(
                tx, action="auth.mfa.renamed", actor=actor_of(by), resource=f"user:{user.id}", details={"factor_id": factor_id}
            )
            renamed = await self._step_up.user(tx, tenant, user_id)
        return next(each for each in renamed.factors if each["id"] == factor_id)

    async def reset(self, tenant: Tenant, user_id: str, factor_id: str | None, *, by: Principal) -> list[dict[str, Any]]:
        """For administrators: take one factor of a user away, or all; what was taken.

        Raises AuthError ``unknown_user``, ``mfa_factor_not_found``; Forbidden ``more_than_own``.
        """
        async with self._transactions(tenant, reason="reset the second factor of a user") as tx:
            user = await self._step_up.user(tx, tenant, user_id, code="unknown_user")
            await refuse_above(tx, tenant, by, user.id, user.role)
            taken = [each for each in user.factors if factor_id in (None, each["id"])]
            if factor_id is not None and not taken:
                raise unknown_factor()
            await self.take_away(tx, tenant, user, [each["id"] for each in taken], actor=actor_of(by))
        return taken

    async def take_away(self, tx: SystemTx, tenant: Tenant, user: User, factor_ids: list[str], *, actor: str) -> None:
        """Remove factors; sessions and tokens that rest on them are lowered in the same transaction (threat B25)."""
        await store.lock_user(tx, tenant.id, user.id)
        removed = await store.delete_factors(tx, tenant.id, user.id, factor_ids)
        left = [each for each in await store.select_factors(tx, tenant.id, user.id) if each.is_verified]
        is_another_left = any(each.factor_type in SECOND_FACTORS for each in left)
        if not is_another_left:
            await store.replace_recovery_codes(tx, tenant.id, user.id, [])
            removed += await store.delete_factors(tx, tenant.id, user.id, [each.id for each in left])
        await store.delete_tickets(tx, tenant.id, user.id)
        await user_store.move_epoch(tx, tenant.id, user.id)
        for factor_id in removed:
            await self._step_up.lower(tx, tenant, user, factor_id, is_another_left=is_another_left)
        await self._record(tx, action="auth.mfa.removed", actor=actor, resource=f"user:{user.id}", details={"factor_ids": removed})


async def find_factor(tx: SystemTx, tenant: Tenant, user_id: str, factor_id: str) -> Factor:
    """A factor of this user; another's is not there. Raises AuthError ``mfa_factor_not_found``."""
    factor = await store.select_factor(tx, tenant.id, user_id, factor_id)
    if factor is None:
        raise unknown_factor()
    return factor


def unknown_factor() -> AuthError:
    """There is none, or it is another's."""
    return AuthError("Factor not found", code="mfa_factor_not_found")

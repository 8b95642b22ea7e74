"""Recovery codes: ten, shown once, each good once, good only while there is a factor they stand in for (threat B23)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.auth.factors import store
from fluxbase.auth.factors.secrets import canonical_recovery_code, new_recovery_codes, recovery_code_hash
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.factors.attempts import Attempts
    from fluxbase.auth.factors.step_up import StepUp
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.users import IssuedSession, User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


@dataclass(frozen=True, slots=True)
class CodeSet:
    """How many codes there are and how many are left; never a code."""

    id: str
    total: int
    remaining: int


class RecoveryCodes:
    """``key`` is derived from the master key for this purpose alone."""

    def __init__(self, transactions: SystemSessions, step_up: StepUp, attempts: Attempts, record: AuditRecorder, key: bytes) -> None:
        self._transactions = transactions
        self._step_up = step_up
        self._attempts = attempts
        self._record = record
        self._key = key

    async def status(self, tenant: Tenant, principal: Principal) -> CodeSet:
        """The current set. Raises AuthError ``mfa_factor_not_found`` when there is none."""
        user, _ = await self._step_up.caller(tenant, principal)
        factor_id = _set_of(user)
        async with self._transactions(tenant, reason="count recovery codes") as tx:
            return CodeSet(factor_id, *await store.count_recovery_codes(tx, tenant.id, user.id))

    async def renew(self, tenant: Tenant, principal: Principal) -> tuple[str, list[str]]:
        """Ten new codes and the id of their set; the old ones are dead. Raises AuthError ``insufficient_aal``."""
        user, session = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="make recovery codes") as tx:
            await self._step_up.require(tx, tenant, user, session)
            if not user.has_second_factor:
                raise AuthError("Recovery codes stand in for a second factor: enroll one first.", code="mfa_factor_not_found")
            return await self.make(tx, tenant, user)

    async def remove(self, tenant: Tenant, principal: Principal) -> str:
        """No code is good any more; the id of their set."""
        user, session = await self._step_up.caller(tenant, principal)
        factor_id = _set_of(user)
        async with self._transactions(tenant, reason="remove recovery codes") as tx:
            await self._step_up.require(tx, tenant, user, session)
            await store.replace_recovery_codes(tx, tenant.id, user.id, [])
            await store.delete_factors(tx, tenant.id, user.id, [factor_id])
            await self._step_up.lower(tx, tenant, user, factor_id, is_another_left=user.has_second_factor)
            await self._record(
                tx, action="auth.mfa.recovery_codes.removed", actor=f"user:{user.id}", resource=f"user:{user.id}", details={}
            )
        return factor_id

    async def verify(self, tenant: Tenant, principal: Principal, raw_code: str) -> IssuedSession:
        """A recovery code inside a session raises it. Raises AuthError ``mfa_verification_failed``, RateLimited."""
        user, session = await self._step_up.caller(tenant, principal)
        await self._attempts.by_account(tenant, user.id)
        async with self._transactions(tenant, reason="use a recovery code") as tx:
            factor_ids = await self.spend(tx, tenant, user, raw_code)
            await store.clear_attempts(tx, tenant.id, user.id)
            return await self._step_up.raise_session(tx, tenant, user, session.id, "recovery_code", factor_ids)

    async def spend(self, tx: SystemTx, tenant: Tenant, user: User, raw_code: str) -> tuple[str, ...]:
        """The factors that a recovery code stands in for: all of them, so that removing any lowers the session."""
        canonical = canonical_recovery_code(raw_code)
        hashed = None if canonical is None else recovery_code_hash(self._key, user.id, canonical)
        if hashed is None or not await store.spend_recovery_code(tx, tenant.id, user.id, hashed):
            raise wrong_code()
        _, left = await store.count_recovery_codes(tx, tenant.id, user.id)
        await self._record(
            tx, action="auth.mfa.recovery_code.used", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"left": left}
        )
        return tuple(each["id"] for each in user.factors if each["status"] == "verified")

    async def make(self, tx: SystemTx, tenant: Tenant, user: User) -> tuple[str, list[str]]:
        """Ten new codes, shown this once, and the id of their set."""
        codes = new_recovery_codes()
        hashes = [recovery_code_hash(self._key, user.id, code.replace("-", "")) for code in codes]
        await store.replace_recovery_codes(tx, tenant.id, user.id, hashes)
        known = [each["id"] for each in user.factors if each["factor_type"] == "recovery_code"]
        if not known:
            name = "Recovery codes"
            made = await store.insert_factor(tx, tenant.id, str(uuid.uuid4()), user.id, "recovery_code", name, None, status="verified")
            known = [made.id]
        await self._record(tx, action="auth.mfa.recovery_codes.made", actor=f"user:{user.id}", resource=f"user:{user.id}", details={})
        return known[0], codes


def _set_of(user: User) -> str:
    found = [each["id"] for each in user.factors if each["factor_type"] == "recovery_code"]
    if not found:
        raise AuthError("There are no recovery codes.", code="mfa_factor_not_found")
    return found[0]


def wrong_code() -> AuthError:
    """A code that is wrong, was used, or is none: one answer."""
    return AuthError("Invalid TOTP code entered", code="mfa_verification_failed")

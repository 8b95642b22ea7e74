"""The use cases of second factors (contract-native 2.4, contract-supabase 2.2; threats B23 to B26).

Enrol, confirm with a first code, show at sign-in by ticket or by challenge. Every change is one transaction with its audit row.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.auth import session_store, user_store
from fluxbase.auth.factors import store, totp
from fluxbase.auth.factors.recovery import wrong_code
from fluxbase.auth.factors.removal import find_factor, unknown_factor
from fluxbase.auth.factors.secrets import canonical_recovery_code, device_hash, new_ticket, ticket_hash
from fluxbase.auth.factors.store import AAL2, NewTicket
from fluxbase.auth.users import IssuedSession, SecondFactorRequired
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.factors.attempts import Attempts
    from fluxbase.auth.factors.enforcement import FactorPolicy
    from fluxbase.auth.factors.recovery import RecoveryCodes
    from fluxbase.auth.factors.step_up import StepUp
    from fluxbase.auth.factors.store import Factor
    from fluxbase.auth.gate import SignInGate
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Device, Session, User
    from fluxbase.crypto.master import MasterKey
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A new factor that waits for its first code; the secret is shown this once."""

    factor: Factor
    secret: str
    uri: str


class Factors:
    """TOTP and recovery codes, and what every kind of second factor shares."""

    def __init__(
        self, transactions: SystemSessions, policy: FactorPolicy, attempts: Attempts, recovery: RecoveryCodes,
        step_up: StepUp, record: AuditRecorder, master: MasterKey, sessions: Sessions, gate: SignInGate,
    ) -> None:  # fmt: skip
        self.policy = policy
        self.recovery = recovery
        self._transactions = transactions
        self._attempts = attempts
        self._step_up = step_up
        self._record = record
        self._master = master
        self._sessions = sessions
        self._gate = gate

    # -- at sign-in (FactorCheck) ---------------------------------------------------------------------------------------------

    async def required(
        self, tx: SystemTx, tenant: Tenant, user: User, *, method: str, device: Device, aal: str
    ) -> SecondFactorRequired | None:
        """The ticket of the second step, when the user has a factor that must be shown.

        None for a client that shows it inside the session: that session is pending (``enforcement.py``).
        """
        if aal == AAL2 or device.steps_in_session or not self.policy.asks_at_sign_in(tenant, user):
            return None
        ticket = new_ticket()
        await self._write_ticket(tx, tenant, NewTicket(
            "sign_in", user.id, device_hash(device.address, device.user_agent), ticket_hash(ticket), methods=(method,)
        ))  # fmt: skip
        return SecondFactorRequired(user, ticket, tuple(each for each in user.factors if each["status"] == "verified"))

    async def step_up_ticket(self, tenant: Tenant, principal: Principal, device: Device) -> str:
        """A ticket that raises the caller's own session. Raises AuthError ``mfa_factor_not_found`` for a user without a factor."""
        user, session = await self._step_up.caller(tenant, principal)
        if not user.has_second_factor:
            raise AuthError("There is no second factor to show.", code="mfa_factor_not_found")
        ticket = new_ticket()
        async with self._transactions(tenant, reason="begin a step-up") as tx:
            await self._write_ticket(tx, tenant, NewTicket(
                "step_up", user.id, device_hash(device.address, device.user_agent), ticket_hash(ticket), session_id=session.id
            ))  # fmt: skip
        return ticket

    async def complete(self, tenant: Tenant, raw_ticket: str, raw_code: str, device: Device) -> IssuedSession:
        """The second step: a code of any of the user's factors, or a recovery code.

        Raises AuthError ``invalid_ticket`` or ``mfa_verification_failed``, RateLimited.
        """
        ticket = await self._attempts.by_ticket(tenant, raw_ticket, device)
        async with self._transactions(tenant, reason="complete a sign-in") as tx:
            user = await self._step_up.user(tx, tenant, ticket.user_id)
            method, factor_ids = await self._accept(tx, tenant, user, raw_code)
            await self._consume(tx, tenant, ticket.id)
            await store.clear_attempts(tx, tenant.id, user.id)
            if ticket.session_id is not None:
                return await self._step_up.raise_session(tx, tenant, user, ticket.session_id, method, factor_ids)
            earlier = [await self._step_up.proof(tx, each) for each in ticket.methods]
            admitted = await self._gate.admit(
                tx, tenant, user, method=method, device=device, aal=AAL2, earlier=earlier, factor_ids=factor_ids
            )
            assert isinstance(admitted, IssuedSession)  # noqa: S101 - of level aal2, so nothing more is asked
            return admitted

    # -- enrolment ------------------------------------------------------------------------------------------------------------

    async def enrol_totp(self, tenant: Tenant, principal: Principal, *, friendly_name: str, issuer: str) -> Enrolment:
        """A factor that waits for its first code. Raises AuthError ``mfa_totp_enroll_not_enabled``, ``insufficient_aal``,
        ``too_many_enrolled_mfa_factors``, ``mfa_factor_name_conflict``."""
        if not tenant.settings.mfa.totp_enabled:
            raise AuthError("MFA enroll is disabled for TOTP", code="mfa_totp_enroll_not_enabled")
        user, session = await self._step_up.caller(tenant, principal)
        secret, factor_id = totp.new_secret(), str(uuid.uuid4())
        sealed = self._master.seal(secret.encode(), _associated(tenant, factor_id))
        async with self._transactions(tenant, reason="enrol a second factor") as tx:
            factor = await self.enrol(tx, tenant, user, session, "totp", factor_id, friendly_name, sealed)
        uri = totp.provisioning_uri(secret, account=user.email or user.id, issuer=issuer or tenant.settings.mfa.totp_issuer)
        return Enrolment(factor, secret, uri)

    async def enrol(
        self,
        tx: SystemTx,
        tenant: Tenant,
        user: User,
        session: Session,
        kind: str,
        factor_id: str,
        friendly_name: str,
        sealed: bytes | None,
    ) -> Factor:
        """The checks that every kind of factor shares, and its row."""
        if user.has_second_factor and session.aal != AAL2:
            raise AuthError("AAL2 required to enroll a new factor", code="insufficient_aal")
        await store.lock_user(tx, tenant.id, user.id)
        await store.delete_abandoned(tx, tenant.id, user.id, tenant.settings.mfa.setup_seconds)
        known = await store.select_factors(tx, tenant.id, user.id)
        if len(known) >= tenant.settings.mfa.max_factors:
            raise AuthError("Maximum number of verified factors reached, unenroll to continue", code="too_many_enrolled_mfa_factors")
        if friendly_name and any(each.friendly_name == friendly_name for each in known):
            raise AuthError(f"A factor with the friendly name {friendly_name!r} exists already", code="mfa_factor_name_conflict")
        return await store.insert_factor(tx, tenant.id, factor_id, user.id, kind, friendly_name, sealed)

    async def confirm_newest(self, tenant: Tenant, principal: Principal, raw_code: str) -> tuple[IssuedSession, list[str]]:
        """Native ``2fa/enable``: the first code of the factor set up last; the new session's tokens and the recovery codes."""
        user, session = await self._step_up.caller(tenant, principal)
        waiting = [each for each in user.factors if each["factor_type"] == "totp" and each["status"] == "unverified"]
        if not waiting:
            raise AuthError("There is no second factor that waits for its first code: set one up.", code="mfa_factor_not_found")
        await self._attempts.by_account(tenant, user.id)
        async with self._transactions(tenant, reason="confirm a second factor") as tx:
            factor = await find_factor(tx, tenant, user.id, waiting[-1]["id"])
            await self._check_code(tx, tenant, factor, raw_code)
            issued = await self.confirm(tx, tenant, user, session, factor)
            _, codes = await self.recovery.make(tx, tenant, user)
            return issued, codes

    async def confirm(self, tx: SystemTx, tenant: Tenant, user: User, session: Session, factor: Factor) -> IssuedSession:
        """The session is raised. A factor that waited counts from now on: others that wait go, sessions that did not show it end,
        and sign-ins under way begin anew. Raises AuthError ``insufficient_aal``: who has a factor shows it before he adds another."""
        await store.clear_attempts(tx, tenant.id, user.id)
        if not factor.is_verified:
            await store.lock_user(tx, tenant.id, user.id)
            if (await self._step_up.user(tx, tenant, user.id)).has_second_factor and session.aal != AAL2:
                raise AuthError("AAL2 required to verify a new factor", code="insufficient_aal")
            await store.confirm_factor(tx, tenant.id, factor.id)
            await user_store.move_epoch(tx, tenant.id, user.id)
            for other in await session_store.list_sessions(tx, tenant.id, user.id):
                if other.aal != AAL2 and other.id != session.id:
                    await self._sessions.end(tx, tenant, user.id, other.id, reason="second factor enrolled")
            await self._record(
                tx, action="auth.mfa.enrolled", actor=f"user:{user.id}", resource=f"user:{user.id}",
                details={"factor_id": factor.id, "type": factor.factor_type},
            )  # fmt: skip
        fresh = await self._step_up.user(tx, tenant, user.id)
        return await self._step_up.raise_session(tx, tenant, fresh, session.id, f"mfa/{factor.factor_type}", (factor.id,))

    # -- challenge and verify inside a session (/auth/v1) ---------------------------------------------------------------------

    async def challenge(self, tenant: Tenant, principal: Principal, factor_id: str, device: Device) -> tuple[str, int, Factor]:
        """A challenge for one of the caller's factors: its id and end. Raises AuthError ``mfa_factor_not_found``."""
        user, session = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="challenge a second factor") as tx:
            factor = await find_factor(tx, tenant, user.id, factor_id)
            await store.note_challenge(tx, tenant.id, factor.id)
            made = NewTicket(
                "challenge", user.id, device_hash(device.address, device.user_agent), session_id=session.id, factor_id=factor.id
            )
            return *await self._write_ticket(tx, tenant, made), factor

    async def type_of(self, tenant: Tenant, principal: Principal, factor_id: str) -> str:
        """What kind of factor of the caller this is. Raises AuthError ``mfa_factor_not_found``."""
        user, _ = await self._step_up.caller(tenant, principal)
        found = next((each["factor_type"] for each in user.factors if each["id"] == factor_id), None)
        if found is None:
            raise unknown_factor()
        return str(found)

    async def verify(
        self, tenant: Tenant, principal: Principal, factor_id: str, challenge_id: str, raw_code: str, device: Device
    ) -> IssuedSession:
        """The answer to a challenge: the session raised, and the factor confirmed if it waited for that.

        Raises AuthError ``mfa_challenge_expired``, ``mfa_factor_not_found``, ``mfa_verification_failed``, RateLimited.
        """
        user, session = await self._step_up.caller(tenant, principal)
        ticket = await self._attempts.by_challenge(tenant, user.id, session.id, factor_id, challenge_id, device)
        async with self._transactions(tenant, reason="verify a second factor") as tx:
            factor = await find_factor(tx, tenant, user.id, factor_id)
            await self._check_code(tx, tenant, factor, raw_code)
            await self._consume(tx, tenant, ticket.id)
            return await self.confirm(tx, tenant, user, session, factor)

    # -- shared ---------------------------------------------------------------------------------------------------------------

    async def _accept(self, tx: SystemTx, tenant: Tenant, user: User, raw_code: str) -> tuple[str, tuple[str, ...]]:
        """The method and the factors that a code shows."""
        if canonical_recovery_code(raw_code) is not None:
            return "recovery_code", await self.recovery.spend(tx, tenant, user, raw_code)
        now = await store.select_now(tx)
        for factor in await store.select_factors(tx, tenant.id, user.id):
            step = self._step(tenant, factor, raw_code, now) if factor.is_verified else None
            if step is not None and await store.accept_step(tx, tenant.id, factor.id, step):
                return "mfa/totp", (factor.id,)
        raise wrong_code()

    async def _check_code(self, tx: SystemTx, tenant: Tenant, factor: Factor, raw_code: str) -> None:
        step = self._step(tenant, factor, raw_code, await store.select_now(tx))
        if step is None or not await store.accept_step(tx, tenant.id, factor.id, step):
            raise wrong_code()

    def _step(self, tenant: Tenant, factor: Factor, raw_code: str, now: float) -> int | None:
        if factor.secret_encrypted is None:
            return None
        secret = self._master.open(factor.secret_encrypted, _associated(tenant, factor.id)).decode()
        return totp.matching_step(secret, raw_code, now)

    async def _write_ticket(self, tx: SystemTx, tenant: Tenant, ticket: NewTicket) -> tuple[str, int]:
        return await store.insert_ticket(tx, tenant.id, ticket, tenant.settings.mfa.ticket_seconds)

    async def _consume(self, tx: SystemTx, tenant: Tenant, ticket_id: str) -> None:
        if not await store.use_ticket(tx, tenant.id, ticket_id):
            raise AuthError("The first step of this sign-in was used already: sign in again.", code="invalid_ticket")


def _associated(tenant: Tenant, factor_id: str) -> str:
    return f"auth.factors:{tenant.id}:{factor_id}"

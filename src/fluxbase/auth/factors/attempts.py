"""How many codes are looked at: counted before looking, in a transaction of its own that is committed whatever comes after.

So neither parallel guesses nor a crash in between give a guess for free (threat B26). When the database is away nothing is counted
and nothing is looked at: the request ends with 503.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth.factors import store
from fluxbase.auth.factors.secrets import device_hash, ticket_hash
from fluxbase.kernel.errors import AuthError, RateLimited

if TYPE_CHECKING:
    from fluxbase.auth.factors.store import Ticket
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.users import Device
    from fluxbase.tenancy.registry import Tenant


class Attempts:
    """Tickets, challenges and the cap of an account."""

    def __init__(self, transactions: SystemSessions, record: AuditRecorder) -> None:
        self._transactions = transactions
        self._record = record

    async def by_ticket(self, tenant: Tenant, raw_ticket: str, device: Device) -> Ticket:
        """Count a try of a ticket and a look at a code. Raises AuthError ``invalid_ticket``, RateLimited while the account is locked."""
        bound_to = device_hash(device.address, device.user_agent)
        async with self._transactions(tenant, reason="second step of a sign-in") as tx:
            ticket = await store.try_ticket(tx, tenant.id, ticket_hash(raw_ticket), bound_to, tenant.settings.mfa.ticket_tries)
            locked = await self._count(tx, tenant, ticket.user_id) if ticket is not None else None
        if ticket is None:
            raise AuthError("The first step of this sign-in is unknown, too old or used up: sign in again.", code="invalid_ticket")
        _refuse_locked(locked)
        return ticket

    async def by_challenge(
        self, tenant: Tenant, user_id: str, session_id: str, factor_id: str, challenge_id: str, device: Device
    ) -> Ticket:
        """Count a try of a challenge. Raises AuthError ``mfa_challenge_expired``, RateLimited while the account is locked."""
        bound_to = device_hash(device.address, device.user_agent)
        async with self._transactions(tenant, reason="answer to a challenge") as tx:
            ticket = await store.try_challenge(
                tx, tenant.id, challenge_id, session_id, factor_id, bound_to, tenant.settings.mfa.ticket_tries
            )
            locked = None if ticket is None else await self._count(tx, tenant, user_id)
        if ticket is None:
            raise AuthError(
                "MFA challenge has expired, verify against another challenge or create a new challenge.", code="mfa_challenge_expired"
            )
        _refuse_locked(locked)
        return ticket

    async def by_account(self, tenant: Tenant, user_id: str) -> None:
        """Count a look at a code that a signed-in user gives. Raises RateLimited while the account is locked."""
        async with self._transactions(tenant, reason="code of a second factor") as tx:
            locked = await self._count(tx, tenant, user_id)
        _refuse_locked(locked)

    async def _count(self, tx: SystemTx, tenant: Tenant, user_id: str) -> int | None:
        settings = tenant.settings.mfa
        locked = await store.count_attempt(
            tx, tenant.id, user_id, tries=settings.account_tries, window_seconds=settings.account_window_seconds,
            lock_seconds=settings.lock_seconds,
        )  # fmt: skip
        if locked == settings.lock_seconds:
            await self._record(tx, action="auth.mfa.locked", actor=f"user:{user_id}", resource=f"user:{user_id}", details={})
        return locked


def _refuse_locked(seconds: int | None) -> None:
    if seconds is not None:
        raise RateLimited("Too many codes were tried for this account. Try again later.", retry_after_seconds=seconds)

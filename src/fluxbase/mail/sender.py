"""Empties the queues in the background of a worker, with retries and growing pauses.

Mails are claimed by a lease (``FOR UPDATE SKIP LOCKED``), so several workers send each once, no transaction is open while a mail
server thinks, and a worker that dies gives its mails back. A tenant whose mails wait is looked at when they are due; all
tenants are looked at now and then, so that what another process left is found.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from fluxbase.kernel.errors import FluxbaseError
from fluxbase.mail import store
from fluxbase.mail.message import build_message
from fluxbase.mail.ports import DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fluxbase.config.mail import Mail
    from fluxbase.mail.ports import Send, SystemSessions, Tenant, Transport
    from fluxbase.mail.queue import MailQueue
    from fluxbase.mail.store import MailRow

BATCH = 10
LEASE_SECONDS = 600.0
"""Longer than a batch may take: a mail is not claimed again while its first delivery is under way."""
SWEEP_SECONDS = 300.0
LOOKS = (0.02, 0.1, 0.5, 2.0, 10.0)
"""A mail is written before its transaction commits: when to look for it."""
LONGEST_PAUSE_SECONDS = 3600.0


class MailSender:
    """One a worker. ``wake`` may be called from any coroutine of the loop."""

    def __init__(
        self, sessions: SystemSessions, transport_of: Callable[[Mail], Transport], tenants: Callable[[], Awaitable[Iterable[Tenant]]]
    ) -> None:
        self._sessions = sessions
        self._transport_of = transport_of
        self._tenants = tenants
        self._due: dict[Any, tuple[Tenant, list[float]]] = {}
        """By tenant id: when to look, soonest last."""
        self._woken = asyncio.Event()

    def wake(self, tenant: Tenant) -> None:
        """A mail of this tenant is being written."""
        now = time.monotonic()
        self._due[tenant.id] = (tenant, [now + after for after in reversed(LOOKS)])
        self._woken.set()

    async def run(self, queue: MailQueue) -> None:
        """For ever. Of tenants whose mails are kept only old ones are forgotten."""
        sweep_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= sweep_at:
                sweep_at = now + SWEEP_SECONDS
                await self._guarded(self._sweep())
            for tenant, looks in list(self._due.values()):
                if looks[-1] <= now:
                    await self._guarded(self._look(queue, tenant))
            ends_at = min([sweep_at, *(looks[-1] for _, looks in self._due.values())])
            self._woken.clear()
            try:
                async with asyncio.timeout(max(0.0, ends_at - time.monotonic())):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except FluxbaseError as error:
            _log().warning("mail_queue_unavailable", error=error.message)
        except Exception:  # noqa: BLE001 - whatever one mail or tenant did, the loop goes on for the others
            _log().exception("mail_sender_failed")

    async def _sweep(self) -> None:
        """Look into every tenant's queue soon, and forget what is old."""
        for tenant in await self._tenants():
            await self._guarded(self._forget(tenant))
            if not tenant.settings.mail.is_kept:
                self._due.setdefault(tenant.id, (tenant, [time.monotonic()]))

    async def _forget(self, tenant: Tenant) -> None:
        async with self._sessions(tenant, reason="forget old mails") as tx:
            await store.purge(tx, tenant.id, keep_days=tenant.settings.mail.keep_days)

    async def _look(self, queue: MailQueue, tenant: Tenant) -> None:
        """Send what is due, and note when to look again."""
        now = time.monotonic()
        looks = [at for at in self._due[tenant.id][1] if at > now]
        entry = self._due[tenant.id] = (tenant, looks or [now + LOOKS[-1]])  # should the drain fail
        until_due = await self.drain(queue, tenant)
        if self._due.get(tenant.id) is not entry:
            return  # woken meanwhile: those looks count
        if until_due is not None:
            looks = sorted([*looks, time.monotonic() + until_due], reverse=True)
        if looks:
            self._due[tenant.id] = (tenant, looks)
        else:
            del self._due[tenant.id]

    async def drain(self, queue: MailQueue, tenant: Tenant) -> float | None:
        """Send everything that is due; seconds until the next is, or None."""
        while not tenant.settings.mail.is_kept:
            async with self._sessions(tenant, reason="claim mails") as tx:
                rows = await store.claim_due(tx, tenant.id, most=BATCH, lease_seconds=LEASE_SECONDS)
                until_due = await store.seconds_until_due(tx, tenant.id)
            if not rows:
                return until_due
            await self._send(queue, tenant, rows, self._transport_of(tenant.settings.mail))
        return None

    async def _send(self, queue: MailQueue, tenant: Tenant, rows: list[MailRow], transport: Transport) -> None:
        left = list(rows)
        try:
            async with transport.connect() as send:
                while left:
                    await self._deliver(queue, tenant, left[0], send)
                    left.pop(0)
        except DeliveryFailed as failed:  # no connection: none of these was tried
            for row in left:
                await self._note(tenant, row, failed)

    async def _deliver(self, queue: MailQueue, tenant: Tenant, row: MailRow, send: Send) -> None:
        try:
            await send(
                build_message(tenant.settings.mail, row.recipient, queue.rendered(tenant, row), mail_id=row.id, at=datetime.now(UTC))
            )
        except DeliveryFailed as failed:
            await self._note(tenant, row, failed)
            return
        async with self._sessions(tenant, reason="mail sent") as tx:
            await store.mark_sent(tx, tenant.id, row.id)
        _log().info("mail_sent", template=row.template, mail=row.id, attempts=row.attempts)

    async def _note(self, tenant: Tenant, row: MailRow, failed: DeliveryFailed) -> None:
        is_over = failed.is_final or row.attempts >= tenant.settings.mail.max_attempts
        pause = min(LONGEST_PAUSE_SECONDS, tenant.settings.mail.retry_seconds * 2 ** (row.attempts - 1))
        async with self._sessions(tenant, reason="mail not sent") as tx:
            await store.mark_failed(tx, tenant.id, row.id, failure=failed.reason, again_in_seconds=None if is_over else pause)
        _log().warning("mail_not_sent", template=row.template, mail=row.id, attempts=row.attempts, error=failed.reason, is_final=is_over)


def _log() -> Any:
    return structlog.get_logger("fluxbase.mail")

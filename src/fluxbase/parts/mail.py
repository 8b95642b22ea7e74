"""Mails, put together: the queue that services write into, and the sender that a worker runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.mail.queue import MailQueue
from fluxbase.mail.sender import MailSender
from fluxbase.mail.smtp import SmtpTransport
from fluxbase.mail.templates import Templates
from fluxbase.parts.target import MAIN
from fluxbase.tenancy.store import select_tenants

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.tenancy.registry import Tenant


@dataclass(frozen=True, slots=True)
class MailParts:
    """What the program has of the area."""

    queue: MailQueue
    sender: MailSender

    async def run(self) -> None:
        """Send, for ever."""
        await self.sender.run(self.queue)


def mail_parts(program: Program) -> MailParts:
    """Over this program's sessions, register and master key."""

    async def tenants() -> list[Tenant]:
        async with program.sessions(MAIN, reason="whose mails wait") as tx:
            rows = await select_tenants(tx)
        found = [program.registry.default if row.is_default else await program.registry.find("id", row.id) for row in rows]
        return [program.home, *(tenant for tenant in found if tenant is not None)]

    sender = MailSender(program.sessions, SmtpTransport, tenants)
    templates = Templates(program.config.mail.templates_path)
    return MailParts(MailQueue(program.master, templates, wake=sender.wake), sender)

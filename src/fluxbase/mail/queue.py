"""Putting mails into the queue, and reading what is kept there.

A mail is written in the transaction of the change that causes it: without the change there is no mail, and while the mail
server is away the change is whole and the mail waits. Whoever asks for a mail to an address that nobody has causes the same
work (``is_decoy``): one sealed row of the same form, which is never sent (threat B21).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson
from jinja2 import TemplateError

from fluxbase.crypto.master import MasterKeyError
from fluxbase.kernel.errors import NotFound
from fluxbase.mail import store
from fluxbase.mail.ports import DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxbase.mail.ports import Sealer, SystemTx, Tenant
    from fluxbase.mail.store import MailRow
    from fluxbase.mail.templates import Rendered, Templates


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be mailed: a template, its values, and how long it is worth sending."""

    template: str
    recipient: str
    values: Mapping[str, object]
    lives_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail as the developer reads it."""

    row: MailRow
    rendered: Rendered | None
    """None: it was sent, so its text is gone."""
    values: Mapping[str, object]


class MailQueue:
    """Writes mails; where the tenant keeps its mails they stay for the developer to read."""

    def __init__(self, sealer: Sealer, templates: Templates, *, wake: Callable[[Tenant], None]) -> None:
        self._sealer = sealer
        self._templates = templates
        self._wake = wake

    async def enqueue(self, tx: SystemTx, tenant: Tenant, letter: Letter, *, is_decoy: bool = False) -> None:
        """Write a mail in the caller's transaction; it is sent soon after the commit, and not at all without one."""
        mail_id = str(uuid4())
        is_kept = tenant.settings.mail.is_kept
        status = "decoy" if is_decoy else "kept" if is_kept else "queued"
        await store.insert_mail(
            tx, tenant.id, mail_id=mail_id, status=status, template=letter.template, recipient=letter.recipient,
            sealed=self._sealer.seal(orjson.dumps(dict(letter.values)), _place(mail_id)), lives_seconds=letter.lives_seconds,
        )  # fmt: skip
        if not is_kept:
            self._wake(tenant)

    async def list(self, tx: SystemTx, tenant: Tenant, *, most: int = 50) -> list[MailRow]:
        """The newest mails."""
        return await store.select_mails(tx, tenant.id, most=most)

    async def show(self, tx: SystemTx, tenant: Tenant, mail_id: str | None) -> KeptMail:
        """One mail, or the newest. Raises NotFound."""
        if mail_id is None:
            rows = await store.select_mails(tx, tenant.id, most=1)
            row = rows[0] if rows else None
        else:
            row = await store.select_mail(tx, tenant.id, mail_id)
        if row is None:
            raise NotFound("There is no such mail.", code="no_such_mail")
        if row.sealed is None:
            return KeptMail(row, None, {})
        return KeptMail(row, self.rendered(tenant, row), self._values(row))

    def rendered(self, tenant: Tenant, row: MailRow) -> Rendered:
        """The mail of a row, with its values in place. Raises DeliveryFailed when it cannot be made: damaged, or from another version."""
        try:
            return self._templates.render(
                row.template, {"app_name": tenant.settings.mail.app_name, "email": row.recipient, **self._values(row)}
            )
        except (TemplateError, MasterKeyError, ValueError) as error:
            raise DeliveryFailed(f"the mail could not be made: {type(error).__name__}", is_final=True) from error

    def _values(self, row: MailRow) -> Mapping[str, object]:
        return orjson.loads(self._sealer.open(row.sealed or b"", _place(row.id)))


def _place(mail_id: str) -> str:
    return f"platform.mails:{mail_id}"

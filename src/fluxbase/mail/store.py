"""The SQL of the mail queue. Every statement names the tenant: those in rows of one database share the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId
    from fluxbase.mail.ports import SystemTx


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail as it is stored."""

    id: str
    template: str
    recipient: str
    sealed: bytes | None
    status: str
    attempts: int
    failure: str | None
    created_at: str
    sent_at: str | None


_COLUMNS = (
    "id::text, template, recipient, encode(sealed, 'hex'), status, attempts::text, failure, "
    "to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "to_char(sent_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
)


def _row(values: tuple[Any, ...]) -> MailRow:
    id_, template, recipient, sealed, status, attempts, failure, created_at, sent_at = values
    return MailRow(
        id_, template, recipient, None if sealed is None else bytes.fromhex(sealed), status, int(attempts), failure, created_at, sent_at
    )


async def insert_mail(
    tx: SystemTx, tenant: TenantId, *, mail_id: str, status: str, template: str, recipient: str, sealed: bytes, lives_seconds: float
) -> None:
    """Write a mail in the caller's transaction."""
    await tx.fetch(
        "insert into platform.mails (id, tenant_id, status, template, recipient, sealed, expires_at) values "
        "($1::text::uuid, $2::text::uuid, $3::text, $4::text, $5::text, decode($6::text, 'hex'), "
        " now() + make_interval(secs => $7::text::float8)) "
        "returning id::text",
        mail_id, tenant, status, template, recipient, sealed.hex(), str(lives_seconds),
    )  # fmt: skip


async def claim_due(tx: SystemTx, tenant: TenantId, *, most: int, lease_seconds: float) -> list[MailRow]:
    """Take mails that are due; for the length of the lease nobody else gets them, and a worker that dies gives them back by it."""
    rows = await tx.fetch(
        "update platform.mails m set attempts = m.attempts + 1, due_at = now() + make_interval(secs => $3::text::float8) "  # noqa: S608 - constant columns
        "where m.id in (select q.id from platform.mails q where q.tenant_id = $1::text::uuid and q.status = 'queued' and q.due_at <= now() "
        "  and q.expires_at > now() order by q.due_at limit $2::text::int for update skip locked) "
        f"returning {_COLUMNS}",
        tenant, str(most), str(lease_seconds),
    )  # fmt: skip
    return [_row(values) for values in rows]


async def mark_sent(tx: SystemTx, tenant: TenantId, mail_id: str) -> None:
    """It was accepted: its links and codes are forgotten."""
    await tx.fetch(
        "update platform.mails set status = 'sent', sent_at = now(), sealed = null, failure = null "
        "where id = $2::text::uuid and tenant_id = $1::text::uuid returning id::text",
        tenant, mail_id,
    )  # fmt: skip


async def mark_failed(tx: SystemTx, tenant: TenantId, mail_id: str, *, failure: str, again_in_seconds: float | None) -> None:
    """It was not accepted: try again then, or (None) never."""
    await tx.fetch(
        "update platform.mails set failure = $3::text, "
        "  status = case when $4::text is null then 'failed' else status end, "
        "  sealed = case when $4::text is null then null else sealed end, "
        "  due_at = now() + make_interval(secs => coalesce($4::text::float8, 0)) "
        "where id = $2::text::uuid and tenant_id = $1::text::uuid and status = 'queued' returning id::text",
        tenant, mail_id, failure, None if again_in_seconds is None else str(again_in_seconds),
    )  # fmt: skip


async def seconds_until_due(tx: SystemTx, tenant: TenantId) -> float | None:
    """When the next mail is due; None when none waits."""
    rows = await tx.fetch(
        "select extract(epoch from min(due_at) - now())::text from platform.mails "
        "where tenant_id = $1::text::uuid and status = 'queued' and expires_at > now()",
        tenant,
    )
    return None if rows[0][0] is None else max(0.0, float(rows[0][0]))


async def purge(tx: SystemTx, tenant: TenantId, *, keep_days: int) -> None:
    """Give up what came too late, forget old mails, and those that were only written so that nobody can tell."""
    await tx.fetch(
        "update platform.mails set status = 'failed', failure = coalesce(failure, 'too late'), sealed = null "
        "where tenant_id = $1::text::uuid and status = 'queued' and expires_at <= now() returning id::text",
        tenant,
    )
    await tx.fetch(
        "delete from platform.mails where tenant_id = $1::text::uuid and status <> 'queued' "
        "and (created_at < now() - make_interval(days => $2::text::int) or (status = 'decoy' and expires_at <= now())) returning id::text",
        tenant, str(keep_days),
    )  # fmt: skip


async def select_mails(tx: SystemTx, tenant: TenantId, *, most: int) -> list[MailRow]:
    """The newest mails first."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from platform.mails where tenant_id = $1::text::uuid and status <> 'decoy' "  # noqa: S608 - constant columns
        "order by created_at desc, id limit $2::text::int",
        tenant, str(most),
    )  # fmt: skip
    return [_row(values) for values in rows]


async def select_mail(tx: SystemTx, tenant: TenantId, mail_id: str) -> MailRow | None:
    """One mail."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from platform.mails where tenant_id = $1::text::uuid and id = $2::text::uuid and status <> 'decoy'",  # noqa: S608 - constant columns
        tenant, mail_id,
    )  # fmt: skip
    return _row(rows[0]) if rows else None

"""A rendered mail as an RFC 5322 message."""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from fluxbase.mail.ports import DeliveryFailed

if TYPE_CHECKING:
    from datetime import datetime

    from fluxbase.config.mail import Mail
    from fluxbase.mail.templates import Rendered

_BARE = re.compile(r"[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{1,64}@[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{1,255}")


def build_message(settings: Mail, recipient: str, rendered: Rendered, *, mail_id: str, at: datetime) -> EmailMessage:
    """Text and HTML for one recipient. The id makes a mail that was sent twice recognisable as one.

    Raises DeliveryFailed for a recipient that is not one bare address: it could name others, or headers.
    """
    if not _BARE.fullmatch(recipient):
        raise DeliveryFailed("not an address", is_final=True)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(settings.from_name or settings.app_name, addr_spec=settings.from_address)
    try:
        message["To"] = Address(addr_spec=recipient)
    except (ValueError, IndexError) as error:
        raise DeliveryFailed("not an address", is_final=True) from error
    if settings.reply_to:
        message["Reply-To"] = Address(addr_spec=settings.reply_to)
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{mail_id}@{settings.from_address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message

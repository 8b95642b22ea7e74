"""SMTP with TLS as configured: STARTTLS is demanded, not tried, and certificates are verified."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiosmtplib

from fluxbase.mail.ports import DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from email.message import EmailMessage

    from fluxbase.config.mail import Mail
    from fluxbase.mail.ports import Send

MAIL_SECONDS = 45.0
"""For one mail, however slowly the server answers each step."""
_LONGEST_REASON = 200


class SmtpTransport:
    """Implements ``Transport`` over one mail server."""

    def __init__(self, settings: Mail) -> None:
        self._settings = settings

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Send]:
        """Connect and log in. Raises DeliveryFailed; none of these failures is final."""
        client = self._client()
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryFailed(_reason(error), is_final=False) from error
        try:

            async def send(message: EmailMessage) -> None:
                try:
                    async with asyncio.timeout(MAIL_SECONDS):
                        await client.send_message(message)
                except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                    raise DeliveryFailed(_reason(error), is_final=_is_final(error)) from error

            yield send
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=None if settings.smtp_tls == "none" else ssl.create_default_context(cafile=settings.smtp_ca_file or None),
            username=settings.smtp_username or None,
            password=settings.smtp_password.reveal() if settings.smtp_password else None,
            timeout=settings.smtp_timeout_seconds,
            local_hostname=settings.from_address.rpartition("@")[2],
        )


def _is_final(error: Exception) -> bool:
    """A 5xx about this mail or its recipient. One about us (login, sender) may be mended and is tried again."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= 500 for refused in error.recipients)
    return isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError) and error.code >= 500


def _reason(error: Exception) -> str:
    """For administrators: the kind of failure, and the server's own words."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    words = f"{error.code} {error.message}" if isinstance(error, aiosmtplib.SMTPResponseException) else str(error)
    return " ".join(f"{type(error).__name__.removeprefix('SMTP')}: {words}".split())[:_LONGEST_REASON]

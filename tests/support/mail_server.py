"""A real mail server for tests: it receives over SMTP, may refuse, may demand STARTTLS and a login, and may be away."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server import free_port

WAIT_SECONDS = 20.0
SITE = "https://app.example/"
WELCOME = "https://app.example/welcome?from=mail"
APP = "myapp://callback"
MAIL_FLOWS = {
    "FLUXBASE_AUTH_SITE_URL": SITE,
    "FLUXBASE_AUTH_REDIRECT_URLS": f"{WELCOME},{APP}",
    "FLUXBASE_AUTH_REQUIRE_EMAIL_VERIFICATION": "true",
    "FLUXBASE_AUTH_MAIL_INTERVAL_SECONDS": "0",
}
"""Settings of a server whose mailed flows are tested."""


@dataclass
class ReceivedMail:
    """A mail that arrived."""

    to: str
    message: EmailMessage
    is_encrypted: bool

    @property
    def subject(self) -> str:
        """Its subject."""
        return str(self.message["Subject"])

    def part(self, subtype: str) -> str:
        """The text of its ``plain`` or ``html`` part."""
        body = self.message.get_body((subtype,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def text(self) -> str:
        """Its plain part."""
        return self.part("plain")

    @property
    def link(self) -> str:
        """Its link."""
        return re.findall(r"^https?://\S+$", self.text, re.MULTILINE)[0]

    @property
    def code(self) -> str:
        """Its six-digit code."""
        return re.findall(r"code: (\d{6})$", self.text, re.MULTILINE)[0]


@dataclass
class MailServer:
    """Listens on a loopback port of its own while the block runs."""

    port: int
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Recipient → what RCPT is answered, ``451 later``."""
    delay_seconds: float = 0.0
    received: list[ReceivedMail] = field(default_factory=list[ReceivedMail])
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, to: str, count: int = 1) -> ReceivedMail:
        """The ``count``-th mail to this address; fails when it does not arrive."""
        ends_at = time.monotonic() + WAIT_SECONDS
        with self._arrived:
            while len(found := self.to(to)) < count:
                assert self._arrived.wait(ends_at - time.monotonic()), (
                    f"no mail to {to}; arrived: {[(m.to, m.subject) for m in self.received]}"
                )
        return found[count - 1]

    def to(self, to: str) -> list[ReceivedMail]:
        """What arrived for this address."""
        return [mail for mail in self.received if mail.to == to]

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse a recipient."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail."""
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        message = cast("EmailMessage", message_from_bytes(cast("bytes", envelope.content), policy=policy.default))
        with self._arrived:
            self.received += [ReceivedMail(to, message, session.ssl is not None) for to in envelope.rcpt_tos]
            self._arrived.notify_all()
        return "250 OK"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        """Compare the login."""
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self.login, handled=False)

    def protocol(self) -> SMTP:
        """One connection."""
        options: dict[str, Any] = (
            {} if self.login is None else {"authenticator": self.authenticate, "auth_required": True, "auth_require_tls": True}
        )
        return SMTP(
            self, tls_context=self.tls, require_starttls=self.tls is not None, hostname="localhost", enable_SMTPUTF8=True, **options
        )


@contextmanager
def mail_server(
    *, port: int | None = None, login: tuple[str, str] | None = None, certificate: Path | None = None, **more: Any
) -> Iterator[MailServer]:
    """Run one; with a certificate it demands STARTTLS."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = MailServer(port or free_port(), login, tls, **more)
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        running.append((loop, ended))
        listener = await loop.create_server(server.protocol, "127.0.0.1", server.port)
        started.set()
        async with listener:
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop, ended = running[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


def smtp_env(server: MailServer, **more: str) -> dict[str, str]:
    """Variables that make a Fluxbase send through it."""
    settings = {"HOST": "127.0.0.1", "PORT": str(server.port), "TLS": "none"}
    settings = {f"FLUXBASE_MAIL_SMTP_{name}": value for name, value in settings.items()}
    return {**settings, "FLUXBASE_MAIL_RETRY_SECONDS": "0.2", **{f"FLUXBASE_MAIL_{name.upper()}": value for name, value in more.items()}}


def make_certificate(folder: Path) -> Path:
    """A certificate of its own authority for 127.0.0.1 and localhost, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path

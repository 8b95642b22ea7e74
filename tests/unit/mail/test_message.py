"""A message has one recipient and the headers we give it, whatever an address or a template contains."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fluxbase.config.mail import Mail
from fluxbase.mail.message import build_message
from fluxbase.mail.ports import DeliveryFailed
from fluxbase.mail.templates import Rendered

SETTINGS = Mail(from_address="noreply@example.com", app_name="Acme, Inc.", reply_to="help@example.com")
MAIL = Rendered("Grüße", "Text: ü\n", "<p>ü</p>\n")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def build(recipient: str, rendered: Rendered = MAIL) -> str:
    """The message on the wire."""
    return build_message(SETTINGS, recipient, rendered, mail_id="7d0f", at=AT).as_bytes().decode()


def test_headers() -> None:
    """From has the application's name, the id makes a second delivery recognisable, and no robot answers."""
    wire = build("ada@example.com")
    for line in (
        'From: "Acme, Inc." <noreply@example.com>',
        "To: ada@example.com",
        "Reply-To: help@example.com",
        "Message-ID: <7d0f@example.com>",
        "Auto-Submitted: auto-generated",
        "Date: Fri, 02 Jan 2026 03:04:05 +0000",
    ):
        assert line in wire.splitlines()


@pytest.mark.parametrize(
    "recipient",
    [
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nBcc:b@example.com",
        "Ada <a@example.com>",
        "a@b@example.com",
        "a@example.com;b@example.com",
        '"a b"@example.com',
        "group:a@example.com;",
        "",
        "a",
        "@example.com",
        "a@",
        "a\0@example.com",
    ],
)
def test_only_one_bare_address_is_a_recipient(recipient: str) -> None:
    """Anything that names several, a header or nobody is refused for good."""
    with pytest.raises(DeliveryFailed) as refused:
        build(recipient)
    assert refused.value.is_final


def test_a_subject_cannot_add_headers() -> None:
    """A line break in a subject is refused by the message itself (the templates join lines before)."""
    with pytest.raises(ValueError, match=r"linefeed|newline|carriage"):
        build("ada@example.com", Rendered("x\r\nBcc: eve@example.com", "", ""))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"mode": "smtp"}, "needs smtp_host"),
        ({"smtp_host": "mail.example.com", "smtp_tls": "none", "smtp_username": "u"}, "clear text"),
        ({"from_address": "Acme <a@example.com>"}, "bare address"),
        ({"from_address": "a@example.com\nBcc: b@example.com"}, "bare address"),
        ({"smtp_host": "mail.example.com", "from_address": ""}, "from_address"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(settings: dict[str, str], problem: str) -> None:
    """A login in clear text over a network, a sender that is none: refused with what is wrong."""
    with pytest.raises(ValidationError, match=problem):
        Mail.model_validate(settings)


def test_mails_are_kept_until_there_is_a_server() -> None:
    """auto keeps without a host and sends with one; keep keeps always."""
    assert [Mail(mode=mode, smtp_host=host).is_kept for mode in ("auto", "keep") for host in ("", "mail.example.com")] == [
        True,
        False,
        True,
        True,
    ]

"""Fixtures every folder may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mail_server import MAIL_FLOWS, MailServer, mail_server, smtp_env
from tests.support.server import Server, start_server

TWIN_LIMITS = {
    "FLUXBASE_DATABASE_POOL_TOTAL": "40",
    "FLUXBASE_LIMITS_ENABLED": "true",
    "FLUXBASE_LIMITS_EXEMPT_NETWORKS": "127.0.0.1/32",
    "FLUXBASE_LIMITS_RULES": (
        '{"control": "100/1d", "data.authenticated": "300/1d", "auth.sign_in.account": "30/1d", "auth.recovery.account": "30/1d", '
        '"auth.refresh": "400/1d"}'
    ),
}
"""Few connections, so that a test can take all of them. By the day, so that no slow machine gives a quota back within a test."""


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One shipped program a test worker, with defaults (address limits off: all tests share one address)."""
    running = start_server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def twin() -> Iterator[Server]:
    """A server whose controls a test may remove: pipeline lines by header, SQL objects as superuser. 127.0.0.1 is not counted by address."""
    running = start_server(is_twin=True, env=TWIN_LIMITS)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def post() -> Iterator[MailServer]:
    """A real mail server."""
    with mail_server() as running:
        yield running


@pytest.fixture(scope="session")
def mailing(post: MailServer) -> Iterator[Server]:
    """A server that mails through it and wants addresses confirmed."""
    running = start_server(env={**smtp_env(post), **MAIL_FLOWS})
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mailing_twin(post: MailServer) -> Iterator[Server]:
    """A mailing server that lacks the controls a request names, and serves a host name nobody configured as its URL."""
    hosts = {"FLUXBASE_SERVER_ALLOWED_HOSTS": "127.0.0.1,localhost,evil.example"}
    running = start_server(is_twin=True, env={**smtp_env(post), **MAIL_FLOWS, **hosts})
    yield running
    running.stop()

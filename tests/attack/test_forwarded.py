"""Threat G60: X-Forwarded-For is attacker text; only entries that configured proxies wrote count, from the right."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import Server, start_server

TEXT = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80)


@pytest.fixture(scope="module")
def proxied() -> Iterator[Server]:
    """A server behind two configured proxies."""
    running = start_server(env={"FLUXBASE_SERVER_TRUSTED_PROXIES": "127.0.0.1/32", "FLUXBASE_SERVER_TRUSTED_PROXY_HOPS": "2"})
    yield running
    running.stop()


def address_of(server: Server, forwarded: str) -> str:
    """The client address in the log line of a request with this header."""
    path = f"/rest/v1/seen_{time.monotonic_ns()}"
    server.request("GET", path, key=None, headers={"x-forwarded-for": forwarded.strip()})
    ends_at = time.monotonic() + 5
    while path not in server.log and time.monotonic() < ends_at:
        time.sleep(0.02)
    line = next(line for line in server.log.splitlines() if path in line)
    return line.split('"address":"')[1].split('"')[0]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forwarded=TEXT)
def test_without_configured_proxies_the_socket_decides(server: Server, forwarded: str) -> None:
    """Whatever the header says."""
    assert address_of(server, forwarded) == "127.0.0.1"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forged=TEXT)
def test_behind_proxies_the_entry_they_wrote_decides(proxied: Server, forged: str) -> None:
    """With two hops the second entry from the right, whatever stands left of it."""
    assert address_of(proxied, f"{forged}, 203.0.113.7, 198.51.100.2") == "203.0.113.7"


@pytest.mark.parametrize("forwarded", ["", "198.51.100.2", "not-an-address, 198.51.100.2", "203.0.113.7:99, 198.51.100.2"])
def test_what_proxies_cannot_have_written_is_not_believed(proxied: Server, forwarded: str) -> None:
    """Too few entries, or no address where one belongs: the socket's."""
    assert address_of(proxied, forwarded) == "127.0.0.1"

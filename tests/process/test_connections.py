"""How many clients fit: idle connections, the limit of open files, slow bodies (issue 6)."""

from __future__ import annotations

import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.server import Server, start_server

SOFT, HARD = 640, 2048


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A server whose shell gave it few open files."""
    running = start_server(prefix=("prlimit", f"--nofile={SOFT}:{HARD}"))
    yield running
    running.stop()


def test_the_limit_of_open_files_is_raised(narrow: Server) -> None:
    """The soft limit becomes the hard one, and the log says how many connections fit and how to have more."""
    limits = Path(f"/proc/{narrow.process.pid}/limits").read_text()
    found = re.search(r"Max open files\s+(\d+)\s+(\d+)", limits)
    assert found is not None
    assert found.groups() == (str(HARD), str(HARD))
    assert '"event":"few_connections"' in narrow.log.replace(" ", "")
    assert str(HARD - 512) in narrow.log


def test_more_idle_connections_than_the_old_limit(narrow: Server) -> None:
    """A thousand connections that were answered and stay open; the next client is served at once."""
    with ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", narrow.port), timeout=20))
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200"), number
        began = time.monotonic()
        assert narrow.get("/health", key=None).status_code == 200
        assert time.monotonic() - began < 8  # an idle connection is cut after ten: this one waited for none


def test_the_tests_may_open_as_many() -> None:
    """Otherwise the test above says nothing."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 4096

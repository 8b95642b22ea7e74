"""Servers that a test may hurt: started by the test, never shared."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, start_server

Start = Callable[..., Server]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder race with the operating system on purpose: each gets a second try, and pytest prints every rerun."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def start() -> Iterator[Start]:
    """``start(...)`` as ``start_server``; everything is stopped at the end of the test."""
    running: list[Server] = []

    def begin(**options: Any) -> Server:
        running.append(start_server(**options))
        return running[-1]

    yield begin
    for server in reversed(running):  # several may share a directory: stop all, then remove
        server.stop(keep_data=True)
    for server in running:
        shutil.rmtree(server.data_dir, ignore_errors=True)


@pytest.fixture
def server_data(server: Server) -> Path:
    """The data directory of the shared server."""
    return server.data_dir

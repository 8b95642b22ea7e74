"""The server the native cases are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.native.runner import HERE, put_back
from tests.support.server import Server, start_server


@pytest.fixture(scope="session")
def native() -> Iterator[Server]:
    """One started program for all modules of a worker, with the cases' schema and default settings but for a second schema."""
    running = start_server(env={"FLUXBASE_DATA_SCHEMAS": '["public", "archive"]'})
    try:
        running.sql((HERE / "schema.sql").read_text(encoding="utf-8"))
        put_back(running)
        yield running
    finally:
        running.stop()

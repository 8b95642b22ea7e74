"""The server the contract's cases are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.case import install
from tests.support.server import Server, start_server

SETTINGS = {
    "FLUXBASE_DATA_SCHEMAS": '["public", "archive"]',
    "FLUXBASE_DATA_AGGREGATES_ENABLED": "true",
    "FLUXBASE_DATA_PLAN_ENABLED": "true",
    "FLUXBASE_DATA_TX_END": "commit-allow-override",
}


@pytest.fixture(scope="session")
def contract() -> Iterator[Server]:
    """One started program for all modules of a worker, with the cases' schema: each case puts back what it changed."""
    running = start_server(env=SETTINGS)
    try:
        install(running)
        yield running
    finally:
        running.stop()

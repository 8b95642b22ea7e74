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


@pytest.fixture(scope="module")
def contract() -> Iterator[Server]:
    """One started program for a module, with the cases' schema."""
    running = start_server(env=SETTINGS)
    try:
        install(running)
        yield running
    finally:
        running.stop()

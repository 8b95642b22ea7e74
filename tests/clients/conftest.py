"""The library schema on the started server, and one signed-in user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, start_server

USER = "7d0f3f0e-2f5b-4c39-9a43-1f6a4f7c1a01"
OTHER = "7d0f3f0e-2f5b-4c39-9a43-1f6a4f7c1a02"


SETTINGS = {
    "FLUXBASE_DATA_AGGREGATES_ENABLED": "true",
    "FLUXBASE_DATA_PLAN_ENABLED": "true",
    "FLUXBASE_DATA_SCHEMAS": '["public", "cl_archive"]',
    "FLUXBASE_DATA_TX_END": "commit-allow-override",
}


@pytest.fixture(scope="module")
def library() -> Iterator[Server]:
    """A server with what clients may switch on, and tests/clients/library.sql applied as the owner would."""
    server = start_server(env=SETTINGS)
    try:
        server.sql((Path(__file__).parent / "library.sql").read_text())
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def user_token(library: Server) -> str:
    """An access token of USER."""
    return library.token(USER)


@pytest.fixture(scope="module")
def other_token(library: Server) -> str:
    """An access token of somebody else."""
    return library.token(OTHER)

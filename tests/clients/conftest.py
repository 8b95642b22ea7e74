"""The library schema on the started server, and one signed-in user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server

USER = "7d0f3f0e-2f5b-4c39-9a43-1f6a4f7c1a01"
OTHER = "7d0f3f0e-2f5b-4c39-9a43-1f6a4f7c1a02"


@pytest.fixture(scope="module")
def library(server: Server) -> Iterator[Server]:
    """The server with tests/clients/library.sql applied as the owner would."""
    server.sql((Path(__file__).parent / "library.sql").read_text())
    yield server
    server.sql("drop table public.cl_book_genres, public.cl_shelves, public.cl_books, public.cl_genres, public.cl_authors cascade")


@pytest.fixture(scope="module")
def user_token(library: Server) -> str:
    """An access token of USER."""
    return library.token(USER)


@pytest.fixture(scope="module")
def other_token(library: Server) -> str:
    """An access token of somebody else."""
    return library.token(OTHER)

"""A PostgreSQL with a foreign application's schema, and the shipped program serving it with ``database.manage: false``."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.support.cluster import TempCluster
from tests.support.server import Server, start_server

SECRET = "a-secret-of-the-library-with-more-than-32-bytes"
PASSWORD = "only-for-tests"
DATABASE = "library"


def sign(claims: dict[str, Any], *, secret: str = SECRET, header: dict[str, Any] | None = None) -> str:
    """An HS256 token as any JWT library would make it."""
    parts = [json.dumps(header or {"alg": "HS256", "typ": "JWT"}), json.dumps(claims)]
    text = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class Library:
    """The database."""

    def __init__(self) -> None:
        self.cluster = TempCluster()
        self.conninfo = self.cluster.create_database(DATABASE)
        self.cluster.sql(DATABASE, (Path(__file__).parent / "library.sql").read_text())

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """As superuser."""
        return self.cluster.sql(DATABASE, text)

    def url(self, login: str = "authenticator", password: str = PASSWORD) -> str:
        """libpq URL of a login."""
        host = psycopg.conninfo.conninfo_to_dict(self.conninfo)["host"]
        return f"postgresql://{login}:{password}@/{DATABASE}?host={quote(str(host), safe='')}"

    def environment(self, **more: str) -> dict[str, str]:
        """What makes Fluxbase serve it."""
        return {
            "FLUXBASE_DATABASE_MANAGE": "false",
            "FLUXBASE_DATABASE_URL": self.url(),
            "FLUXBASE_DATA_SCHEMAS": "api",
            "FLUXBASE_DATA_REQUIRE_RLS": "false",
            "FLUXBASE_EXTERNAL_ANON_ROLE": "web_anon",
            "FLUXBASE_EXTERNAL_JWT_SECRET": SECRET,
            "FLUXBASE_EXTERNAL_SCHEMA_POLL_SECONDS": "0",
            **more,
        }

    @contextmanager
    def serve(self, *, is_twin: bool = False, **more: str) -> Iterator[Server]:
        """The program on it."""
        server = start_server(env=self.environment(**more), has_keys=False, is_twin=is_twin)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def library() -> Iterator[Library]:
    """One cluster for all files."""
    made = Library()
    yield made
    made.cluster.stop()


@pytest.fixture(scope="session")
def byo(library: Library) -> Iterator[Server]:
    """The program with settings most tests share."""
    with library.serve(FLUXBASE_EXTERNAL_APP_SETTINGS='{"greeting":"hello"}', FLUXBASE_EXTERNAL_PRE_REQUEST="api.check_request") as server:
        yield server


@pytest.fixture
def token() -> Callable[..., str]:
    """Sign claims."""
    return sign

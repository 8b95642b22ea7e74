"""The check for spilt secrets can fail, and it knows the secrets of a started server."""

from __future__ import annotations

import httpx
import pytest

from tests.support.canary import secrets_of, spilt
from tests.support.server import Server


def test_a_spilt_secret_is_found() -> None:
    """In bytes and in text, by name."""
    secrets = {"one": "first-secret-of-all", "two": "second-secret-of-all"}
    assert spilt(secrets, [b"", "…second-secret-of-all…"]) == ["two"]
    assert spilt(secrets, [b"nothing"]) == []


def test_every_kind_of_secret_is_known(server: Server) -> None:
    """Master key, passwords of the cluster and of the logins, and the service key's signature."""
    names = set(secrets_of(server.data_dir, server.keys, server.env))
    assert {"master.key", "postgres.password", "fluxbase_system", "service key", "password of //fluxbase_owner"} <= names


def test_an_answer_with_a_secret_fails_the_test_that_asked(server: Server) -> None:
    """A function that returns what it is given stands for a leak: the request's own test fails."""
    server.sql("create or replace function echo(text text) returns text language sql stable as 'select $1'")
    with pytest.raises(AssertionError, match=r"postgres\.password"):
        server.post("/rest/v1/rpc/echo", json={"text": (server.data_dir / "postgres.password").read_text().strip()})
    assert isinstance(server.post("/rest/v1/rpc/echo", json={"text": "nothing"}), httpx.Response)

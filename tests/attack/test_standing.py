"""Routes that ask in their own transaction whether the credential still holds (``Route.checks_standing``; invariant 5, threat B20)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fluxbase.app import open_program
from tests.attack.test_permissions import allow, deny
from tests.attack.test_revocation import claim
from tests.support.accounts import PASSWORD, Account, sign_up
from tests.support.server import Server

WITHOUT = {"x-twin-without": "auth:standing"}


def ways_in(account: Account) -> dict[str, tuple[str, dict[str, str]]]:
    """Path and body by which the anon key, sent as ``apikey``, lets somebody in."""
    password = {"email": account.email, "password": PASSWORD}
    return {
        "auth.signin.post": ("/api/v1/auth/signin", password),
        "auth.refresh.post": ("/api/v1/auth/refresh", {"refresh_token": account.refresh}),
        "gotrue.token.post": ("/auth/v1/token?grant_type=password", password),
        "gotrue.token.post refresh": ("/auth/v1/token?grant_type=refresh_token", {"refresh_token": account.again().refresh}),
        "gotrue.token.post other": ("/auth/v1/token?grant_type=pkce", {"auth_code": "x", "code_verifier": "y" * 43}),
    }


OF_USERS = {"auth.user.get": "/api/v1/auth/user", "gotrue.user.get": "/auth/v1/user"}


def enter(server: Server, way: tuple[str, dict[str, str]], headers: dict[str, str] | None = None) -> int:
    """Status of a way in with the anon key."""
    return server.post(way[0], key=None, headers={"apikey": server.anon_key, **(headers or {})}, json=way[1]).status_code


async def self_asking(data_dir: Path) -> set[str]:
    """Names of the routes that leave the question to their handler."""
    async with open_program(data_dir) as program:
        program.build_data_plane()
        return {route.name for route in program.routes() if route.checks_standing}


def test_every_such_route_is_attacked_here(server: Server) -> None:
    """A route that leaves the question to its handler has a test in this file."""
    with ThreadPoolExecutor(1) as pool:
        names = pool.submit(lambda: asyncio.run(self_asking(server.data_dir))).result(60)
    assert names == {name.split(" ")[0] for name in ways_in(sign_up(server))} | set(OF_USERS)


def test_a_denied_key_lets_nobody_in(server: Server) -> None:
    """The anon key, denied a moment ago, is refused at every way in, uses up no refresh token and says nothing of the password."""
    account, denied = sign_up(server), f"jti:{claim(server.anon_key, 'jti')}"
    ways = ways_in(account)
    deny(server, denied)
    try:
        refused = {name: 403 if name.startswith("gotrue.") else 401 for name in ways}
        assert {name: enter(server, way) for name, way in ways.items()} == refused
    finally:
        allow(server, denied)
    assert {name: enter(server, way) for name, way in ways.items() if not name.endswith("other")} == {
        name: 200 for name in ways if not name.endswith("other")
    }


@pytest.mark.parametrize("path", OF_USERS.values(), ids=OF_USERS)
def test_a_denied_user_reads_no_account(server: Server, path: str) -> None:
    """Deny list alone: session and user row are untouched, and the account is refused all the same."""
    account = sign_up(server)
    assert server.get(path, key=account.access).status_code == 200
    deny(server, f"user:{account.id}")
    try:
        assert server.get(path, key=account.access).status_code in (401, 403)
    finally:
        allow(server, f"user:{account.id}")
    assert server.get(path, key=account.access).status_code == 200


@pytest.mark.twin("auth:standing")
def test_twin_that_asks_nothing_lets_denied_callers_on(twin: Server) -> None:
    """Without the deny keys the same callers are served."""
    account = sign_up(twin)
    key, user = f"jti:{claim(twin.anon_key, 'jti')}", f"user:{account.id}"
    way = ways_in(account)["auth.refresh.post"]
    deny(twin, key)
    deny(twin, user)
    try:
        assert enter(twin, way) == 401
        assert enter(twin, way, WITHOUT) == 200
        assert twin.get("/api/v1/auth/user", key=account.access).status_code == 401
        assert twin.get("/api/v1/auth/user", key=account.access, headers=WITHOUT).status_code == 200
    finally:
        allow(twin, key)
        allow(twin, user)

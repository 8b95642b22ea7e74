"""Refresh tokens: used once, one child whatever the hurry, and the end of the family when one is used again later (threat B22)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.support.accounts import Account, refresh, sign_up
from tests.support.server import Server, start_server

PARALLEL = 200


def use_long_ago(account: Account, token: str) -> None:
    """Move the moment a token was used out of the grace."""
    changed = account.server.root_sql(
        "update auth.refresh_tokens set used_at = used_at - interval '11 seconds' "
        f"where used_at is not null and token_hash = sha256('{token}') returning 1"
    )
    assert changed == [(1,)]


async def redeem_all(server: Server, token: str) -> list[httpx.Response]:
    """The same token, two hundred times at once, over both dialects."""
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False, timeout=60, limits=limits) as client:
        paths = ("/api/v1/auth/refresh", "/auth/v1/token?grant_type=refresh_token")
        return await asyncio.gather(*(client.post(paths[n % 2], json={"refresh_token": token}) for n in range(PARALLEL)))


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    """A grace that two hundred requests on a busy machine do not outlast."""
    running = start_server(env={"FLUXBASE_AUTH_REFRESH_GRACE_SECONDS": "60"})
    yield running
    running.stop()


def test_parallel_redemptions_give_one_child(patient: Server) -> None:
    """Two hundred at once: within the grace all get the same new token; the table has one child, and it works once more."""
    account = sign_up(patient)
    answers = asyncio.run(redeem_all(patient, account.refresh))
    assert {answer.status_code for answer in answers} == {200}
    children = {answer.json()["refresh_token"] for answer in answers}
    assert len(children) == 1
    assert children != {account.refresh}
    rows = patient.root_sql(f"select count(*) from auth.refresh_tokens where parent_hash = sha256('{account.refresh}')")
    assert rows == [(1,)]
    assert refresh(patient, children.pop()).status_code == 200


def test_reuse_after_the_grace_ends_the_family(server: Server) -> None:
    """The stolen and the honest copy both die, their access tokens with them; other sessions of the user live on."""
    account = sign_up(server)
    bystander = account.again()
    honest = refresh(server, account.refresh).json()
    use_long_ago(account, account.refresh)
    stolen = refresh(server, account.refresh)
    assert (stolen.status_code, stolen.json()["code"]) == (401, "INVALID_TOKEN")
    assert refresh(server, honest["refresh_token"]).status_code == 401
    for token in (account.access, honest["access_token"]):
        assert server.get("/api/v1/auth/user", key=token).status_code == 401
        assert server.get("/api/v1/tables", key=token).status_code == 401
    assert bystander.user().status_code == 200
    actions = server.root_sql(
        f"select count(*) from audit.entries where action = 'auth.refresh_token.reused' and actor = 'user:{account.id}'"
    )
    assert actions == [(1,)]


def test_gotrue_says_already_used(server: Server) -> None:
    """Its code for reuse, in both shapes of an error; a token nobody issued is another code."""
    account = sign_up(server)
    refresh(server, account.refresh)
    use_long_ago(account, account.refresh)
    path = "/auth/v1/token?grant_type=refresh_token"
    old = server.post(path, json={"refresh_token": account.refresh})
    assert (old.status_code, old.json()["error_code"]) == (400, "refresh_token_already_used")
    unknown = server.post(path, json={"refresh_token": account.refresh[:-1] + "x"}, headers={"x-supabase-api-version": "2024-01-01"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "refresh_token_not_found")


def test_a_refresh_token_is_no_credential_and_an_access_token_no_refresh_token(server: Server) -> None:
    """Kinds are not confused (RFC 8725 3.11)."""
    account = sign_up(server)
    for path in ("/api/v1/auth/user", "/api/v1/tables", "/rest/v1/"):
        assert server.get(path, key=account.refresh).status_code == 401
        assert server.get(path, key=None, headers={"apikey": account.refresh}).status_code == 401
    assert refresh(server, account.access).status_code == 401


def test_an_expired_authorization_is_no_obstacle_to_refresh(server: Server) -> None:
    """The ways in do not read Authorization: the SDK sends the old token there."""
    account = sign_up(server)
    for header in ("Bearer rubbish", "Basic eDp5", f"Bearer {account.access[:-4]}AAAA"):
        again = refresh(server, account.refresh, key=None, headers={"authorization": header})
        assert again.status_code == 200
    assert refresh(server, account.refresh, key=None, headers={"apikey": "rubbish"}).status_code == 401


def test_expired_and_ended_sessions_do_not_refresh(server: Server) -> None:
    """Past its time, and after a sign-out, a refresh token gives nothing."""
    expired, ended = sign_up(server), sign_up(server)
    server.root_sql(f"update auth.sessions set expires_at = now() - interval '1 second' where user_id = '{expired.id}'")
    assert refresh(server, expired.refresh).json()["code"] == "SESSION_EXPIRED"
    assert server.post("/api/v1/auth/signout", key=ended.access).status_code == 200
    assert refresh(server, ended.refresh).status_code == 401


def test_only_hashes_of_refresh_tokens_are_stored(server: Server) -> None:
    """Neither the token nor its child stands anywhere in the tables of auth."""
    account = sign_up(server)
    child = refresh(server, account.refresh).json()["refresh_token"]
    text = str(server.root_sql(
        f"select r::text from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id where s.user_id = '{account.id}'"
    ))  # fmt: skip
    assert account.refresh not in text
    assert child not in text


@pytest.mark.twin("auth:refresh-reuse")
def test_twin_that_forgives_reuse_serves_the_thief(twin: Server) -> None:
    """Without the verdict a copy of a used token gives tokens as long as the session lives."""
    account = sign_up(twin, headers={"x-twin-without": "AddressLimit"})
    refresh(twin, account.refresh)
    use_long_ago(account, account.refresh)
    assert refresh(twin, account.refresh, headers={"x-twin-without": "auth:refresh-reuse"}).status_code == 200
    assert refresh(twin, account.refresh).status_code == 401

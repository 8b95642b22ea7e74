"""Refresh tokens: used once, one child whatever the hurry, and the end of the family when one is used again later (threats B22, B25)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from tests.support.accounts import Account, refresh, sign_up
from tests.support.second_factor import FREE, GOTRUE, Guarded, claims, guarded, without
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


# -- and its level ---------------------------------------------------------------------------------------------------------------


def stolen_before_the_step_up(server: Server, rotations: int, headers: dict[str, str] | None = None) -> tuple[Guarded, str]:
    """Who showed a second factor a moment ago, and his first refresh token, from which so many others came before he did."""
    options = {"headers": headers or {}}
    account = sign_up(server, **options)
    token = account.refresh
    for _ in range(rotations):
        token = refresh(server, token, **options).json()["refresh_token"]
    user = guarded(server, account, headers=options["headers"])
    server.root_sql(f"update auth.refresh_tokens set used_at = clock_timestamp() where token_hash = sha256('{account.refresh}')")
    return user, account.refresh


@pytest.mark.parametrize("rotations", [1, 2])
def test_a_parent_replayed_after_a_step_up_gives_no_higher_level(server: Server, rotations: int) -> None:
    """Within the grace, too, whoever holds the token of before has shown no second factor (threat B25); the owner's session goes on."""
    user, stolen = stolen_before_the_step_up(server, rotations)
    assert claims(user.access)["aal"] == "aal2"
    answers = [refresh(server, stolen), server.post("/auth/v1/token?grant_type=refresh_token", json={"refresh_token": stolen})]
    assert [answer.status_code for answer in answers] == [401, 400]
    assert answers[1].json()["error_code"] == "refresh_token_already_used"
    assert user.account.user().status_code == 200
    again = refresh(server, user.account.refresh)
    assert (again.status_code, claims(again.json()["access_token"])["aal"]) == (200, "aal2")


def test_a_child_that_a_step_up_did_not_see_is_worth_nothing(server: Server) -> None:
    """One that a rotation at the same moment left behind: unused, of the raised session, and refused; the session goes on."""
    account = sign_up(server)
    child = refresh(server, account.refresh).json()["refresh_token"]
    user = guarded(server, account)
    server.root_sql(f"""insert into auth.refresh_tokens (token_hash, tenant_id, session_id, aal, parent_hash, expires_at)
                        select sha256('{child}'), tenant_id, session_id, 'aal1', sha256('{account.refresh}'), expires_at
                          from auth.refresh_tokens where token_hash = sha256('{account.refresh}')""")
    assert [refresh(server, child).status_code for _ in range(2)] == [401, 401]
    assert refresh(server, user.account.refresh).status_code == 200


def test_a_removed_factor_lowers_the_refresh_tokens(server: Server) -> None:
    """What was given out at aal2 goes on as aal1, and a factor shown later does not raise it again."""
    user = guarded(server)
    assert server.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=user.access).status_code == 200
    lowered = refresh(server, user.account.refresh).json()
    assert claims(lowered["access_token"])["aal"] == "aal1"
    guarded(server, replace(user.account, access=lowered["access_token"], refresh=lowered["refresh_token"]))
    assert refresh(server, user.account.refresh).status_code == 401


@pytest.mark.twin("sessions:token-level")
def test_twin_whose_tokens_follow_the_session_gives_the_thief_aal2(twin: Server) -> None:
    """Where every token of a session is worth what the session is, the copy of before gets an access token of aal2."""
    user, stolen = stolen_before_the_step_up(twin, 2, without("sessions:token-level"))
    answer = refresh(twin, stolen, headers=FREE)
    assert answer.status_code == 200, answer.text
    assert claims(answer.json()["access_token"])["aal"] == "aal2"
    assert user.account.user().status_code == 200


@pytest.mark.twin("auth:refresh-reuse")
def test_twin_that_forgives_reuse_serves_the_thief(twin: Server) -> None:
    """Without the verdict a copy of a used token gives tokens as long as the session lives."""
    account = sign_up(twin, headers={"x-twin-without": "AddressLimit"})
    refresh(twin, account.refresh)
    use_long_ago(account, account.refresh)
    assert refresh(twin, account.refresh, headers={"x-twin-without": "auth:refresh-reuse"}).status_code == 200
    assert refresh(twin, account.refresh).status_code == 401

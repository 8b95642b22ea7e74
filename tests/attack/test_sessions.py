"""Sessions end everywhere at once and refresh tokens work once (invariants 5, 12; threats B20, B22, B30)."""

from __future__ import annotations

import pyotp
import pytest

from tests.support.accounts import Account, refresh, sign_up
from tests.support.second_factor import FREE, ROOT, claims, without
from tests.support.server import Server

PATHS = ("/api/v1/auth/user", "/auth/v1/user", "/api/v1/tables", "/rest/v1/own_note")


@pytest.fixture(scope="module")
def notes(server: Server) -> Server:
    """A table whose rows are their owner's."""
    server.sql(
        "drop table if exists own_note; create table own_note (owner uuid default auth.uid(), text text); "
        "create policy own on own_note using (owner = (select auth.uid())) with check (owner = (select auth.uid()))"
    )
    return server


def statuses(account: Account) -> list[int]:
    """What the account's access token gets on every kind of route."""
    return [account.server.get(path, key=account.access).status_code for path in PATHS]


def test_a_token_from_sign_in_reads_its_own_rows(notes: Server) -> None:
    """Two users sign up and write; each reads its row alone."""
    for account in (sign_up(notes), sign_up(notes)):
        assert notes.post("/rest/v1/own_note", key=account.access, json={"text": account.email}).status_code == 201
        assert [row["text"] for row in notes.get("/rest/v1/own_note", key=account.access).json()] == [account.email]


@pytest.mark.parametrize(("scope", "left"), [("local", [401, 200]), ("others", [200, 401]), ("global", [401, 401])])
def test_sign_out_acts_on_the_next_request(notes: Server, scope: str, left: list[int]) -> None:
    """Of two sessions exactly those that the scope names are refused, on every surface, and refresh no more."""
    first = sign_up(notes)
    second = first.again()
    assert [statuses(first), statuses(second)] == [[200] * 4] * 2
    assert notes.post(f"/auth/v1/logout?scope={scope}", key=first.access).status_code == 204
    for account, expected in zip((first, second), left, strict=True):
        refused = [401, 403, 401, 401]
        assert statuses(account) == ([200] * 4 if expected == 200 else refused)
        assert refresh(notes, account.refresh).status_code == expected


@pytest.mark.twin("control-plane:standing")
def test_twin_that_does_not_ask_lets_an_ended_session_on(twin: Server) -> None:
    """Without the question a token whose user signed out everywhere still ends sessions and changes the account's neighbours."""
    account = sign_up(twin)
    other = account.again()
    assert twin.post("/api/v1/auth/signout?scope=others", key=account.access).status_code == 200
    path = "/api/v1/auth/signout?scope=global"
    assert twin.post(path, key=other.access).status_code == 401
    assert twin.post(path, key=other.access, headers={"x-twin-without": "control-plane:standing"}).status_code == 200
    assert account.user().status_code == 401


def raised_late(server: Server) -> str:
    """A token that a step-up gave out just before the sign-in's own ran out, and a minute later."""
    account = sign_up(server, headers=FREE)
    session = claims(account.access)["session_id"]
    secret = server.post(f"{ROOT}/setup", key=account.access, json={}, headers=FREE).json()["totp"]["secret"]
    later(server, session, 890)
    done = server.post(f"{ROOT}/enable", key=account.access, json={"code": pyotp.TOTP(secret).now()}, headers=FREE)
    assert done.status_code == 200, done.text
    later(server, session, 50)
    return str(done.json()["access_token"])


def later(server: Server, session: str, seconds: int) -> None:
    """So many seconds pass for a session."""
    server.root_sql(f"update auth.sessions set last_used_at = last_used_at - interval '{seconds} seconds' where id = '{session}'")


def test_sign_out_ends_a_token_from_a_step_up(twin: Server) -> None:
    """A session whose sign-in is old gave a token out by showing a second factor: signed out, it neither reads nor makes a key."""
    token = raised_late(twin)
    assert twin.post("/api/v1/auth/signout", key=token, json={"scope": "global"}).status_code == 200
    assert [twin.get(path, key=token).status_code for path in ("/api/v1/tables", "/rest/v1/own_note")] == [401, 401]
    assert twin.post("/api/v1/client-keys", key=token, json={"name": "late", "scopes": ["*"]}).status_code == 401


def test_sign_out_denies_a_session_however_long_ago_it_was_used(twin: Server) -> None:
    """The same when the row says it was last used an hour ago: a refresh repeated within the grace leaves no trace there."""
    account = sign_up(twin, headers=FREE)
    later(twin, claims(account.access)["session_id"], 3600)
    assert twin.post("/api/v1/auth/signout", key=account.access, json={"scope": "global"}).status_code == 200
    assert twin.get("/api/v1/tables", key=account.access).status_code == 401


@pytest.mark.twin("sessions:denied")
def test_twin_that_ends_the_row_alone_goes_on_with_the_token(twin: Server) -> None:
    """A session that ended in its row and was not denied still reads tables until its token runs out."""
    token = raised_late(twin)
    signed_out = twin.post("/api/v1/auth/signout", key=token, json={"scope": "global"}, headers=without("sessions:denied"))
    assert signed_out.status_code == 200
    assert twin.get("/api/v1/tables", key=token).status_code == 200

"""The proof before a sensitive change: asked for first, good once, guessed never, counted even when the change fails (threats B20, B22, B26)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.mail_server import MailServer
from tests.support.mailed import OTHER_PASSWORD, PASSWORD, confirmed_account
from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.server import Server

USER = "/auth/v1/user"


def stale_account(server: Server, post: MailServer) -> dict[str, Any]:
    """A confirmed account whose session lay about for an hour, as a thief finds it."""
    account = confirmed_account(server, post)
    server.root_sql(f"update auth.sessions set authenticated_at = now() - interval '1 hour' where user_id = '{account['user']['id']}'")
    return account


def nonce_of(server: Server, post: MailServer, account: dict[str, Any]) -> str:
    """The code that was mailed to its owner."""
    before = len(post.to(account["email"]))
    assert server.get("/auth/v1/reauthenticate", key=account["access_token"]).status_code == 200
    return post.wait_for(account["email"], before + 1).code


def change(server: Server, account: dict[str, Any], twin_of: str = "", **members: str) -> tuple[int, str]:
    """What a change of the own account is answered with."""
    headers = {"x-twin-without": twin_of} if twin_of else {}
    return told(server.request("PUT", USER, key=account["access_token"], json=members, headers=headers))


def told(answer: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, str(answer.json().get("error_code", ""))


def wrong(nonce: str, by: int = 1) -> str:
    """A code that is not it."""
    return f"{(int(nonce) + by) % 1_000_000:06d}"


NEEDED, NOT_VALID, DONE = (400, "reauthentication_needed"), (422, "reauthentication_not_valid"), (200, "")


def test_three_wrong_nonces_end_the_right_one(mailing: Server, post: MailServer) -> None:
    """Each wrong entry is counted although the change is refused; after three the mailed code is dead."""
    account = stale_account(mailing, post)
    nonce = nonce_of(mailing, post, account)
    for by in (1, 2, 3):
        assert change(mailing, account, password=OTHER_PASSWORD, nonce=wrong(nonce, by)) == NOT_VALID
    assert change(mailing, account, password=OTHER_PASSWORD, nonce=nonce) == NOT_VALID


def test_a_nonce_is_used_up_by_a_change_that_fails(mailing: Server, post: MailServer) -> None:
    """Refused for a weak or for the same password, it is not good again."""
    for password, code in (("short", "weak_password"), (PASSWORD, "same_password")):
        account = stale_account(mailing, post)
        nonce = nonce_of(mailing, post, account)
        assert change(mailing, account, password=password, nonce=nonce) == (422, code)
        assert change(mailing, account, password=OTHER_PASSWORD, nonce=nonce) == NOT_VALID


def test_two_hundred_parallel_changes_with_one_nonce(mailing: Server, post: MailServer) -> None:
    """One of them is proven by it (threat B22)."""
    account = stale_account(mailing, post)
    body = {"password": OTHER_PASSWORD, "nonce": nonce_of(mailing, post, account)}
    found = statuses(at_once(mailing, "PUT", USER, key=account["access_token"], json=body))
    assert (len(found), found.count(200)) == (PARALLEL, 1)
    assert set(found) == {200, 422}


def test_a_nonce_is_of_its_user_and_of_nothing_else(mailing: Server, post: MailServer) -> None:
    """Another's is wrong, and it is no code to sign in with."""
    account, other = stale_account(mailing, post), stale_account(mailing, post)
    nonce = nonce_of(mailing, post, account)
    assert change(mailing, other, password=OTHER_PASSWORD, nonce=nonce) == NOT_VALID
    entered = mailing.post("/auth/v1/verify", json={"type": "email", "email": account["email"], "token": nonce})
    assert (entered.status_code, entered.json()["error_code"]) == (403, "otp_expired")
    assert change(mailing, account, password=OTHER_PASSWORD, nonce=nonce) == DONE


def test_a_stale_session_learns_nothing_of_the_password(mailing: Server, post: MailServer) -> None:
    """The right, a wrong, a weak and an empty password are one answer: proof is asked for before anything is compared."""
    account = stale_account(mailing, post)
    for password in (PASSWORD, OTHER_PASSWORD, "short", account["email"]):
        assert change(mailing, account, password=password) == NEEDED
        assert change(mailing, account, password=password, nonce="000000") == NOT_VALID


@pytest.mark.twin("reauthentication:first")
def test_twin_that_compares_first_is_an_oracle(mailing_twin: Server, post: MailServer) -> None:
    """Where the passwords are compared before, a stolen session tells a right guess from a wrong one, uncounted."""
    account = stale_account(mailing_twin, post)
    assert change(mailing_twin, account, password=PASSWORD) == NEEDED
    off = "reauthentication:first"
    assert change(mailing_twin, account, off, password=OTHER_PASSWORD) == NEEDED
    assert change(mailing_twin, account, off, password=PASSWORD) == (422, "same_password")


@pytest.mark.twin("reauthentication:committed")
def test_twin_whose_refusal_undoes_the_count_is_guessed(mailing_twin: Server, post: MailServer) -> None:
    """Without a transaction of its own for the proof a thief guesses for ever: after five wrong ones the right one passes."""
    account = stale_account(mailing_twin, post)
    nonce = nonce_of(mailing_twin, post, account)
    for by in range(1, 6):
        assert change(mailing_twin, account, "reauthentication:committed", password=OTHER_PASSWORD, nonce=wrong(nonce, by)) == NOT_VALID
    assert change(mailing_twin, account, password=OTHER_PASSWORD, nonce=nonce) == DONE

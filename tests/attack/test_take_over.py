"""Who registers somebody's address before him keeps no way in once the owner proves it: not by password, passkey, factor or key (B9)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.attack.test_passkeys import origin_of, register
from tests.support.accounts import Account, sign_in, sign_up
from tests.support.authenticator import Authenticator
from tests.support.second_factor import FREE, guarded, without
from tests.support.server import Server

PASSKEYS = "/auth/v1/passkeys/authentication"
NEW_PASSWORD = "copper lantern 58 fog"


@dataclass(frozen=True, slots=True)
class Squatter:
    """Who signed up with an address that is not his, and what he left there."""

    account: Account
    passkey: Authenticator
    key: str

    def ways_in(self, server: Server) -> dict[str, bool]:
        """Which of his ways still lead in."""
        options = server.post(f"{PASSKEYS}/options", json={}, headers=FREE).json()
        shown = {"challenge_id": options["challenge_id"], "credential": self.passkey.show(options["options"])}
        return {
            "password": sign_in(server, self.account.email, headers=FREE).status_code == 200,
            "passkey": server.post(f"{PASSKEYS}/verify", json=shown, headers=FREE).status_code == 200,
            "key": server.get("/api/v1/tables", key=self.key).status_code == 200,
            "session": self.account.user().status_code == 200,
        }


def squat(server: Server, *, has_factor: bool = True) -> Squatter:
    """Sign up, add a passkey and a client key, and an authenticator app at last."""
    account, passkey = sign_up(server, headers=FREE), Authenticator(origin_of(server))
    register(server, account, passkey, FREE)
    made = server.post("/api/v1/client-keys", key=account.access, json={"name": "kept", "scopes": ["*"]}, headers=FREE)
    assert made.status_code == 201, made.text
    if has_factor:
        account = guarded(server, account, headers=FREE).account
    return Squatter(account, passkey, made.json()["key"])


def prove(server: Server, email: str, kind: str, headers: dict[str, str]) -> httpx.Response:
    """The owner of the address redeems what was mailed to it."""
    made = server.post("/auth/v1/admin/generate_link", key="service", json={"type": kind, "email": email})
    assert made.status_code == 200, made.text
    token = parse_qs(urlsplit(made.json()["action_link"]).query)["token"][0]
    if kind == "magiclink":
        return server.post("/auth/v1/verify", json={"type": kind, "token_hash": token}, headers=headers)
    return server.post("/api/v1/auth/password/reset/confirm", json={"token": token, "new_password": NEW_PASSWORD}, headers=headers)


@pytest.mark.parametrize("kind", ["magiclink", "recovery"])
def test_the_owner_of_an_address_gets_the_account_alone(twin: Server, kind: str) -> None:
    """Magic link or reset: the owner is in without another's second factor, and nothing of whoever was there first leads in."""
    squatter = squat(twin)
    entered = prove(twin, squatter.account.email, kind, FREE)
    assert entered.status_code == 200, entered.text
    assert twin.get("/api/v1/auth/user", key=entered.json()["access_token"]).json()["id"] == squatter.account.id
    assert squatter.ways_in(twin) == dict.fromkeys(("password", "passkey", "key", "session"), False)
    left = " union all ".join(
        f"select count(*) from auth.{table} where user_id = '{squatter.account.id}'"
        for table in ("passkeys", "factors", "recovery_codes", "api_keys")
    )
    assert twin.root_sql(left) == [(0,)] * 4


def test_what_the_owner_makes_after_his_proof_stays(twin: Server) -> None:
    """The second mailed proof takes nothing: passkey, key and password of a proven account outlive a magic link."""
    account = sign_up(twin, headers=FREE)
    assert prove(twin, account.email, "recovery", FREE).status_code == 200
    session = sign_in(twin, account.email, NEW_PASSWORD, headers=FREE).json()
    owner = Account(twin, account.email, account.id, session["access_token"], session["refresh_token"])
    passkey = Authenticator(origin_of(twin))
    register(twin, owner, passkey, FREE)
    key = twin.post("/api/v1/client-keys", key=owner.access, json={"name": "own", "scopes": ["*"]}).json()["key"]
    assert prove(twin, account.email, "magiclink", FREE).status_code == 200
    kept = Squatter(owner, passkey, key).ways_in(twin)
    assert (kept["passkey"], kept["key"], kept["session"]) == (True, True, True)
    assert sign_in(twin, account.email, NEW_PASSWORD, headers=FREE).status_code == 200


@pytest.mark.twin("mailed:take-over")
def test_twin_that_takes_nothing_over_leaves_every_way_in(twin: Server) -> None:
    """Without it the owner has signed in to an account that a stranger enters by password, passkey and key, and his session goes on."""
    squatter = squat(twin, has_factor=False)
    assert prove(twin, squatter.account.email, "magiclink", without("mailed:take-over")).status_code == 200
    assert squatter.ways_in(twin) == dict.fromkeys(("password", "passkey", "key", "session"), True)

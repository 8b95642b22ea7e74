"""A user with an authenticator app, over HTTP."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pyotp

from tests.support.accounts import PASSWORD, Account, sign_in, sign_up
from tests.support.server import Server

ROOT = "/api/v1/auth/2fa"
GOTRUE = "/auth/v1"


@dataclass(frozen=True, slots=True)
class Guarded:
    """An account whose second factor is on, in a session that showed it."""

    account: Account
    factor: str
    secret: str
    recovery_codes: tuple[str, ...]
    headers: dict[str, str]
    """Of every request; a twin leaves the limit by address out, which all tests share."""

    @property
    def server(self) -> Server:
        """Where it lives."""
        return self.account.server

    @property
    def access(self) -> str:
        """The access token of level aal2."""
        return self.account.access

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many steps later; codes given before are forgotten first, so that tests need not wait."""
        self.server.root_sql(f"update auth.factors set last_step = 0 where id = '{self.factor}'")
        return self.code_as_it_is(steps)

    def code_as_it_is(self, steps: int = 0) -> str:
        """The same, without forgetting."""
        return pyotp.TOTP(self.secret).at(int(time.time()) + 30 * steps)

    def ticket(self, **options: Any) -> str:
        """The first step of a native sign-in."""
        answer = sign_in(self.server, self.account.email, **{"headers": self.headers, **options})
        assert answer.json().get("requires_2fa") is True, answer.text
        return str(answer.json()["ticket"])

    def second_step(self, ticket: str, code: str, **options: Any) -> httpx.Response:
        """The second."""
        return self.server.post(f"{ROOT}/verify", json={"user_id": ticket, "code": code}, **{"headers": self.headers, **options})

    def pending(self) -> str:
        """An access token from GoTrue's password grant, whose session still owes the second factor."""
        answer = self.server.post(
            f"{GOTRUE}/token?grant_type=password", json={"email": self.account.email, "password": PASSWORD}, headers=self.headers
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


FREE = {"x-twin-without": "AddressLimit"}


def without(*controls: str) -> dict[str, str]:
    """The header of a twin that lacks these."""
    return {"x-twin-without": ",".join(("AddressLimit", *controls))}


def guarded(server: Server, account: Account | None = None, *, headers: dict[str, str] | None = None) -> Guarded:
    """A new account that has set up an authenticator app and confirmed it."""
    options: dict[str, Any] = {"headers": headers or {}}
    account = account or sign_up(server, **options)
    made = server.post(f"{ROOT}/setup", key=account.access, json={}, **options)
    assert made.status_code == 200, made.text
    factor, secret = made.json()["id"], made.json()["totp"]["secret"]
    done = server.post(f"{ROOT}/enable", key=account.access, json={"code": pyotp.TOTP(secret).now()}, **options)
    assert done.status_code == 200, done.text
    body = done.json()
    account = replace(account, access=body["access_token"], refresh=body["refresh_token"])
    return Guarded(account, factor, secret, tuple(body["backup_codes"]), headers or {})


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

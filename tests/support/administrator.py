"""Platform administrators of a test, over HTTP: the first with the set-up token, others invited."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
from pyotp.totp import TOTP

from tests.support.server import Server

ADMIN = "/api/v1/admin"
DASHBOARD = "/api/v1/dashboard/auth"
PASSWORD = "violet otter climbs a ladder"
_FIRST: dict[int, str] = {}
"""By port of the server: the first administrator's address."""


@dataclass
class Administrator:
    """An administrator and his newest access token."""

    server: Server
    email: str
    access: str
    secret: str = ""
    codes: list[str] = field(default_factory=list[str])

    @property
    def id(self) -> str:
        """His user id."""
        return str(self.get("/me").json()["id"])

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET under /dashboard/auth."""
        return self.server.get(DASHBOARD + path, key=self.access, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST under /dashboard/auth."""
        return self.server.post(DASHBOARD + path, key=self.access, json=body or {}, **options)

    def enrol(self) -> None:
        """Set an authenticator app up; the session shows it from now on."""
        self.secret = str(self.post("/2fa/setup").json()["secret"])
        done = self.post("/2fa/enable", {"code": TOTP(self.secret).now()})
        assert done.status_code == 200, done.text
        self.access, self.codes = done.json()["access_token"], done.json()["backup_codes"]

    def code(self) -> str:
        """The code of now; codes given before are forgotten first, so that tests need not wait."""
        self.server.root_sql(
            f"update auth.factors set last_step = 0 where user_id = (select id from auth.users where email = '{self.email}')"
        )
        return TOTP(self.secret).at(int(time.time()))

    def ticket(self, path: str = f"{DASHBOARD}/login", **options: Any) -> str:
        """The first step of a sign-in."""
        answer = login(self.server, self.email, path=path, **options)
        assert answer.json().get("requires_2fa") is True, answer.text
        assert "access_token" not in answer.text
        return str(answer.json()["user_id"])

    def second_step(self, ticket: str, code: str, **options: Any) -> httpx.Response:
        """The second."""
        return self.server.post(f"{DASHBOARD}/2fa/verify", key=None, json={"user_id": ticket, "code": code}, **options)


def login(server: Server, email: str, password: str = PASSWORD, *, path: str = f"{ADMIN}/login", **options: Any) -> httpx.Response:
    """POST the password."""
    return server.post(path, key=None, json={"email": email, "password": password}, **options)


def administrator(server: Server, *, role: str = "instance_admin") -> Administrator:
    """A new one. The first of a server is made on the way, and stays."""
    first = _first(server)
    invited = server.post(f"{ADMIN}/invitations", key="service", json={"email": f"{uuid.uuid4().hex}@example.test"})
    assert invited.status_code == 201, invited.text
    if role == "instance_admin":
        server.root_sql(f"update platform.invitations set role = 'instance_admin' where id = '{invited.json()['id']}'")
    accepted = server.post(f"/api/v1/invitations/{invited.json()['token']}/accept", key=None, json={"password": PASSWORD, "name": "Ada"})
    assert accepted.status_code == 201, (accepted.text, first)
    return Administrator(server, invited.json()["email"], accepted.json()["access_token"])


def _first(server: Server) -> str:
    if server.port not in _FIRST:
        _FIRST[server.port] = "first@example.test"
        body = {"email": _FIRST[server.port], "password": PASSWORD, "setup_token": re.findall(r"set-up token +(\S+)", server.log)[-1]}
        answer = server.post(f"{ADMIN}/setup", key=None, json=body)
        assert answer.status_code == 201, answer.text
    return _FIRST[server.port]

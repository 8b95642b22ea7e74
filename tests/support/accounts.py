"""Accounts of a test: signed up over HTTP, each with an address of its own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.server import Server

PASSWORD = "violet tunnel 93 cup"


@dataclass(frozen=True, slots=True)
class Account:
    """One signed-in user and what its sign-up gave."""

    server: Server
    email: str
    id: str
    access: str
    refresh: str

    def user(self, **options: Any) -> httpx.Response:
        """GET the own account natively."""
        return self.server.get("/api/v1/auth/user", key=self.access, **options)

    def again(self) -> Account:
        """Sign in once more: the same user, another session."""
        answer = sign_in(self.server, self.email)
        assert answer.status_code == 200, answer.text
        return _account(self.server, self.email, answer.json())


def sign_up(server: Server, email: str | None = None, **options: Any) -> Account:
    """A new account with :data:`PASSWORD`."""
    address = email or f"{uuid.uuid4().hex}@example.test"
    answer = server.post("/api/v1/auth/signup", json={"email": address, "password": PASSWORD}, **options)
    assert answer.status_code == 201, answer.text
    return _account(server, address, answer.json())


def sign_in(server: Server, email: str, password: str = PASSWORD, **options: Any) -> httpx.Response:
    """POST the password."""
    return server.post("/api/v1/auth/signin", json={"email": email, "password": password}, **options)


def refresh(server: Server, token: str, **options: Any) -> httpx.Response:
    """POST a refresh token."""
    return server.post("/api/v1/auth/refresh", json={"refresh_token": token}, **options)


def _account(server: Server, email: str, body: dict[str, Any]) -> Account:
    return Account(server, email, body["user"]["id"], body["access_token"], body["refresh_token"])

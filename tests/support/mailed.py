"""What a person does with a mail: open its link, press the button, type the code."""

from __future__ import annotations

import re
import uuid
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.mail_server import MailServer, ReceivedMail
from tests.support.server import Server

PASSWORD = "violet tunnel 93 cup"
OTHER_PASSWORD = "copper lantern 58 fog"


def new_address() -> str:
    """An address that nobody has."""
    return f"{uuid.uuid4().hex}@example.test"


def token_of(mail: ReceivedMail) -> str:
    """The token in the mail's link."""
    return parse_qs(urlsplit(mail.link).query)["token"][0]


def open_link(server: Server, link: str, **options: Any) -> httpx.Response:
    """GET the page of a link."""
    assert link.startswith(f"{server.url}/auth/v1/verify?"), link
    return server.get(link.removeprefix(server.url), key=None, **options)


def press(server: Server, page: httpx.Response, **options: Any) -> httpx.Response:
    """Press the page's button; the redirect is not followed."""
    assert page.status_code == 200
    fields = {name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)}
    headers = {"sec-fetch-site": "same-origin", **options.pop("headers", {})}
    return server.post("/auth/v1/verify", key=None, data=fields, headers=headers, follow_redirects=False, **options)


def follow(server: Server, link: str) -> tuple[str, dict[str, str]]:
    """Open the link and press the button: where one ends, and what came along in query and fragment."""
    answer = press(server, open_link(server, link))
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["location"])
    found = {name: values[0] for text in (parts.query, parts.fragment) for name, values in parse_qs(text, keep_blank_values=True).items()}
    return parts._replace(query="", fragment="").geturl(), found


def confirmed_account(server: Server, post: MailServer, email: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
    """Sign up and confirm natively, then sign in; the session with ``email``."""
    address = email or new_address()
    answer = server.post("/api/v1/auth/signup", json={"email": address, "password": password})
    assert answer.status_code == 201, answer.text
    assert "access_token" not in answer.json()
    token = token_of(post.wait_for(address))
    assert server.post("/api/v1/auth/verify-email", json={"token": token}).status_code == 200
    session = server.post("/api/v1/auth/signin", json={"email": address, "password": password})
    assert session.status_code == 200, session.text
    return {**session.json(), "email": address}

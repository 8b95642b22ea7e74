"""What a request says of its host decides nowhere where an answer leads (threat B16)."""

from __future__ import annotations

import uuid

import pytest

from tests.support.accounts import PASSWORD
from tests.support.server import Server

PATHS = (
    ("GET", "/health"), ("GET", "/auth/v1/settings"), ("GET", "/auth/v1/user"), ("GET", "/api/v1/auth/user"), ("GET", "/api/v1/auth/config"),
    ("GET", "/auth/v1/admin/users"), ("GET", "/api/v1/admin/users"), ("GET", "/auth/v1/admin/users/00000000-0000-4000-8000-000000000001"),
    ("POST", "/api/v1/auth/signin"), ("POST", "/auth/v1/token?grant_type=password"), ("POST", "/auth/v1/recover"), ("GET", "/auth/v1/verify"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_slash_at_the_end_is_no_redirect(server: Server, method: str, path: str) -> None:
    """The same answer as without it: a redirect would lead where the Host header says, with the body of a sign-in."""
    bare, _, query = path.partition("?")
    host = {"host": "localhost:4444"}
    for headers in (host, {**host, "x-forwarded-host": "localhost:4444", "x-forwarded-proto": "https"}):
        answers = []
        for end in ("", "/"):
            body = {"email": f"{uuid.uuid4().hex}@example.test", "password": PASSWORD} if method == "POST" else None
            target = f"{bare}{end}{query and f'?{query}'}"
            answers.append(server.request(method, target, headers=headers, follow_redirects=False, json=body))
        plain, slashed = answers
        assert plain.status_code != 421
        names = [sorted(answer.headers.keys() - {"connection"}) for answer in answers]
        assert (slashed.status_code, names[1]) == (plain.status_code, names[0])
        assert "location" not in slashed.headers
        assert "localhost:4444" not in slashed.text + str(slashed.headers)

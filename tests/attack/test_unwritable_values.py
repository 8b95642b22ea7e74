"""Values that no column of PostgreSQL keeps (half a surrogate pair, an escaped NUL in JSON) are the sender's fault, on every way in without a credential."""

from __future__ import annotations

import uuid

import pytest

from tests.support.accounts import PASSWORD
from tests.support.server import Server

HALF, NUL = r"\ud800", r"\u0000"
ROUTES = {
    "/api/v1/auth/signin": f'{{"email":"%s@x.yz","password":"{PASSWORD}"}}',
    "/api/v1/auth/signup": f'{{"email":"%s@x.yz","password":"{PASSWORD}"}}',
    "/api/v1/auth/magiclink": '{"email":"%s@x.yz"}',
    "/api/v1/auth/otp/resend": '{"email":"%s@x.yz"}',
    "/api/v1/auth/verify-email/resend": '{"email":"%s@x.yz"}',
    "/api/v1/auth/password/reset": '{"email":"%s@x.yz"}',
    "/auth/v1/token?grant_type=password": f'{{"email":"%s@x.yz","password":"{PASSWORD}"}}',
    "/auth/v1/otp": '{"email":"%s@x.yz"}',
    "/auth/v1/recover": '{"email":"%s@x.yz"}',
}
METADATA = {
    "/api/v1/auth/signup": f'{{"email":"@@","password":"{PASSWORD}","user_metadata":{{"name":"canary-%s"}}}}',
    "/auth/v1/signup": f'{{"email":"@@","password":"{PASSWORD}","data":{{"name":"canary-%s"}}}}',
    "/auth/v1/otp": '{"email":"@@","data":{"name":"canary-%s"}}',
}


def refused(server: Server, path: str, body: str) -> None:
    """4xx, and nothing of what was sent or of PostgreSQL's words in the answer."""
    answer = server.post(path, content=body.encode(), headers={"content-type": "application/json"}, key="anon")
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert "canary" not in answer.text
    assert "CONTEXT" not in answer.text


@pytest.mark.parametrize("value", [HALF, NUL])
@pytest.mark.parametrize("path", ROUTES)
def test_an_address_that_no_column_keeps(server: Server, path: str, value: str) -> None:
    """The sender hears that his request is wrong; nothing fails here."""
    refused(server, path, ROUTES[path] % value)


@pytest.mark.parametrize("value", [HALF, NUL])
@pytest.mark.parametrize("path", METADATA)
def test_metadata_that_no_column_keeps(server: Server, path: str, value: str) -> None:
    """The same inside a JSON document, which PostgreSQL refuses only when it is written; no account is made."""
    address = f"{uuid.uuid4().hex}@example.org"
    refused(server, path, (METADATA[path] % value).replace("@@", address))
    assert server.sql("select count(*) from auth.users where email = %s", (address,)) == [(0,)]

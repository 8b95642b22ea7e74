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


BIRTHDAY = """
create or replace function public.note_birthday() returns trigger language plpgsql security definer set search_path = '' as $$
begin perform (new.raw_user_meta_data ->> 'birthday')::date, (new.raw_user_meta_data ->> 'pattern') ~ (new.raw_user_meta_data ->> 'pattern'); return new; end $$;
create trigger a_birthday after insert on auth.users for each row execute function public.note_birthday()"""


@pytest.mark.parametrize("metadata", ['{"birthday":"soon-canary"}', '{"birthday":"2024-02-30"}', '{"pattern":"canary("}'])
def test_a_value_that_the_applications_trigger_cannot_read(server: Server, metadata: str) -> None:
    """Whatever data exception it is (no date, a date out of range, a bad expression): the sender's, in constant words, and no account is made."""
    server.sql(BIRTHDAY)
    address = f"{uuid.uuid4().hex}@example.org"
    try:
        for path, member in (("/api/v1/auth/signup", "user_metadata"), ("/auth/v1/signup", "data")):
            refused(server, path, f'{{"email":"{address}","password":"{PASSWORD}","{member}":{metadata}}}')
    finally:
        server.sql("drop function public.note_birthday() cascade")
    assert server.sql("select count(*) from auth.users where email = %s", (address,)) == [(0,)]

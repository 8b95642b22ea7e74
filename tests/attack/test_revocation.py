"""Invariant 5 (threats B20, B29): a credential is refused from the commit of its revocation on, whatever was cached of it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.support.server import Server, start_server

PATHS = ("/rest/v1/page", "/api/v1/tables/page")


@pytest.fixture(scope="module")
def revoking() -> Iterator[Server]:
    """A server of its own: its keys do not survive."""
    running = start_server()
    running.sql("create table page (id int); create policy everybody on page using (true); insert into page values (1)")
    yield running
    running.stop()


def claim(token: str, name: str) -> str:
    """One claim or header field of a JWT."""
    parts = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]
    return str({**parts[0], **parts[1]}[name])


def answers(server: Server, key: str) -> list[int]:
    """Statuses on both surfaces, twice: the second time from the token cache."""
    return [server.get(path, key=key).status_code for path in PATHS * 2]


@pytest.mark.parametrize("kind", ["session", "user", "jti"])
def test_a_denied_credential_is_refused_at_once(revoking: Server, kind: str) -> None:
    """Session, user and key id: the same token, verified and cached a moment ago, is 401; another one is not."""
    user, session = str(uuid.uuid4()), str(uuid.uuid4())
    token = revoking.service_key if kind == "jti" else revoking.token(user, session_id=session)
    bystander = revoking.token(str(uuid.uuid4()), session_id=str(uuid.uuid4()))
    denied = {"session": session, "user": user, "jti": claim(token, "jti") if kind == "jti" else ""}[kind]
    assert answers(revoking, token) == [200] * 4
    revoking.root_sql(f"insert into auth.denylist (key, reason) values ('{kind}:{denied}', 'test')")
    assert answers(revoking, token) == [401] * 4
    assert answers(revoking, bystander) == [200] * 4
    revoking.root_sql(f"delete from auth.denylist where key = '{kind}:{denied}'")
    assert answers(revoking, token) == [200] * 4


def test_a_denied_signing_key_takes_its_tokens_along(revoking: Server) -> None:
    """``kid``: every token it signed is refused."""
    tokens = [revoking.token(str(uuid.uuid4())), revoking.token(str(uuid.uuid4()))]
    kid = claim(tokens[0], "kid")
    assert [answers(revoking, token) for token in tokens] == [[200] * 4] * 2
    revoking.root_sql(f"insert into auth.denylist (key, reason) values ('kid:{kid}', 'test')")
    assert [answers(revoking, token) for token in tokens] == [[401] * 4] * 2
    revoking.root_sql(f"delete from auth.denylist where key = 'kid:{kid}'")


def test_rotated_keys_are_dead_when_the_command_ends(revoking: Server) -> None:
    """``keys rotate --revoke``: old anon and service keys and their opaque twins are 401, the new ones are served."""
    old = dict(revoking.keys)
    names = [name for name in old if name.endswith("_key")]
    assert [answers(revoking, old[name]) for name in names] == [[200] * 4] * len(names)
    done = subprocess.run(
        [sys.executable, "-m", "fluxbase", "keys", "rotate", "--revoke", "--json", "--data", str(revoking.data_dir)],
        cwd=revoking.data_dir, env=revoking.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [answers(revoking, old[name]) for name in names] == [[401] * 4] * len(names)
    new = json.loads(done.stdout)
    assert [answers(revoking, new[name]) for name in names] == [[200] * 4] * len(names)

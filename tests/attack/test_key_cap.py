"""How many client keys a user may have is counted in turns, so that asking at the same moment gives no more (threat G61)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluxbase.auth.api_keys import MOST_KEYS
from tests.support.accounts import Account, sign_up
from tests.support.parallel import at_once, statuses
from tests.support.server import Server, start_server

PATH = "/api/v1/client-keys"


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Server]:
    """A twin of two workers: each of them makes keys one after the other."""
    running = start_server(is_twin=True, env={"FLUXBASE_SERVER_WORKERS": "2"})
    yield running
    running.stop()


def ask_for_many(server: Server, left: int, number: int, twin_of: str = "") -> tuple[Account, list[int]]:
    """A user who may make ``left`` more keys asks for so many at once."""
    account = sign_up(server)
    server.root_sql(f"""insert into auth.api_keys (tenant_id, kind, role, name, key_prefix, key_hash, user_id, scopes, created_by)
                        select tenant_id, 'client', 'authenticated', 'old', 'fb_live_', sha256((id::text || n)::bytea), id, '{{*}}', 'test'
                          from auth.users, generate_series(1, {MOST_KEYS - left}) n where id = '{account.id}'""")
    headers = {"x-twin-without": twin_of} if twin_of else {}
    body = {"name": "one more", "scopes": ["tables:read"]}
    return account, statuses(at_once(server, "POST", PATH, key=account.access, headers=headers, number=number, json=body))


def keys_of(account: Account) -> int:
    """How many he has now."""
    return int(account.server.root_sql(f"select count(*) from auth.api_keys where user_id = '{account.id}'")[0][0])


def test_parallel_creation_does_not_exceed_the_cap(two_workers: Server) -> None:
    """Of forty at once as many succeed as were left; the others are told that it is enough."""
    account, found = ask_for_many(two_workers, 3, 40)
    assert (found.count(201), found.count(409)) == (3, 37)
    assert keys_of(account) == MOST_KEYS


@pytest.mark.twin("keys:cap")
def test_twin_that_counts_without_turns_makes_more(two_workers: Server) -> None:
    """Where two count at the same moment both see room for the last one; asked again until both workers were."""
    for _ in range(8):
        account, found = ask_for_many(two_workers, 1, 8, "keys:cap")
        if found.count(201) > 1:
            break
    assert found.count(201) > 1
    assert keys_of(account) > MOST_KEYS

"""Blocks, maintenance and switched-off routes, by command and by itself; every refusal leaves a trace (issue 6, item 7)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.command import fluxbase
from tests.support.from_address import client_from, fresh_address
from tests.support.server import Server, start_server

JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server where five failures or two canary hits block an address."""
    rules = {"abuse.authentication": "5/1d lock 15m", "abuse.canary": "2/1d lock 1h", "control": "10000/1m"}
    running = start_server(env={"FLUXBASE_LIMITS_ENABLED": "true", "FLUXBASE_LIMITS_RULES": json.dumps(rules)})
    yield running
    running.stop()


def until(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Ask until the answer has that status, for the second that workers may take; the last answer."""
    ends_at = time.monotonic() + 8
    while (answer := ask()).status_code != status and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert answer.status_code == status, answer.text
    return answer


def command(server: Server, *words: str) -> dict[str, object]:
    """What ``fluxbase … --json`` prints."""
    done = fluxbase(*words, "--json", "--data", server.data_dir, cwd=server.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_guessing_blocks_the_address(guarded: Server) -> None:
    """After five bad credentials the sixth is 403 with Retry-After, for every path, and the block is in the list."""
    address = fresh_address()
    bad = {"authorization": "Bearer not-a-token"}
    with client_from(guarded, address) as client:
        assert [client.get("/rest/v1/x", headers=bad).status_code for _ in range(6)] == [401] * 6
        answer = client.get(JWKS)
        assert answer.status_code == 403
        assert 0 < int(answer.headers["retry-after"]) <= 900
    with client_from(guarded) as other:
        assert other.get(JWKS).status_code == 200
    blocks = command(guarded, "block", "list")["blocks"]
    assert [b["reason"] for b in blocks if b["network"] == f"{address}/32"] == ["abuse.authentication"]  # type: ignore[union-attr]


def test_a_missing_or_expired_credential_is_no_guess(guarded: Server) -> None:
    """Any number of requests without a credential, or with a token that has ended, blocks nobody."""
    with client_from(guarded) as client:
        assert {client.get("/api/v1/admin/status").status_code for _ in range(12)} == {401}
        assert client.get(JWKS).status_code == 200


def test_canaries_block_scanners(guarded: Server) -> None:
    """Two canary paths are 404 as any other; behind the third hit the address is blocked."""
    with client_from(guarded) as client:
        assert [client.get(path).status_code for path in ("/.env", "/wp-login.php")] == [404, 404]
        assert client.get(JWKS).status_code == 200
        client.get("/.git/config")
        assert client.get(JWKS).status_code == 403


def test_this_machine_is_never_blocked_by_itself(guarded: Server) -> None:
    """127.0.0.1, where a proxy of one's own may stand, can fail as often as it likes."""
    assert {guarded.get("/rest/v1/x", key="not-a-token").status_code for _ in range(8)} == {401}


def test_block_and_remove_by_command(guarded: Server) -> None:
    """``block add`` acts on the running server, ``remove`` lets in again, both are in the audit."""
    address = fresh_address()
    network = f"{address.rpartition('.')[0]}.0/24"
    with client_from(guarded, address) as client:
        assert client.get(JWKS).status_code == 200
        command(guarded, "block", "add", network, "--for", "1h", "--reason", "test")
        until(lambda: client.get(JWKS), 403)
        command(guarded, "block", "remove", network)
        until(lambda: client.get(JWKS), 200)
    actions = guarded.root_sql(f"select action from audit.entries where resource = '{network}' order by id")
    assert [action for (action,) in actions] == ["block.added", "block.removed"]


def recorded(server: Server, code: str) -> None:
    """The audit has a row of a refusal with that code."""
    count = f"select count(*) > 0 from audit.entries where action = 'request.refused' and details ->> 'code' = '{code}'"
    ends_at = time.monotonic() + 8
    while server.root_sql(count) != [(True,)] and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert server.root_sql(count) == [(True,)]


def test_maintenance_and_a_single_route(guarded: Server) -> None:
    """Everything is 503 with the message while /health answers; a single route is off alone."""
    command(guarded, "maintenance", "on", "--message", "Back soon.")
    answer = until(lambda: guarded.get(JWKS, key=None), 503)
    assert answer.json()["error"] == "Back soon."
    assert answer.headers["retry-after"]
    assert guarded.get("/health", key=None).status_code == 200
    recorded(guarded, "maintenance")
    command(guarded, "maintenance", "off")
    until(lambda: guarded.get(JWKS, key=None), 200)
    command(guarded, "maintenance", "on", "--route", "admin.status")
    until(lambda: guarded.get("/api/v1/admin/status", key="service"), 503)
    assert guarded.get(JWKS, key=None).status_code == 200
    recorded(guarded, "route_off")
    command(guarded, "maintenance", "off", "--route", "admin.status")
    until(lambda: guarded.get("/api/v1/admin/status", key="service"), 200)


def test_every_refusal_is_recorded(guarded: Server) -> None:
    """Seven refused requests are rows of the audit whose counts add up to seven, with code and route."""
    address = fresh_address()
    with client_from(guarded, address) as client:
        for _ in range(7):
            client.get("/api/v1/admin/status")
    count = f"select coalesce(sum((details ->> 'count')::int), 0) from audit.entries where actor = 'address:{address}' and resource = 'admin.status'"
    ends_at = time.monotonic() + 8
    while guarded.root_sql(count) != [(7,)] and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert guarded.root_sql(count) == [(7,)]

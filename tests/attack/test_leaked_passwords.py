"""A password of a published leak is refused wherever one is chosen, and the server that knows the leaks learns five digits of a hash (threat B27)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.accounts import PASSWORD, sign_up
from tests.support.administrator import PASSWORD as PLATFORM_PASSWORD
from tests.support.administrator import administrator
from tests.support.server import Server, start_server
from tests.support.verification_server import VerificationServer, verification_server

LEAKED = "quince barrel 47 sofa"
DIGEST = hashlib.sha1(LEAKED.encode(), usedforsecurity=False).hexdigest().upper()


@pytest.fixture(scope="module")
def leaks() -> Iterator[VerificationServer]:
    """A range server."""
    with verification_server() as running:
        yield running


@pytest.fixture(scope="module")
def asking(leaks: VerificationServer) -> Iterator[Server]:
    """A server that asks it; its controls may be removed."""
    running = start_server(
        is_twin=True,
        env={
            "FLUXBASE_AUTH_PASSWORD_RANGE_URL": leaks.url.replace("/verify", "/range/"), "FLUXBASE_AUTH_PASSWORD_RANGE_TIMEOUT_SECONDS": "0.5",
            "FLUXBASE_OUTBOUND_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
        },
    )  # fmt: skip
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def calm(leaks: VerificationServer) -> None:
    """Every test begins with a server that knows the leak, in lower case among padding."""
    listed = f"{'0' * 35}:3\r\n{DIGEST[5:].lower()}:12\r\n{'F' * 35}:0\r\n"
    leaks.answer, leaks.status, leaks.delay_seconds = (lambda _: listed), 200, 0.0
    leaks.requests.clear()


def choose(server: Server, password: str, **headers: str) -> httpx.Response:
    """Sign up with it."""
    return server.post("/api/v1/auth/signup", json={"email": f"{uuid.uuid4().hex}@example.test", "password": password}, headers=headers)


@pytest.mark.twin("passwords:leaked")
def test_a_leaked_password_is_refused_and_stays_here(asking: Server, leaks: VerificationServer) -> None:
    """Refused with its reason (taken at the twin that does not ask); what left is five digits and a wish for padding."""
    refused = choose(asking, LEAKED)
    assert (refused.status_code, refused.json()["details"]) == (400, {"reasons": ["pwned"]})
    gotrue = asking.post("/auth/v1/signup", json={"email": "a@example.test", "password": LEAKED})
    assert (gotrue.status_code, gotrue.json()["weak_password"]) == (422, {"reasons": ["pwned"]})
    assert {headers["x-path"] for headers, _ in leaks.requests} == {f"/range/{DIGEST[:5]}"}
    assert all(headers["add-padding"] == "true" for headers, _ in leaks.requests)
    assert not any(LEAKED in str(each) or DIGEST[5:].lower() in str(each).lower() for each in leaks.requests)
    assert choose(asking, LEAKED, **{"x-twin-without": "passwords:leaked"}).status_code == 201
    assert choose(asking, PASSWORD).status_code == 201


def test_it_is_refused_wherever_a_password_is_chosen(asking: Server) -> None:
    """At a change, by an administrator, and for administrators themselves."""
    user = sign_up(asking)
    changed = asking.request("PATCH", "/api/v1/auth/user", key=user.access, json={"password": LEAKED})
    made = asking.post("/auth/v1/admin/users", key="service", json={"email": f"{uuid.uuid4().hex}@example.test", "password": LEAKED})
    own = administrator(asking).post("/password/change", {"current_password": PLATFORM_PASSWORD, "new_password": LEAKED})
    assert [answer.status_code for answer in (changed, made, own)] == [400, 422, 400]


def test_a_hash_that_padding_names_is_no_leak(asking: Server, leaks: VerificationServer) -> None:
    """A count of zero is padding, and a line that is none of the format says nothing."""
    leaks.answer = lambda _: f"{DIGEST[5:]}:0\r\n{DIGEST[5:]}:000\r\n{DIGEST[5:]}\r\n{DIGEST[5:]}:x\r\n:1\r\n{DIGEST[5:]}:\u00b2"
    assert choose(asking, LEAKED).status_code == 201


def _endless(_: bytes) -> str:
    return "x" * 3_000_000


FAULTS: list[dict[str, Any]] = [{"status": 500}, {"status": 302}, {"delay_seconds": 3.0}, {"answer": _endless}]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_range_server_that_is_away_holds_nobody_up(asking: Server, leaks: VerificationServer, fault: dict[str, Any]) -> None:
    """Broken, elsewhere, slow or endless: the password is taken, a line in the log says so, and the offline list still refuses."""
    for name, value in fault.items():
        setattr(leaks, name, value)
    before = asking.log.count("password_range_unavailable")
    assert choose(asking, LEAKED).status_code == 201
    assert asking.log.count("password_range_unavailable") == before + 1
    assert LEAKED not in asking.log
    common = choose(asking, "password123456")
    assert (common.status_code, common.json()["details"]) == (400, {"reasons": ["common"]})


def test_a_private_address_is_not_asked(leaks: VerificationServer) -> None:
    """The call goes through the guard of all our own requests: without a word of the administrator nothing on this machine is reached."""
    running = start_server(env={"FLUXBASE_AUTH_PASSWORD_RANGE_URL": leaks.url})
    try:
        assert choose(running, LEAKED).status_code == 201
        assert leaks.requests == []
    finally:
        running.stop()

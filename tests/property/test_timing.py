"""Who has an account cannot be told by the clock (threat B21): the one statistical test, of ``make test-all`` alone.

What the requests cost is compared exactly elsewhere (``test_accounts.py``, ``test_mailed.py``: hashes, statements, bytes). Here it is asked whether an
attacker who times 2,000 of them learns anything. Known and unknown addresses come in random order over a few connections, as often each, so
what else the machine does hits both; the measure is the chance that a request for a known address took longer than one for an unknown one.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.accounts import PASSWORD
from tests.support.long import needs_long
from tests.support.mailed import new_address
from tests.support.server import Server, start_server

SAMPLES = 2000
ADDRESSES = 40
CONNECTIONS = 4
NATIVE = "/api/v1/auth"
FLOWS = {
    "sign-in": (f"{NATIVE}/signin", {"password": "wrong password 12"}),
    "reset": (f"{NATIVE}/password/reset", {}),
    "magic link": (f"{NATIVE}/magiclink", {}),
    "otp": ("/auth/v1/otp", {"create_user": False}),
}


@pytest.fixture(scope="module")
def timed() -> Iterator[Server]:
    """A server that mails to the same address as often as it is asked."""
    running = start_server(env={"FLUXBASE_AUTH_MAIL_INTERVAL_SECONDS": "0"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def addresses(timed: Server) -> tuple[list[str], list[str]]:
    """Those of accounts, and as many that nobody has."""
    known, unknown = ([new_address() for _ in range(ADDRESSES)] for _ in range(2))
    for email in known:
        assert timed.post(f"{NATIVE}/signup", json={"email": email, "password": PASSWORD}).status_code == 201
    return known, unknown


def seconds_of(server: Server, path: str, body: dict[str, object], emails: list[str]) -> dict[str, list[float]]:
    """How long each request took, by address, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"content-type": "application/json", "apikey": server.anon_key}
    found: dict[str, list[float]] = {email: [] for email in emails}
    for email in emails:
        content = json.dumps({**body, "email": email})
        began = time.perf_counter()
        connection.request("POST", path, content, headers)
        connection.getresponse().read()
        found[email].append(time.perf_counter() - began)
    connection.close()
    return found


def chance_of_longer(some: list[float], others: list[float]) -> float:
    """That one of ``some`` is longer than one of ``others``: the area under the ROC curve, by ranks."""
    order = sorted([(value, True) for value in some] + [(value, False) for value in others])
    ranks = sum(rank for rank, (_, is_some) in enumerate(order, 1) if is_some)
    return (ranks - len(some) * (len(some) + 1) / 2) / (len(some) * len(others))


def test_the_measure_sees_a_difference() -> None:
    """Equal samples give a half; a shift by one standard deviation three quarters."""
    draw = random.Random(5)
    one, other = ([draw.gauss(0, 1) for _ in range(SAMPLES)] for _ in range(2))
    assert abs(chance_of_longer(one, other) - 0.5) < 0.03
    assert 0.72 < chance_of_longer([value + 1 for value in one], other) < 0.80


@needs_long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("flow", FLOWS)
def test_the_clock_does_not_tell_who_has_an_account(timed: Server, addresses: tuple[list[str], list[str]], flow: str) -> None:
    """Of 2,000 samples the chance to tell is between 45 and 55 %."""
    path, body = FLOWS[flow]
    known, unknown = addresses
    order = [email for emails in addresses for email in (emails * SAMPLES)[: SAMPLES // 2]]
    random.Random(flow).shuffle(order)
    warm = [email for pair in zip(known, unknown, strict=True) for email in pair]
    seconds_of(timed, path, body, warm)
    with ThreadPoolExecutor(CONNECTIONS) as pool:  # an answer waits for its moment most of the time
        parts = list(pool.map(lambda part: seconds_of(timed, path, body, part), [order[n::CONNECTIONS] for n in range(CONNECTIONS)]))
    found = {email: [value for part in parts for value in part.get(email, [])] for email in set(order)}
    some, others = ([value for email in emails for value in found[email]] for emails in (known, unknown))
    assert 0.45 <= chance_of_longer(some, others) <= 0.55

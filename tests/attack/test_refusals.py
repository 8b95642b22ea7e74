"""Every refusal says which rule made it, in a metric and in the audit; networks by CIDR; forged forwarding headers (issue 6)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.command import fluxbase
from tests.support.from_address import client_from
from tests.support.server import Server, start_server

JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """Five requests an address, few networks, a trusted proxy that is not us, and https in public."""
    env = {
        "FLUXBASE_LIMITS_ENABLED": "true",
        "FLUXBASE_LIMITS_RULES": json.dumps({"probe": "5/1d"}),
        "FLUXBASE_LIMITS_EXEMPT_NETWORKS": "127.0.0.1/32",
        "FLUXBASE_LIMITS_ALLOWED_NETWORKS": "127.0.0.1/32,127.77.0.0/16,127.88.0.0/17",
        "FLUXBASE_LIMITS_DENIED_NETWORKS": "127.88.7.0/28",
        "FLUXBASE_SERVER_TRUSTED_PROXIES": "10.0.0.0/8",
        "FLUXBASE_SERVER_PUBLIC_URL": "https://api.example.test",
        "FLUXBASE_SERVER_ALLOWED_HOSTS": "api.example.test,127.0.0.1",
    }
    running = start_server(env=env)
    yield running
    running.stop()


def asked_from(server: Server, address: str, path: str = "/health") -> httpx.Response:
    """One request from that address."""
    with client_from(server, address) as client:
        return client.get(path)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("127.77.0.0", None), ("127.77.255.254", None), ("127.88.127.255", None), ("127.88.7.16", None),
        ("127.88.7.0", "address_blocked"), ("127.88.7.15", "address_blocked"), ("127.88.128.0", "address_not_allowed"),
        ("127.0.0.2", "address_not_allowed"), ("127.76.255.255", "address_not_allowed"), ("127.78.0.1", "address_not_allowed"),
    ],
)  # fmt: skip
def test_networks_by_cidr(strict: Server, address: str, code: str | None) -> None:
    """The first and last addresses of each network, and their neighbours; denied wins over allowed; the probes are no exception."""
    answer = asked_from(strict, address)
    assert answer.status_code == (200 if code is None else 403)
    if code is not None:
        until(lambda: noted(strict, address) == [(code, None)])


def noted(server: Server, address: str) -> list[tuple[str, str | None]]:
    """Code and limit of the refusals that the audit has of an address."""
    rows = server.root_sql(
        f"select distinct details ->> 'code', details ->> 'limit' from audit.entries where action = 'request.refused' and actor = 'address:{address}'"
    )
    return [(str(code), limit) for code, limit in rows]


def metric(server: Server, line: str) -> float:
    """A number of the metrics listener."""
    port = json.loads((server.data_dir / "instance.json").read_text())["metrics_port"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


def until(ask: Callable[[], bool]) -> None:
    """Wait until it is so."""
    ends_at = time.monotonic() + 20
    while not ask() and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert ask()


def test_a_limit_is_named_in_metric_and_audit(strict: Server) -> None:
    """The sixth request of an address is one refusal by ``probe``: one more in its metric, one row of the audit with its name."""
    name, address = 'fluxbase_events_total{event="rate_limited:probe"}', "127.77.9.9"
    before = metric(strict, name)
    with client_from(strict, address) as client:
        answers = [client.get("/health") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].headers["ratelimit-policy"].startswith('"probe"')
    until(lambda: metric(strict, name) == before + 1)
    until(lambda: noted(strict, address) == [("rate_limited", "probe")])


def test_a_block_is_in_metric_and_audit(strict: Server) -> None:
    """By its code; maintenance and switched-off routes: tests/attack/test_abuse.py."""
    name, address = 'fluxbase_errors_total{code="address_blocked"}', "127.77.3.4"
    before = metric(strict, name)
    done = fluxbase("block", "add", "127.77.3.0/24", "--json", "--data", strict.data_dir, cwd=strict.data_dir)
    assert done.returncode == 0, done.stderr
    until(lambda: asked_from(strict, address).status_code == 403)
    until(lambda: ("address_blocked", None) in noted(strict, address))
    until(lambda: metric(strict, name) > before)


NAMES = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
    "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "Via",
)  # fmt: skip
LIKELY = st.sampled_from([
    "127.77.1.1", "for=127.77.1.1;proto=https;host=evil.example", "https", "evil.example", "127.88.7.1", "::1", "[::1]:80", "10.0.0.1",
    "10.0.0.1, 127.0.0.1", "/api/v1/admin/status", "unknown", "", 'for="[::1]"', "_hidden", "443",
])  # fmt: skip
ANY = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
FORGED = st.lists(st.tuples(st.sampled_from(NAMES), LIKELY | ANY), min_size=1, max_size=6)


def raw_answer(server: Server, path: str, headers: list[tuple[str, str]], method: str = "GET") -> tuple[bytes, bytes, bytes]:
    """Status line, Location and body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "Content-Length: 0", *(f"{k}: {v}" for k, v in headers)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        connection.settimeout(20)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    location = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"location:")), b"")
    return head.split(b"\r\n", 1)[0], location, body


@pytest.mark.parametrize("kind", ["server", "strict"])
def test_forged_forwarding_changes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    """Without a trusted proxy, and past one that is not us: the same answer, the socket's address in the log, no https believed."""
    target: Server = request.getfixturevalue(kind)
    plain = raw_answer(target, "/auth/v1/health", [])
    assert plain[0] == (b"HTTP/1.1 308 Permanent Redirect" if kind == "strict" else b"HTTP/1.1 200 OK")
    paths: list[str] = []

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(forged=FORGED)
    def run(forged: list[tuple[str, str]]) -> None:
        counted = [name for name, _ in forged]
        answer = raw_answer(target, "/auth/v1/health", forged)
        if len(set(counted)) == len(counted):
            assert answer == plain, forged
        path = f"/rest/v1/forged_{time.monotonic_ns()}"
        raw_answer(target, path, forged)
        paths.append(path)

    run()
    until(lambda: all(path in target.log for path in paths))
    lines = [line for line in target.log.splitlines() if "/rest/v1/forged_" in line and any(path in line for path in paths)]
    assert len(lines) == len(paths)
    assert {json.loads(line)["address"] for line in lines} == {"127.0.0.1"}

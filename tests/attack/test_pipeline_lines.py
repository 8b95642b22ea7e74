"""Every line of the pipeline is proven by switching it off: the same HTTP check passes with it and fails without.

The list comes from ``web/pipeline.py``; a line without a check here fails ``test_every_line_has_a_check``.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.support.controls import pipeline_lines
from tests.support.from_address import client_from, fresh_address
from tests.support.server import Server

Check = Callable[[Server, dict[str, str]], None]


def _get(server: Server, path: str, headers: dict[str, str], method: str = "GET", **options: object) -> httpx.Response:
    return server.request(method, path, key=None, headers=headers, **options)


def _raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(request)
        connection.settimeout(15)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer:
                    break
        except TimeoutError:
            pass
    return answer


def check_request_id(server: Server, off: dict[str, str]) -> None:
    """Our own id is on the answer, not the client's."""
    answer = _get(server, "/health", {**off, "x-request-id": "forged"})
    assert len(answer.headers["x-request-id"]) == 24
    assert answer.headers["x-request-id"] != "forged"


def check_access_log(server: Server, off: dict[str, str]) -> None:
    """The request leaves one line with its path and without its query values."""
    path = f"/rest/v1/logged_{len(off)}_{time.monotonic_ns()}"
    _get(server, f"{path}?id=eq.canary-in-query", off)
    ends_at = time.monotonic() + 3
    while path not in server.log and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert path in server.log
    assert "canary-in-query" not in server.log


def check_security_headers(server: Server, off: dict[str, str]) -> None:
    """Errors carry the security headers too."""
    answer = _get(server, "/rest/v1/no_such_table", off)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-store"
    assert not answer.headers.get("server")


def check_cors(server: Server, off: dict[str, str]) -> None:
    """A preflight is answered with the allowed headers."""
    answer = _get(server, "/rest/v1/x", {**off, "origin": "http://app.example", "access-control-request-method": "POST"}, method="OPTIONS")
    assert answer.status_code == 200
    assert "apikey" in answer.headers["access-control-allow-headers"].lower()


def check_error_boundary(server: Server, off: dict[str, str]) -> None:
    """An undeclared exception gives a constant body and a request id, nothing of the exception."""
    answer = _get(server, "/health", {**off, "x-twin-without": ",".join(filter(None, [off.get("x-twin-without"), "Route", "Authorise"]))})
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL_ERROR"
    assert "pipeline" not in answer.text


def check_trusted_proxy(server: Server, off: dict[str, str]) -> None:
    """The log has the socket's address, whatever X-Forwarded-For says."""
    path = f"/rest/v1/address_{time.monotonic_ns()}"
    _get(server, path, {**off, "x-forwarded-for": "203.0.113.9"})
    ends_at = time.monotonic() + 3
    while path not in server.log and time.monotonic() < ends_at:
        time.sleep(0.05)
    line = next(line for line in server.log.splitlines() if path in line)
    assert "127.0.0.1" in line
    assert "203.0.113.9" not in line


def check_errors(server: Server, off: dict[str, str]) -> None:
    """A declared error has its status and the dialect's shape."""
    answer = _get(server, "/rest/v1/a/b/c", off)
    assert answer.status_code == 404
    assert answer.json()["code"] == "PGRST125"


def check_host(server: Server, off: dict[str, str]) -> None:
    """A foreign Host (DNS rebinding, threat A8) is refused on a loopback listener."""
    assert _get(server, "/health", {**off, "host": "evil.example"}).status_code == 421


def check_normalise(server: Server, off: dict[str, str]) -> None:
    """Two Authorization headers are refused, not joined or picked from."""
    lines = [b"GET /rest/v1/x HTTP/1.1", b"Host: 127.0.0.1", b"Authorization: Bearer a", b"Authorization: Bearer b"]
    lines += [f"{name}: {value}".encode() for name, value in off.items()]
    answer = _raw(server, b"\r\n".join([*lines, b"Connection: close", b"", b""]))
    assert answer.startswith(b"HTTP/1.1 400")


def check_blocklist(server: Server, off: dict[str, str]) -> None:
    """A blocked address is refused with 403, whatever it asks for; the probes too."""
    address = fresh_address()
    server.root_sql(f"insert into platform.blocks (network, reason, actor) values ('{address}/32', 'test', 'test')")
    with client_from(server, address, headers=off) as client:
        ends_at = time.monotonic() + 5
        while (answer := client.get("/.well-known/jwks.json")).status_code == 200 and time.monotonic() < ends_at:
            time.sleep(0.1)
        assert answer.status_code == 403
        assert client.get("/no-such-path").status_code == 403


def check_route(server: Server, off: dict[str, str]) -> None:
    """A known path with a wrong verb is 405 with Allow."""
    answer = _get(server, "/health", off, method="DELETE")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def check_body_limit(server: Server, off: dict[str, str]) -> None:
    """A body over the limit is 413 before anything else looks at it."""
    answer = _get(server, "/rest/v1/no_such_table", off, method="POST", content=b"[" + b" " * 11_000_000 + b"]")
    assert answer.status_code == 413


def check_deadline(server: Server, off: dict[str, str]) -> None:
    """A request with a deadline is answered by the data plane; without one it has no time at all."""
    answer = server.request("GET", "/rest/v1/deadline_probe", key="service", headers=off)
    assert answer.status_code == 200


def check_address_limit(server: Server, off: dict[str, str]) -> None:
    """The control plane's limit acts on one address."""
    with client_from(server, headers=off) as client:
        statuses = [client.get("/.well-known/jwks.json").status_code for _ in range(101)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


def check_tenant_candidate(server: Server, off: dict[str, str]) -> None:
    """An unknown tenant is 404."""
    assert _get(server, "/rest/v1/deadline_probe", {**off, "x-fb-tenant": "no-such-tenant"}).status_code == 404


def check_authenticate(server: Server, off: dict[str, str]) -> None:
    """A good key gets its rows; a bad one is 401, never anon."""
    assert server.request("GET", "/rest/v1/deadline_probe", key="service", headers=off).json() == [{"id": 1}]
    assert server.request("GET", "/rest/v1/deadline_probe", key="not-a-token", headers=off).status_code == 401


def check_cross_origin(server: Server, off: dict[str, str]) -> None:
    """A foreign page's write with a session cookie is refused before the cookie is looked at."""
    headers = {**off, "cookie": "fluxbase_access_token=x", "sec-fetch-site": "cross-site"}
    assert _get(server, "/rest/v1/rpc/nothing", headers, method="POST").status_code == 403


def check_csrf_token(server: Server, off: dict[str, str]) -> None:
    """A write with a good session cookie and no token is refused."""
    token = server.token("00000000-0000-4000-8000-0000000000c5", session_id="00000000-0000-4000-8000-00000000c5f1")
    assert _get(server, "/rest/v1/rpc/nothing", {**off, "cookie": f"fluxbase_access_token={token}"}, method="POST").status_code == 403


def check_authorise(server: Server, off: dict[str, str]) -> None:
    """A route for the service key is closed to anon."""
    assert _get(server, "/api/v1/admin/status", off).status_code == 401
    assert server.request("GET", "/api/v1/admin/status", key="service", headers=off).status_code == 200


def check_idempotency(server: Server, off: dict[str, str]) -> None:
    """The second request with a key is the first one's replay."""
    headers = {**off, "idempotency-key": f"{time.monotonic_ns()}"}
    answers = [server.post("/rest/v1/rpc/count_probe", key="service", json={}, headers=headers).text for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].isdigit()


def check_cookie_session(server: Server, off: dict[str, str]) -> None:
    """A sign-in that asks for cookies gets them, and no token in the body."""
    own_address = httpx.HTTPTransport(local_address=f"127.9.9.{1 + len(off)}")  # limits count by it
    with httpx.Client(base_url=server.url, transport=own_address, trust_env=False, timeout=30) as client:
        token = client.get("/api/v1/auth/csrf").json()["csrf_token"]
        body = {"email": f"line{time.monotonic_ns()}@example.org", "password": "a long enough password"}
        headers = {**off, "x-session-mode": "cookie", "x-csrf-token": token}
        answer = client.post("/api/v1/auth/signup", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert "access_token" not in answer.json()
    assert any(line.startswith("fluxbase_access_token=ey") for line in answer.headers.get_list("set-cookie"))


def check_principal_limit(server: Server, off: dict[str, str]) -> None:
    """A user over his limit is refused, wherever he asks from."""
    token = server.token(str(uuid.uuid4()))
    with httpx.Client(base_url=server.url, headers={**off, "authorization": f"Bearer {token}"}, trust_env=False, timeout=30) as client:
        statuses = [client.get("/rest/v1/no_such_table").status_code for _ in range(301)]
    assert 429 not in statuses[:300]
    assert statuses[300] == 429


CHECKS: dict[str, Check] = {
    "RequestId": check_request_id,
    "AccessLog": check_access_log,
    "SecurityHeaders": check_security_headers,
    "Cors": check_cors,
    "ErrorBoundary": check_error_boundary,
    "TrustedProxy": check_trusted_proxy,
    "Errors": check_errors,
    "HostAndScheme": check_host,
    "Normalise": check_normalise,
    "Blocklist": check_blocklist,
    "Route": check_route,
    "BodyLimit": check_body_limit,
    "Deadline": check_deadline,
    "AddressLimit": check_address_limit,
    "CrossOrigin": check_cross_origin,
    "TenantCandidate": check_tenant_candidate,
    "Authenticate": check_authenticate,
    "CsrfToken": check_csrf_token,
    "Authorise": check_authorise,
    "PrincipalLimit": check_principal_limit,
    "Idempotency": check_idempotency,
    "CookieSession": check_cookie_session,
}


@pytest.fixture(scope="module")
def probed(twin: Server) -> Server:
    """The twin server with one table only the service role can read."""
    twin.sql("create table if not exists deadline_probe (id int primary key); insert into deadline_probe values (1) on conflict do nothing")
    twin.sql("create sequence if not exists probe_count; grant usage on sequence probe_count to service_role")
    twin.sql("create or replace function count_probe() returns bigint language sql volatile as $$ select nextval('probe_count') $$")
    return twin


def test_every_line_has_a_check() -> None:
    """No line can be added to the pipeline unproven."""
    assert list(CHECKS) == pipeline_lines()


@pytest.mark.parametrize("line", CHECKS)
def test_line_holds(probed: Server, line: str) -> None:
    """The check passes with the whole pipeline."""
    CHECKS[line](probed, {})


@pytest.mark.parametrize("line", [pytest.param(name, marks=pytest.mark.twin(f"pipeline:{name}")) for name in CHECKS])
def test_twin_without_the_line_fails(probed: Server, line: str) -> None:
    """The same check fails when only this line is removed."""
    with pytest.raises((AssertionError, KeyError, httpx.HTTPError, StopIteration, ValueError)):
        CHECKS[line](probed, {"x-twin-without": line})


def test_an_undeclared_exception_in_the_rest_dialect(probed: Server) -> None:
    """1.10: 500 PGRSTX00 in PostgREST's shape with a constant text."""
    answer = _get(probed, "/rest/v1/anything", {"x-twin-without": "Route,Authorise"})
    assert (answer.status_code, answer.json()["code"]) == (500, "PGRSTX00")
    assert answer.headers["proxy-status"] == "PostgREST; error=PGRSTX00"
    assert answer.json()["message"] == "Something went wrong on our side. The request id leads to the log entry."

"""Threats A7, A8: one listener, on loopback unless told otherwise, and nothing on it that is not documented."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.server import Server

DOCUMENTED = {
    "/", "/health", "/ready", "/docs", "/.well-known/jwks.json", "/auth/v1/.well-known/jwks.json", "/api/v1/openapi.json", "/rest/v1/", "/rest/v1",
    "/auth/v1/settings",
}  # fmt: skip
"""What answers a caller without credentials; tables and functions apart."""
WORDS = [
    "admin", "config", "metrics", "debug", "debug/vars", "debug/pprof/", "status", "server-status", "actuator", "actuator/env", "actuator/heapdump", "env", ".env",
    "live", "schema", "schema_cache", "console", "_/", "api", "api/v1", "api/v1/admin", "api/v1/admin/status", "api/v1/admin/tenants", "api/v1/admin/config",
    "api/v1/keys", "api/v1/sql", "api/v1/tables", "api/v1/rpc", "graphql", "graphql/v1", "pg", "pg/query", "sql", "query", "backup", "dump", "logs", "swagger.json",
    "openapi.json", "redoc", "docs/oauth2-redirect", "fluxbase.yaml", "master.key", ".git/config", ".fluxbase/master.key", "instance.json",
    "auth/v1", "auth/v1/admin/users", "auth/v1/settings", "storage/v1", "storage/v1/bucket", "realtime/v1", "realtime/v1/api/tenants", "functions/v1", "rest/v1/rpc",
    "rest/v2/", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/etc/passwd", "robots.txt", "favicon.ico", "trace", "cgi-bin/", "wp-login.php",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "TRACE", "CONNECT_", "PROPFIND"])
def test_only_documented_routes_answer(server: Server, method: str) -> None:
    """Everything else is 401, 404 or 405 (or a refused path), whatever the verb, and says nothing of the machine."""
    for word in WORDS:
        answer = server.request(method, f"/{word}", key=None)
        if f"/{word}" not in DOCUMENTED:
            assert answer.status_code in {400, 401, 403, 404, 405, 501}, (method, word, answer.status_code, answer.text[:200])
        assert str(server.data_dir) not in answer.text


def test_documented_routes_answer(server: Server) -> None:
    """Or the walk would prove nothing."""
    assert [path for path in sorted(DOCUMENTED) if server.get(path, key=None).status_code not in {200, 401}] == []


def listening(session: int) -> set[tuple[str, int]]:
    """Address (as /proc writes it) and port of every TCP socket that a process of the session listens on."""
    inodes: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                inodes |= {name[8:-1] for fd in (process / "fd").iterdir() if (name := str(fd.readlink())).startswith("socket:")}
        except OSError:
            continue
    found: set[tuple[str, int]] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_the_program_listens_on_loopback_only(server: Server) -> None:
    """Two ports, the public one and that of the metrics; PostgreSQL has none, and the public one knows no metrics."""
    found = listening(server.process.pid)
    assert ("0100007F", server.port) in found
    assert {address for address, _ in found} == {"0100007F"}
    assert len(found) <= 2


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "[::ffff:1.2.3.4]", "0.0.0.0", ""]
)
def test_a_rebound_host_is_refused(server: Server, host: str) -> None:
    """A browser that was led here by a foreign name (DNS rebinding, A8) gets 421 or 400, with a key or without."""
    for path in ("/health", "/rest/v1/", "/api/v1/admin/status"):
        for key in (None, "anon", "service"):
            assert server.get(path, key=key, headers={"host": host}).status_code in {400, 421}

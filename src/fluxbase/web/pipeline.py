"""The middleware, one visible list, outermost first; list order is running order (DESIGN section 6).

Each is an ASGI application around the next. A line that waits for nothing is a plain function that returns what the next one
returns, not a coroutine of its own (docs/decisions/0067). A twin (``tests/support/twin.py``) builds the same program without
one named line and must fail the attack test of that control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.web.context import context_of
from fluxbase.web.disconnect import until_gone
from fluxbase.web.errors import render
from fluxbase.web.middleware.access_log import AccessLog, AccessSink
from fluxbase.web.middleware.address import HostAndScheme, TrustedProxy
from fluxbase.web.middleware.authenticate import Authenticate, Authenticator, PlatformEntry, TenantCandidate, credentials_of
from fluxbase.web.middleware.authorise import Authorise
from fluxbase.web.middleware.blocklist import Blocklist
from fluxbase.web.middleware.body_limit import BodyLimit, Deadline
from fluxbase.web.middleware.cookie_session import CookieSession
from fluxbase.web.middleware.cors import Cors
from fluxbase.web.middleware.cross_origin import CrossOrigin, CsrfToken
from fluxbase.web.middleware.error_boundary import ErrorBoundary, Errors
from fluxbase.web.middleware.idempotency import Idempotency
from fluxbase.web.middleware.normalise import Normalise
from fluxbase.web.middleware.rate_limits import AddressLimit, PrincipalLimit
from fluxbase.web.middleware.request_id import RequestId
from fluxbase.web.middleware.route_match import RouteMatch
from fluxbase.web.middleware.security_headers import SecurityHeaders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fluxbase.config import Config
    from fluxbase.kernel.principal import Principal
    from fluxbase.limits.blocklist import Blocklist as KeptOut
    from fluxbase.limits.idempotency import Ledger
    from fluxbase.limits.limiter import RateLimiter
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.context import App, Receive, Scope, Send
    from fluxbase.web.errors import Renderer
    from fluxbase.web.middleware.authenticate import Credentials
    from fluxbase.web.middleware.authorise import Standing
    from fluxbase.web.routing import RouteTable
    from fluxbase.web.session_cookies import SessionCookies


@dataclass(frozen=True, slots=True)
class Parts:
    """What the lines of the pipeline are built from."""

    config: Config
    routes: RouteTable
    registry: TenantRegistry
    authenticator: Authenticator
    limiter: RateLimiter
    kept_out: KeptOut
    access_sink: AccessSink
    credentials: Credentials = credentials_of
    """Where credentials stand in a request."""
    renderer: Renderer = render
    """How a declared error is worded on the wire."""
    standing: Standing | None = None
    """Whether a caller of the control plane is still one."""
    cookies: SessionCookies | None = None
    """Sessions by cookie; None: this kind of server has none."""
    granted: Callable[[Principal], Principal] = lambda principal: principal
    """The caller with what he holds in his claims."""
    used: Callable[[Principal, str], None] = lambda _principal, _address: None
    """Told of each use of an issued key."""
    ledger: Ledger | None = None
    """What was answered to requests with an Idempotency-Key; None: the header is not read."""
    platform: PlatformEntry | None = None
    """What a platform administrator's token is good for."""


def lines(parts: Parts) -> list[tuple[str, Callable[[App], App]]]:
    """The list. Names are what a twin switches off."""
    server = parts.config.server
    return [
        ("RequestId", RequestId),
        ("AccessLog", lambda app: AccessLog(app, parts.access_sink)),
        ("SecurityHeaders", lambda app: SecurityHeaders(app, is_https=parts.config.is_https)),
        ("Cors", lambda app: Cors(app, server.cors_origins)),
        ("ErrorBoundary", lambda app: ErrorBoundary(app, parts.renderer)),
        ("TrustedProxy", lambda app: TrustedProxy(app, server.trusted_proxies, server.trusted_proxy_hops)),
        ("Errors", lambda app: Errors(app, parts.renderer)),
        ("HostAndScheme", lambda app: HostAndScheme(app, allowed_hosts(parts.config), server.public_url)),
        ("Normalise", lambda app: Normalise(app, server.url_limit_bytes, parts.cookies)),
        ("Blocklist", lambda app: Blocklist(app, parts.kept_out, parts.routes, parts.config.limits.canary_paths)),
        ("Route", lambda app: RouteMatch(app, parts.routes)),
        ("BodyLimit", lambda app: BodyLimit(app, server.body_timeout_seconds)),
        ("Deadline", lambda app: Deadline(app, server.request_timeout_seconds)),
        ("AddressLimit", lambda app: AddressLimit(app, parts.limiter, parts.config.limits)),
        ("CrossOrigin", lambda app: CrossOrigin(app, server.public_url, server.cors_origins)),
        ("TenantCandidate", lambda app: TenantCandidate(app, parts.registry, parts.config.tenants.base_host)),
        (
            "Authenticate",
            lambda app: Authenticate(app, parts.authenticator, parts.registry, parts.credentials, parts.granted, parts.platform),
        ),
        ("CsrfToken", lambda app: CsrfToken(app, parts.cookies)),
        ("Authorise", lambda app: Authorise(app, parts.registry, parts.standing, parts.used)),
        ("PrincipalLimit", lambda app: PrincipalLimit(app, parts.limiter, parts.config.limits)),
        ("Idempotency", lambda app: Idempotency(app, parts.ledger, parts.standing)),
        ("CookieSession", lambda app: CookieSession(app, parts.cookies)),
    ]


LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def allowed_hosts(config: Config) -> list[str]:
    """Configured names; else, on a loopback listener, loopback names and the public URL's (threat A8); a leading dot: every name below."""
    tenants = [f".{config.tenants.base_host}"] if config.tenants.base_host else []
    if config.server.allowed_hosts:
        return [*config.server.allowed_hosts, *tenants]
    if config.server.host in {"127.0.0.1", "::1", "localhost"}:
        public = config.server.public_url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        name = public if public.startswith("[") else public.split(":", 1)[0]
        return [*LOOPBACK_NAMES, *([name] if name else []), *tenants]
    return []


async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
    """The innermost line: the matched route's handler."""
    matched = context_of(scope).route
    if matched is None:
        raise RuntimeError("the Route line is missing from the pipeline")
    if matched.is_data_plane:
        await until_gone(matched.handler, scope, receive, send)
    else:
        await matched.handler(scope, receive, send)


def build(parts: Parts, without: Collection[str] = ()) -> App:
    """Wrap ``dispatch`` in the list, innermost last. ``without`` is for twins in the tests only."""
    return wrapped([wrap for name, wrap in lines(parts) if name not in without], dispatch)


def wrapped(around: Sequence[Callable[[App], App]], app: App) -> App:
    """``app`` in all of ``around``, the first outermost. A bound method is called at once, an object with ``__call__`` by a detour."""
    for wrap in reversed(around):
        app = wrap(app).__call__
    return app

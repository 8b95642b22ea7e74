"""CrossOrigin and CsrfToken: a cookie counts only when our own page, or one that was allowed, made the request.

CrossOrigin reads ``Sec-Fetch-Site`` and ``Origin``, which page script cannot forge, before the cookie is used (Fetch Metadata).
CsrfToken wants the signed double-submit token afterwards, bound to the session that the cookie proved. Both act on every
unsafe method and on the WebSocket handshake, which no preflight protects. A request whose only credential is a header is exempt:
no browser adds one by itself.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fluxbase.kernel.errors import Forbidden
from fluxbase.web.context import KEY
from fluxbase.web.session_cookies import AUTH_PATH, MODE, NOTHING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.session_cookies import SessionCookies

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def acts_by_cookie(scope: Scope, context: RequestContext) -> bool:
    """Whether this request changes something, or opens a socket, with a credential the browser sends by itself or asks for one."""
    if scope["type"] == "http" and scope["method"] in SAFE:
        return False
    return context.cookies.is_ambient or context.headers.get(MODE) == b"cookie"


class CrossOrigin:
    """Raises Forbidden for a foreign page's request that carries a session cookie or asks for one."""

    def __init__(self, app: App, public_url: str, origins: Sequence[str]) -> None:
        self._app = app
        own = "/".join(public_url.split("/", 3)[:3])
        self._allowed = frozenset(origin.lower() for origin in (*origins, own) if origin and origin != "*")
        self._has_url = bool(public_url)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        if (context.cookies is not NOTHING or MODE in context.headers) and acts_by_cookie(scope, context):
            self._check(context)
        return self._app(scope, receive, send)

    def _check(self, context: RequestContext) -> None:
        site = context.headers.get(b"sec-fetch-site", b"").lower()
        origin = context.headers.get(b"origin", b"").decode("latin-1").lower()
        if site in (b"same-origin", b"none") or (not site and not origin):
            return
        if origin in self._allowed or (not site and not self._has_url and self._is_own(origin, context)):
            return
        raise Forbidden("A page of another origin may not act with this cookie.", code="cross_origin_refused")

    @staticmethod
    def _is_own(origin: str, context: RequestContext) -> bool:
        """Without a public URL: the host that was asked, which HostAndScheme knows."""
        return origin.partition("://")[2] == context.headers.get(b"host", b"").decode("latin-1").lower()


class CsrfToken:
    """Raises Forbidden unless header and cookie carry the same token, made for this very session."""

    def __init__(self, app: App, cookies: SessionCookies | None) -> None:
        self._app = app
        self._cookies = cookies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._cookies is not None:
            context: RequestContext = scope[KEY]
            if (context.cookies is not NOTHING or MODE in context.headers) and acts_by_cookie(scope, context):
                self._check(scope, context, self._cookies)
        return self._app(scope, receive, send)

    def _check(self, scope: Scope, context: RequestContext, cookies: SessionCookies) -> None:
        carried, sent = context.cookies, _sent(scope, context)
        is_held = (
            bool(sent) and hmac.compare_digest(sent.encode(), carried.csrf.encode()) and cookies.tokens.verifies(sent, carried.binding)
        )
        principal = context.principal
        if is_held and context.is_by_cookie and principal is not None:
            is_held = principal.session_id == carried.binding
        if not is_held:
            raise Forbidden(
                "The CSRF token is missing, old or not this session's.",
                code="csrf_failed",
                hint=f"GET {AUTH_PATH}/csrf, then send its csrf_token in X-CSRF-Token.",
            )


def _sent(scope: Scope, context: RequestContext) -> str:
    """The token as page script sent it. A WebSocket handshake takes no headers from script, so its query has it."""
    value = context.headers.get(b"x-csrf-token")
    if value is not None:
        return value.decode("latin-1")
    if scope["type"] != "websocket":
        return ""
    return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=100).get("csrf_token", [""])[-1]

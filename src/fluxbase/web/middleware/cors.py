"""Cors: exact origins or, for a bearer-only API, any origin without credentials. Preflight is answered here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

ALLOWED_HEADERS = (
    b"Origin, Content-Type, Accept, Authorization, apikey, X-FB-Tenant, X-Client-Key, X-Service-Key, X-CSRF-Token, X-Session-Mode, "
    b"X-Impersonation-Token, Idempotency-Key, Prefer, Range, Range-Unit, X-Storage-Content-Type, X-Storage-Cache-Control, "
    b"X-Storage-Metadata, X-Upsert, X-Metadata, X-Client-Info, X-Supabase-Api-Version, X-Retry-Count, Accept-Profile, "
    b"Content-Profile, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Upload-Defer-Length, Upload-Checksum, Cache-Control, "
    b"traceparent, tracestate, baggage"
)
EXPOSED_HEADERS = (
    b"Content-Range, Content-Location, Content-Length, ETag, Link, X-Total-Count, X-Request-ID, RateLimit, RateLimit-Policy, "
    b"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, Location, Tus-Resumable, Tus-Version, Tus-Extension, "
    b"Tus-Max-Size, Upload-Offset, Upload-Length, Upload-Metadata, X-Supabase-Api-Version, "
    b"Preference-Applied, Content-Profile, X-Affected-Count, Idempotency-Replayed"
)
METHODS = b"GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"


class Cors:
    """Decides by the exact ``Origin``; an origin that is not allowed simply gets no CORS header."""

    def __init__(self, app: App, origins: Sequence[str]) -> None:
        self._app = app
        self._any = "*" in origins
        self._origins = frozenset(origin.encode().lower() for origin in origins)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        origin = context.headers.get(b"origin")
        if origin is None or scope["type"] != "http":
            return self._app(scope, receive, send)
        is_preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in context.headers
        headers = context.response_headers
        headers[b"vary"] = b"Origin"
        if self._any or origin.lower() in self._origins:
            headers[b"access-control-allow-origin"] = b"*" if self._any else origin
            if not self._any:
                headers[b"access-control-allow-credentials"] = b"true"
            headers[b"access-control-expose-headers"] = EXPOSED_HEADERS
            headers[b"cross-origin-resource-policy"] = b"cross-origin"
            if is_preflight:
                headers[b"access-control-allow-methods"] = METHODS
                headers[b"access-control-allow-headers"] = ALLOWED_HEADERS
                headers[b"access-control-max-age"] = b"86400"
        return _answer_preflight(send) if is_preflight else self._app(scope, receive, send)


async def _answer_preflight(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})

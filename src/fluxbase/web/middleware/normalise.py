"""Normalise: the one place for path, header and encoding checks; everything behind it works on clean text.

Refused with 400: a NUL or control character in path or query, invalid UTF-8 in the path, a repeated header that
decides anything (authorization, apikey, host, content-length …), a URL over its limit (414).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from fluxbase.kernel.errors import InvalidInput, TooLarge
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.session_cookies import SessionCookies

_SINGLE = frozenset(
    {b"authorization", b"apikey", b"host", b"content-length", b"content-type", b"x-client-key", b"x-service-key",
     b"x-fb-tenant", b"accept-profile", b"content-profile", b"range", b"origin", b"transfer-encoding", b"x-forwarded-host"}
)  # fmt: skip
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUL_QUERY = re.compile(rb"%00|[\x00-\x1f\x7f]")


class Normalise:
    """Sets ``context.headers``, ``context.path`` and ``context.cookies``."""

    def __init__(self, app: App, url_limit_bytes: int, cookies: SessionCookies | None = None) -> None:
        self._app = app
        self._cookies = cookies
        self._url_limit_bytes = url_limit_bytes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        headers = context.headers
        if len(headers) != len(pairs):
            headers = context.headers = _joined(pairs)
        client_id = headers.get(b"x-request-id")
        if client_id is not None:
            context.client_request_id = client_id[:128].decode("latin-1")
        cookie = headers.get(b"cookie")
        if cookie is not None and self._cookies is not None:
            context.cookies = self._cookies.carried(cookie)
        query: bytes = scope["query_string"]
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(raw_path) + len(query) > self._url_limit_bytes:
            raise TooLarge("The URL is too long; use POST …/query or an RPC for long filters.", code="url_too_long", status=414)
        if b"%" in raw_path:
            try:
                context.path = unquote_to_bytes(raw_path).decode("utf-8")
            except UnicodeDecodeError:
                raise InvalidInput("The path is not valid UTF-8.", code="bad_path") from None
        else:
            context.path = scope["path"]
        path = context.path
        if not (path.isascii() and path.isprintable()) and (_CONTROL.search(path) or "\ufffd" in path):
            raise InvalidInput("The path has a control character or is not valid UTF-8.", code="bad_path")
        if query and (b"%00" in query or not query.decode("latin-1").isprintable()) and _NUL_QUERY.search(query):
            raise InvalidInput("The query string has a NUL or control character.", code="bad_query", pgrst="PGRST100")
        return self._app(scope, receive, send)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Repeated headers as one, joined with a comma (RFC 9110 section 5.3). Raises InvalidInput for those that decide anything."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in headers:
            headers[name] = value
        elif name in _SINGLE:
            # Where a body ends is doubtful then: what follows on the connection must not be taken for a request (RFC 9112 section 11.2).
            closing = (("connection", "close"),) if name in _FRAMING else ()
            raise InvalidInput(f"The header {name.decode('latin-1')} may be sent once only.", code="duplicate_header", headers=closing)
        else:
            headers[name] += b"," + value
    return headers

"""From an ASGI request to a DataRequest and back: what both dialects of the data plane share.

Raw ASGI, no per-request framework objects (DESIGN section 2). Credentials are left out of ``request.headers``, so
that SQL which logs its headers cannot leak a token (docs/decisions/0020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from fluxbase.data.request import DataReply, DataRequest
from fluxbase.db.executor import RequestSettings
from fluxbase.web.context import RequestContext, context_of
from fluxbase.web.middleware.body_limit import read_body
from fluxbase.web.session_cookies import CREDENTIAL_COOKIES

if TYPE_CHECKING:
    from fluxbase.web.context import Receive, Scope, Send

CREDENTIAL_HEADERS = frozenset({b"cookie", b"authorization", b"apikey", b"x-service-key", b"x-client-key", b"proxy-authorization"})
"""Not in ``request.headers``."""
_READS = frozenset({"GET", "HEAD"})


def settings_of(method: str, path: str, context: RequestContext, hidden_headers: frozenset[bytes] = CREDENTIAL_HEADERS) -> RequestSettings:
    """The ``request.*`` settings of this request."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in context.headers.items() if name not in hidden_headers}
    cookie = context.headers.get(b"cookie")
    cookies_json = "{}" if cookie is None else orjson.dumps(parse_cookies(cookie.decode("latin-1"))).decode()
    return RequestSettings(
        method=method, path=path, headers_json=orjson.dumps(headers).decode(), cookies_json=cookies_json, search_path="",
        claim=context.idempotency_claim,
    )  # fmt: skip


def parse_cookies(text: str) -> dict[str, str]:
    """Name → value of a Cookie header; malformed parts and our own session's cookies are left out."""
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return {name: value for name, separator, value in pairs if separator and name and name not in CREDENTIAL_COOKIES}


def text_of(headers: dict[bytes, bytes], name: bytes) -> str:
    """A header as text, empty when absent."""
    value = headers.get(name)
    return "" if value is None else value.decode("latin-1")


async def data_request(
    scope: Scope, receive: Receive, target: str, *, is_rpc: bool, hidden_headers: frozenset[bytes] = CREDENTIAL_HEADERS
) -> DataRequest:
    """Read the request whole. The schema comes from Accept-Profile for reads, Content-Profile for writes."""
    context = context_of(scope)
    method: str = scope["method"]
    headers = context.headers
    is_read = method in _READS
    profile = headers.get(b"accept-profile" if is_read else b"content-profile")
    return DataRequest(
        method=method,
        schema=None if profile is None else profile.decode("latin-1"),
        target=target,
        is_rpc=is_rpc,
        query=scope["query_string"].decode("latin-1"),
        prefer=text_of(headers, b"prefer"),
        accept=text_of(headers, b"accept"),
        content_type=text_of(headers, b"content-type"),
        range_header=text_of(headers, b"range") or None if method == "GET" else None,
        body=b"" if is_read else await read_body(receive),
        settings=settings_of(method, f"/rpc/{target}" if is_rpc else f"/{target}", context, hidden_headers),
        deadline=context.deadline,
    )


def open_to_all(context: RequestContext) -> list[tuple[bytes, bytes]]:
    """What OPTIONS says to a caller without an Origin, as PostgREST does; a browser has one and gets the Cors middleware's answer."""
    return [] if b"origin" in context.headers else [(b"access-control-allow-origin", b"*")]


async def send_reply(reply: DataReply, scope: Scope, send: Send) -> None:
    """Bytes from PostgreSQL straight to the socket."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

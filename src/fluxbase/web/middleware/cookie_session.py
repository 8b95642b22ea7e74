"""CookieSession: sign-in, refresh and sign-out of the native dialect with cookies, for browser applications that ask for it.

The services know nothing of it: whatever route of ``/api/v1/auth`` answers with a pair of tokens, password, code, link or
provider, the pair becomes cookies and leaves the body when the request says ``X-Session-Mode: cookie``. The refresh route reads
its token from the cookie when the body has none. Revocation is the tokens' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from fluxbase.web.context import KEY
from fluxbase.web.middleware.body_limit import read_body
from fluxbase.web.session_cookies import AUTH_PATH, MODE, session_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.web.context import App, Headers, Message, Receive, RequestContext, Scope, Send
    from fluxbase.web.session_cookies import SessionCookies

_REFRESH, _SIGN_OUT = f"{AUTH_PATH}/refresh", f"{AUTH_PATH}/signout"


class CookieSession:
    """Turns tokens in the body into cookies and back."""

    def __init__(self, app: App, cookies: SessionCookies | None) -> None:
        self._app = app
        self._cookies = cookies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and self._cookies is not None:
            context: RequestContext = scope[KEY]
            if (context.is_by_cookie or MODE in context.headers) and context.path.startswith(AUTH_PATH):
                return self._translate(scope, receive, send, context, self._cookies)
        return self._app(scope, receive, send)

    async def _translate(self, scope: Scope, receive: Receive, send: Send, context: RequestContext, cookies: SessionCookies) -> None:
        asks = context.headers.get(MODE) == b"cookie"
        if asks and context.path == _REFRESH and context.cookies.refresh:
            receive = await _with_refresh_token(receive, context.cookies.refresh)
            kept = [pair for pair in scope["headers"] if pair[0] not in (b"content-type", b"content-length")]
            scope = {**scope, "headers": [*kept, (b"content-type", b"application/json")]}
        start: Message = {}
        chunks: list[bytes] = []

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            chunks.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            headers, body = _answer(context, int(start["status"]), start.get("headers") or [], b"".join(chunks), cookies, asks=asks)
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, hold)


def _answer(
    context: RequestContext, status: int, headers: Headers, body: bytes, cookies: SessionCookies, *, asks: bool
) -> tuple[Headers, bytes]:
    """Headers and body as a browser with cookies gets them."""
    is_done = 200 <= status < 300
    if (is_done and context.path == _SIGN_OUT) or (asks and status == 401 and context.path == _REFRESH):
        return [*headers, *cookies.end()], body
    content = _json_object(body) if is_done and asks else None
    holder = content
    if content is not None and isinstance(content.get("session"), dict):
        holder = cast("dict[str, Any]", content["session"])
    if content is None or holder is None or not isinstance(holder.get("access_token"), str):
        return headers, body
    access, refresh = str(holder.pop("access_token")), str(holder.pop("refresh_token", ""))
    lines, content["csrf_token"] = cookies.begin(access, refresh, session_id_of(access))
    body = orjson.dumps(content)
    kept = [pair for pair in headers if pair[0] != b"content-length"]
    return [*kept, *lines, (b"content-length", str(len(body)).encode())], body


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        content: object = orjson.loads(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None


async def _with_refresh_token(receive: Receive, token: str) -> Receive:
    """The request's body, with the cookie's token where it names none."""
    raw = await read_body(receive)
    content = _json_object(raw) if raw else {}
    if content is not None and not content.get("refresh_token"):
        raw = orjson.dumps({**content, "refresh_token": token})
    messages: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again

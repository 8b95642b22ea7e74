"""The cookie that binds a sign-in through a provider to the browser that began it (threat B19).

``__Host-`` where the public URL is https: no other host, path or plain connection can set it. ``Lax`` comes back with the
provider's redirect; the second name is for providers that answer with a cross-site POST (Apple), which only ``None`` accompanies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import Request

_NAME = "fluxbase-flow"
_POST_NAME = "fluxbase-flow-post"


class FlowCookie:
    """Reads and writes it."""

    def __init__(self, *, is_https: bool, seconds: int) -> None:
        self._prefix = "__Host-" if is_https else ""
        self._is_https = is_https
        self._seconds = seconds

    def read(self, request: Request) -> str | None:
        """The browser's secret, as sent with this kind of request; raw."""
        return request.cookies.get(self._prefix + (_POST_NAME if request.method == "POST" else _NAME))

    def held(self, request: Request, *, posts_answer: bool) -> str | None:
        """The secret that a further flow of the same kind keeps."""
        return request.cookies.get(self._prefix + (_POST_NAME if posts_answer else _NAME))

    def header(self, browser: str, *, posts_answer: bool) -> str:
        """The Set-Cookie line."""
        name = self._prefix + (_POST_NAME if posts_answer else _NAME)
        site = "SameSite=None" if posts_answer and self._is_https else "SameSite=Lax"
        secure = "; Secure" if self._is_https else ""
        return f"{name}={browser}; Path=/; Max-Age={self._seconds}; HttpOnly; {site}{secure}"

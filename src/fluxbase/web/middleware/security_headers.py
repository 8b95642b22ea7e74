"""SecurityHeaders: on every answer, errors and refusals included (contract-native 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.web.context import KEY, ConstantHeaders

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

_POWERS = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation", "gyroscope",
    "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "publickey-credentials-get", "screen-wake-lock",
    "usb", "web-share", "xr-spatial-tracking",
)  # fmt: skip

API_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-xss-protection", b"0"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", ", ".join(f"{name}=()" for name in _POWERS).encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"private, no-store"),
    (b"server", b""),  # granian names itself unless the field is there
)
_HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains; preload")


class SecurityHeaders:
    """Adds the constant set; HSTS when the public URL is https."""

    def __init__(self, app: App, *, is_https: bool) -> None:
        self._app = app
        self._headers = ConstantHeaders((*API_HEADERS, _HSTS) if is_https else API_HEADERS)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        context.constant_headers = self._headers
        return self._app(scope, receive, send)

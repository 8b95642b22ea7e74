"""Blocklist: blocked addresses, maintenance and switched-off routes end here; failed authentications and canary hits are counted.

Stands before Route: who is blocked learns nothing, not even which paths there are. A canary is a path that only a scanner asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.errors import FluxbaseError
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.limits.blocklist import Blocklist as KeptOut
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.routing import RouteTable

GUESSES = frozenset({
    "invalid_token", "invalid_key", "no_keys", "unknown_scheme", "invalid_credentials", "refresh_token_not_found", "otp_expired",
    "mfa_verification_failed", "invalid_code", "bad_code", "captcha_failed",
})  # fmt: skip
"""Codes of errors that look like guessing; an expired or missing credential does not."""


class Blocklist:
    """Close to free while nobody is blocked and nothing is off."""

    def __init__(self, app: App, kept_out: KeptOut, routes: RouteTable, canaries: Sequence[str]) -> None:
        self._app = app
        self._kept_out = kept_out
        self._routes = routes
        self._canaries = frozenset(canaries)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[KEY]
        if not self._kept_out.is_idle:
            self._kept_out.check(context.address, context.path, lambda: self._route_name(scope, context.path))
        if context.path in self._canaries:
            await self._kept_out.note_failure(context.address, is_canary=True)
        try:
            await self._app(scope, receive, send)
        except FluxbaseError as error:
            if error.code in GUESSES:
                await self._kept_out.note_failure(context.address)
            raise
        if context.error_code is not None and context.error_code in GUESSES:
            await self._kept_out.note_failure(context.address)

    def _route_name(self, scope: Scope, path: str) -> str | None:
        try:
            return self._routes.match(scope.get("method", "GET"), path)[0].name
        except FluxbaseError:
            return None

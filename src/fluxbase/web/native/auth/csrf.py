"""GET /api/v1/auth/csrf: a token for pages that act with cookies (contract-native 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import JSONResponse

from fluxbase.kernel.access import CONTROL_PLANE, Access
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.session_cookies import SessionCookies


class CsrfRoute:
    """Hands the token out; it says nothing about who asks."""

    def __init__(self, cookies: SessionCookies) -> None:
        self._cookies = cookies

    def register(self, control: ControlPlane) -> None:
        """One route, for everybody."""
        control.add("GET", "/api/v1/auth/csrf", self.token, access=Access.PUBLIC, limit=CONTROL_PLANE, name="auth.csrf")

    async def token(self, request: Request) -> JSONResponse:
        """A new token in the body and in its cookie, bound to the session or pre-session of the cookies."""
        lines, token = self._cookies.offer(context_of(request.scope).cookies)
        answer = JSONResponse({"csrf_token": token})
        answer.raw_headers.extend(lines)
        return answer

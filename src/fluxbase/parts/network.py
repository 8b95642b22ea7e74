"""Browser sessions by cookie, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.crypto.csrf import CsrfTokens
from fluxbase.web.session_cookies import SessionCookies

if TYPE_CHECKING:
    from fluxbase.app import Program


def session_cookies(program: Program) -> SessionCookies:
    """Named and marked after the public URL; every node of an instance makes and checks the same tokens."""
    tokens = CsrfTokens(program.master.derive_secret("csrf").reveal().encode())
    return SessionCookies(tokens, is_https=program.config.is_https, session_seconds=program.config.auth.refresh_token_seconds)

"""CSRF tokens: an HMAC over what the browser is bound to (a session, or a pre-session before sign-in), a time and a nonce.

A token made for one session does not pass in another, and none can be made without the server's key (OWASP, signed
double submit). It is no credential: page script reads it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from hashlib import sha256

LIFE_SECONDS = 24 * 3600
_LONGEST = 128


class CsrfTokens:
    """Issues and checks tokens of the form ``<time>.<nonce>.<mac>``."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, binding: str, now: float | None = None) -> str:
        """A new token for one session or pre-session."""
        head = f"{int(time.time() if now is None else now):x}.{secrets.token_urlsafe(12)}"
        return f"{head}.{self._mac(head, binding)}"

    def verifies(self, token: str, binding: str, now: float | None = None) -> bool:
        """Whether it was made here, for this binding, within a day."""
        head, _, mac = token.rpartition(".")
        if not binding or len(token) > _LONGEST or not hmac.compare_digest(mac.encode(), self._mac(head, binding).encode()):
            return False
        age = (time.time() if now is None else now) - int(head.partition(".")[0], 16)
        return -60 <= age <= LIFE_SECONDS

    def _mac(self, head: str, binding: str) -> str:
        text = f"csrf\n{head}\n{binding}".encode()
        return urlsafe_b64encode(hmac.new(self._key, text, sha256).digest()).decode().rstrip("=")

"""Whether a password is in a published leak, asked of a range server without telling it the password (k-anonymity).

The server learns the first five of the forty hexadecimal digits of the SHA-1 hash and answers with every ending that it knows; padding
hides from a listener how many there are. Optional (``auth.password_range_url``). When the server is away, slow or answers nonsense the
password may be used, with a line in the log: the offline list of common passwords was asked before, and a sign-up that hangs on a
third party's health would be the greater harm (docs/decisions/0073-leaked-passwords.md).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import structlog

from fluxbase.kernel.errors import FluxbaseError, PeerUnavailable

if TYPE_CHECKING:
    from fluxbase.auth.ports import HttpGet

PREFIX_DIGITS = 5


class LeakedPasswords:
    """Asks the range server of the configuration."""

    def __init__(self, url: str, get: HttpGet, *, timeout_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._get = get
        self._timeout_seconds = timeout_seconds

    async def has(self, password: str) -> bool:
        """Whether it is known; False as well when nobody could tell."""
        digest = hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper()
        prefix, ending = digest[:PREFIX_DIGITS], digest[PREFIX_DIGITS:]
        try:
            status, body = await self._get(f"{self._url}/{prefix}", {"add-padding": "true"}, timeout_seconds=self._timeout_seconds)
            if status != 200:
                raise PeerUnavailable("")
            return any(_is_listed(line, ending) for line in body.decode("ascii", "replace").splitlines())
        except FluxbaseError as error:
            structlog.get_logger("fluxbase.auth.passwords").warning("password_range_unavailable", error=error.code)
            return False


def _is_listed(line: str, ending: str) -> bool:
    """``ENDING:count``; a count of zero is padding."""
    listed, _, count = line.strip().partition(":")
    is_count = count.isascii() and count.isdigit() and count.strip("0") != ""
    return is_count and hmac.compare_digest(listed.upper().encode(), ending.encode())

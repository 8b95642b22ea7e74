"""The cookies of a browser session: their names, attributes and meaning (contract-native 2.3, 4.1).

Only applications that ask for them (``X-Session-Mode: cookie`` at sign-in) get any. Page script reads none but the CSRF token.
Over https the prefixes ``__Host-`` and ``__Secure-`` keep sibling host names from planting them (RFC 6265bis 4.1.3).
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import orjson

from fluxbase.crypto.csrf import LIFE_SECONDS, CsrfTokens

if TYPE_CHECKING:
    from fluxbase.web.context import Headers

MODE = b"x-session-mode"
AUTH_PATH = "/api/v1/auth"
_NAMES = ("fluxbase_access_token", "fluxbase_refresh_token", "csrf_token", "fluxbase_presession")
CREDENTIAL_COOKIES = frozenset(f"{prefix}{name}" for prefix in ("", "__Host-", "__Secure-") for name in _NAMES)
"""Never shown to SQL."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Our cookies on a request; empty text where one is missing."""

    access: str
    refresh: str
    csrf: str
    binding: str
    """The session's id, or before sign-in a random pre-session: what a CSRF token is bound to."""

    @property
    def is_ambient(self) -> bool:
        """Whether a credential came along that the browser sends by itself."""
        return bool(self.access or self.refresh)


NOTHING = Carried("", "", "", "")


class SessionCookies:
    """Reads and writes them. The refresh cookie goes to the auth routes only, the others everywhere."""

    def __init__(self, tokens: CsrfTokens, *, is_https: bool, session_seconds: int) -> None:
        self.tokens = tokens
        host, secure = ("__Host-", "__Secure-") if is_https else ("", "")
        self.access, self.refresh = f"{host}fluxbase_access_token", f"{secure}fluxbase_refresh_token"
        self.csrf, self.binding = f"{host}csrf_token", f"{host}fluxbase_presession"
        self._secure = "; Secure" if is_https else ""
        self._session_seconds = session_seconds

    def carried(self, raw: bytes) -> Carried:
        """Ours among the cookies of a request. A name that stands twice counts as missing: somebody planted one."""
        found: dict[str, str] = {}
        twice: set[str] = set()
        for part in raw.decode("latin-1").replace(",", ";").split(";"):
            name, separator, value = part.strip().partition("=")
            if separator and name in found:
                twice.add(name)
            elif separator:
                found[name] = value
        picked = ("" if name in twice else found.get(name, "") for name in (self.access, self.refresh, self.csrf, self.binding))
        return Carried(*picked)

    def begin(self, access_token: str, refresh_token: str, session_id: str) -> tuple[Headers, str]:
        """Set-Cookie lines of a session that began or was refreshed, and its CSRF token, which is new."""
        token = self.tokens.issue(session_id)
        life = self._session_seconds
        return [
            self._line(self.access, access_token, life),
            self._line(self.refresh, refresh_token, life, path=AUTH_PATH),
            self._line(self.binding, session_id, life),
            self._line(self.csrf, token, LIFE_SECONDS, is_readable=True),
        ], token

    def offer(self, carried: Carried) -> tuple[Headers, str]:
        """Set-Cookie lines and the token of a page that is about to write: bound to its session, else to a pre-session."""
        binding = carried.binding or secrets.token_urlsafe(24)
        token = self.tokens.issue(binding)
        life = self._session_seconds if carried.is_ambient else LIFE_SECONDS
        return [self._line(self.binding, binding, life), self._line(self.csrf, token, LIFE_SECONDS, is_readable=True)], token

    def end(self) -> Headers:
        """Set-Cookie lines that take all of them away."""
        return [
            self._line(self.access, "", 0),
            self._line(self.refresh, "", 0, path=AUTH_PATH),
            self._line(self.binding, "", 0),
            self._line(self.csrf, "", 0, is_readable=True),
        ]

    def _line(self, name: str, value: str, seconds: int, *, path: str = "/", is_readable: bool = False) -> tuple[bytes, bytes]:
        hidden = "" if is_readable else "; HttpOnly"
        return b"set-cookie", f"{name}={value}; Path={path}; Max-Age={seconds}; SameSite=Strict{hidden}{self._secure}".encode("latin-1")


def session_id_of(access_token: str) -> str:
    """The session of a token that this process minted a moment ago. Empty for one without."""
    payload = access_token.split(".")[1]
    claims = cast("dict[str, object]", orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    return str(claims.get("session_id") or "")

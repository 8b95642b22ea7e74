"""Signs who is asking, for PostgreSQL to verify (``fluxbase.verified_claims``): HMAC-SHA-256, RFC 2104.

The message is ``database \\n role \\n backend pid \\n expiry in ms \\n claims``. The padded key blocks are hashed once.
"""

from __future__ import annotations

from hashlib import sha256

_BLOCK = 64


class IdentitySigner:
    """One per database."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = sha256(bytes(b ^ 0x5C for b in padded))

    def sign(self, database: str, role: str, pid: int, expires_ms: int, claims: str) -> str:
        """The value of ``fluxbase.identity``: ``<expiry ms>.<hex>``."""
        inner = self._inner.copy()
        inner.update(f"{database}\n{role}\n{pid}\n{expires_ms}\n{claims}".encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return f"{expires_ms}.{outer.hexdigest()}"

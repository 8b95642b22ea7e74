"""Signs who is asking, for PostgreSQL to verify (``fluxbase.verified_claims``): HMAC-SHA-256, RFC 2104 (threat F55).

The message is ``database \\n role \\n backend pid \\n expiry in ms \\n claims``. What does not change is hashed once: the
padded key blocks per database, and the first three lines per connection.
"""

from __future__ import annotations

from hashlib import sha256

_BLOCK = 64


class BoundSigner:
    """Signs for one backend: database, role and pid are already in the hash."""

    __slots__ = ("_inner", "_outer", "signer")

    def __init__(self, signer: IdentitySigner, database: str, role: str, pid: int) -> None:
        self.signer = signer
        """Which key this is bound to; another one after the key was renewed."""
        self._inner = signer.inner.copy()
        self._inner.update(f"{database}\n{role}\n{pid}\n".encode())
        self._outer = signer.outer

    def sign(self, expires_ms: int, claims: bytes) -> bytes:
        """The value of ``fluxbase.identity``: ``<expiry ms>.<hex>``."""
        expires = b"%d" % expires_ms
        inner = self._inner.copy()
        inner.update(expires + b"\n" + claims)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return expires + b"." + outer.hexdigest().encode()


class IdentitySigner:
    """One per database."""

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            raise ValueError("an identity key has at most 64 bytes")
        padded = key.ljust(_BLOCK, b"\0")
        self.inner = sha256(bytes(b ^ 0x36 for b in padded))
        self.outer = sha256(bytes(b ^ 0x5C for b in padded))

    def __repr__(self) -> str:
        return "IdentitySigner([secret])"

    def bind(self, database: str, role: str, pid: int) -> BoundSigner:
        """A signer for one connection."""
        return BoundSigner(self, database, role, pid)

    def sign(self, database: str, role: str, pid: int, expires_ms: int, claims: str) -> str:
        """The value of ``fluxbase.identity`` in one call."""
        return self.bind(database, role, pid).sign(expires_ms, claims.encode()).decode()

"""The look of opaque keys: ``fb_pk_<locator>_<secret><checksum>``.

The prefix lets secret scanners and our log redaction find them, the locator (a hash of the tenant id) names a candidate
tenant without a look-up, the checksum (CRC-32) refuses typing errors and random probes before any table is read.
None of the three authenticates anything: only the SHA-256 of the whole text, compared with the stored row, does.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTERS = frozenset(_ALPHABET)
PUBLISHABLE = "fb_pk_"
SECRET = "fb_sk_"  # noqa: S105 - a prefix, not a secret
LIVE = "fb_live_"
TEST = "fb_test_"
PREFIXES = (PUBLISHABLE, SECRET, LIVE, TEST)
"""Of keys; a refresh token looks the same but is no credential of a request."""
REFRESH = "fb_rt_"
ONE_TIME = "fb_ot_"
"""Mailed: the token of a link."""
_LOCATOR_LENGTH = 9  # 48 bits
_SECRET_LENGTH = 43  # 256 bits
_CHECKSUM_LENGTH = 6  # 32 bits
_LENGTH = _LOCATOR_LENGTH + 1 + _SECRET_LENGTH + _CHECKSUM_LENGTH


@dataclass(frozen=True, slots=True)
class OpaqueKey:
    """A well-formed opaque key, not yet verified."""

    prefix: str
    locator: str
    digest: bytes
    """SHA-256 of the whole text: what is stored and looked up."""


def base62(value: int, length: int) -> str:
    """A number as exactly ``length`` letters and digits."""
    letters: list[str] = []
    for _ in range(length):
        value, rest = divmod(value, 62)
        letters.append(_ALPHABET[rest])
    if value:
        raise ValueError("number too large for its field")
    return "".join(reversed(letters))


def tenant_locator(tenant: TenantId) -> str:
    """Nine letters that name a tenant in keys and key ids without telling its id."""
    return base62(int.from_bytes(hashlib.sha256(b"fluxbase-locator:" + tenant.encode()).digest()[:6]), _LOCATOR_LENGTH)


def format_opaque(prefix: str, locator: str, secret: bytes) -> str:
    """The text of an opaque key from 32 secret bytes."""
    head = f"{prefix}{locator}_{base62(int.from_bytes(secret), _SECRET_LENGTH)}"
    return head + base62(zlib.crc32(head.encode()), _CHECKSUM_LENGTH)


def parse_opaque(text: str, prefixes: tuple[str, ...] = PREFIXES) -> OpaqueKey | None:
    """Take an opaque key apart; None when its form or checksum is wrong."""
    prefix = next((each for each in prefixes if text.startswith(each)), None)
    if prefix is None or len(text) != len(prefix) + _LENGTH or not text.isascii():
        return None
    head, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    locator, separator, secret = head[len(prefix) :].partition("_")
    if not separator or len(locator) != _LOCATOR_LENGTH or not _LETTERS.issuperset(locator + secret):
        return None
    if base62(zlib.crc32(head.encode()), _CHECKSUM_LENGTH) != checksum:
        return None
    return OpaqueKey(prefix, locator, hashlib.sha256(text.encode()).digest())

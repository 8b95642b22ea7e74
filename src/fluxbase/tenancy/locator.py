"""Which tenant a credential names, without verifying it: the locator in an opaque key or in a token's key id.

Nothing is believed here. It decides only whose keys the credential must verify with.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any, cast

import orjson

LOCATOR_LENGTH = 9
_LONGEST_HEADER = 1024
_LONGEST_PREFIX = 5  # live_


def locator_of(raw_credential: str) -> str | None:
    """The locator, or None when the credential names no tenant (a token signed with ``auth.jwt_secret``, or noise)."""
    if raw_credential.startswith("fb_"):
        locator = raw_credential[3 : 3 + _LONGEST_PREFIX + LOCATOR_LENGTH].partition("_")[2][:LOCATOR_LENGTH]
        return locator if len(locator) == LOCATOR_LENGTH and locator.isalnum() else None
    dot = raw_credential.find(".", 0, _LONGEST_HEADER)
    return _of_header(raw_credential[:dot]) if dot >= 0 else None


@lru_cache(maxsize=4096)
def _of_header(encoded: str) -> str | None:
    try:
        header: Any = orjson.loads(base64.urlsafe_b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error):
        return None
    kid = cast("dict[str, object]", header).get("kid") if isinstance(header, dict) else None
    if not isinstance(kid, str) or len(kid) <= LOCATOR_LENGTH or kid[LOCATOR_LENGTH] != "-":
        return None
    locator = kid[:LOCATOR_LENGTH]
    return locator if locator.isascii() and locator.isalnum() else None

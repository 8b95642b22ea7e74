"""What a user or client is handed in the second step: recovery codes and tickets, their form and their hashes.

Recovery codes are 60 bits, short enough to be written down; so that a stolen database gives none, they are hashed with a key
derived from the master key. Tickets are 256 bits; their plain SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""No letter that is mistaken for another; 31 of them."""
RECOVERY_CODES = 10
_GROUPS = 3
_GROUP_LETTERS = 4
TICKET_PREFIX = "fb_mt_"


def new_recovery_codes() -> list[str]:
    """Ten different codes such as ``k7xm-9rqd-2hsv``."""
    codes: set[str] = set()
    while len(codes) < RECOVERY_CODES:
        codes.add("-".join("".join(secrets.choice(ALPHABET) for _ in range(_GROUP_LETTERS)) for _ in range(_GROUPS)))
    return sorted(codes, key=lambda _: secrets.randbits(32))


def canonical_recovery_code(raw_code: str) -> str | None:
    """Letter case, spaces and hyphens do not count; None when it cannot be a code."""
    letters = "".join(letter for letter in raw_code.casefold() if letter not in " -\t")
    is_code = len(letters) == _GROUPS * _GROUP_LETTERS and all(letter in ALPHABET for letter in letters)
    return letters if is_code else None


def recovery_code_hash(key: bytes, user_id: str, canonical: str) -> bytes:
    """HMAC-SHA-256 of a code, bound to its user."""
    return hmac.digest(key, f"{user_id}:{canonical}".encode(), "sha256")


def new_ticket() -> str:
    """An opaque ticket for the second step."""
    return TICKET_PREFIX + secrets.token_urlsafe(32)


def ticket_hash(ticket: str) -> bytes:
    """What is stored of it."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()


def device_hash(address: str, user_agent: str) -> bytes:
    """Names a device without storing it a second time: a ticket works for the one that earned it."""
    return hashlib.sha256(f"{address}\n{user_agent}".encode("utf-8", "surrogatepass")).digest()

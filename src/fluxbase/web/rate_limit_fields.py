"""The RateLimit fields of an answer: structured fields (RFC 9651) as in draft-ietf-httpapi-ratelimit-headers.

``RateLimit-Policy: "auth.sign_in";q=10;w=900`` says what may be asked, ``RateLimit: "auth.sign_in";r=9;t=90`` where the caller stands:
``r`` requests pass now, in ``t`` seconds the whole quota is there again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.kernel.access import Quota


def fields(quotas: Sequence[Quota], *, with_x: bool = False) -> dict[bytes, bytes]:
    """Lower-case header names with their values; nothing for no quota."""
    if not quotas:
        return {}
    found = {
        b"ratelimit": ", ".join(f'"{q.name}";r={q.remaining};t={q.reset_seconds}' for q in quotas).encode(),
        b"ratelimit-policy": ", ".join(f'"{q.name}";q={q.rate};w={q.per_seconds}' for q in quotas).encode(),
    }
    if with_x:
        least = min(quotas, key=lambda q: q.remaining)
        found |= {
            b"x-ratelimit-limit": b"%d" % least.rate,
            b"x-ratelimit-remaining": b"%d" % least.remaining,
            b"x-ratelimit-reset": b"%d" % least.reset_seconds,
        }
    return found

"""Counting for all worker processes of one node, without a store: the data plane's limit by address.

A table of whole numbers in a file that every worker maps: for each key the moment until which it has spent its quota, by the
machine's monotonic clock. Keys fall on slots by a keyed digest, so nobody can aim at another's slot. Two workers that count
the same key at the very same moment may lose one request of the two: a limit of speed may be over by that, never a quota of a store.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from fluxbase.limits.rules import Grant

if TYPE_CHECKING:
    from pathlib import Path

    from fluxbase.limits.rules import Rule

SLOTS = 1 << 20
"""Eight bytes each, of which the file system keeps only pages that were written."""
REMEMBERED = 10_000


class SharedCounts:
    """What ``LocalLimiter.passes`` and ``grant`` do, over processes."""

    def __init__(self, path: Path, secret: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(descriptor, SLOTS * 8)
            self._spent = memoryview(mmap.mmap(descriptor, SLOTS * 8)).cast("Q")
        finally:
            os.close(descriptor)
        self._secret = secret
        self._slot = lru_cache(maxsize=REMEMBERED)(self._find)

    def _find(self, key: str) -> int:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "big") % SLOTS

    def passes(self, rule: Rule, key: str) -> bool:
        """Count one request."""
        slot, now = self._slot(key), time.monotonic_ns() // 1000
        ahead = self._ahead(rule, slot, now)
        if ahead > (rule.capacity - 1) * rule.interval_us:
            return False
        self._spent[slot] = now + ahead + rule.interval_us
        return True

    def _ahead(self, rule: Rule, slot: int, now: int) -> int:
        """How far the quota is spent. More than all of it was written before the machine started anew, or under another rule."""
        ahead = self._spent[slot] - now
        return ahead if 0 < ahead <= rule.capacity * rule.interval_us else 0

    def grant(self, rule: Rule, key: str) -> Grant:
        """Where a key stands that ``passes`` refused."""
        return Grant(0, self._ahead(rule, self._slot(key), time.monotonic_ns() // 1000))

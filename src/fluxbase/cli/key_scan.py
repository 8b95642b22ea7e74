"""Finds leaked keys in files, offline: what looks like a key and has its checksum is one, whoever made it.

Opaque keys are told by prefix and checksum, so a text that only looks like one is not reported. JWT keys are told by the
``typ`` of their header. A key is never printed whole.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fluxbase.crypto.jwt import parse_compact
from fluxbase.crypto.opaque import LIVE, PUBLISHABLE, SECRET, TEST, parse_opaque
from fluxbase.kernel.errors import FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPAQUE = re.compile(rb"fb_(?:pk|sk|live|test)_[0-9A-Za-z]{9}_[0-9A-Za-z]{49}(?![0-9A-Za-z])")
_JWT = re.compile(rb"eyJ[0-9A-Za-z_-]{10,2000}\.eyJ[0-9A-Za-z_-]{10,4000}\.[0-9A-Za-z_-]{20,200}")
_KINDS = {PUBLISHABLE: "publishable key", SECRET: "secret key", LIVE: "client key", TEST: "test client key"}
_HARMLESS = frozenset({"publishable key", "anon key"})
SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})
MOST_BYTES = 20_000_000
"""Larger files are data, not sources."""


@dataclass(frozen=True, slots=True)
class Found:
    """A key in a file."""

    path: str
    line: int
    kind: str
    start: str
    """Its first letters, by which it is recognised in the list of keys."""

    @property
    def is_secret(self) -> bool:
        """Whether it must not be there."""
        return self.kind not in _HARMLESS

    def shown(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "is_secret": self.is_secret}


def scan_path(path: Path) -> Iterator[Found]:
    """Every key in a file, or in the files under a folder. Links are not followed."""
    if path.is_file():
        yield from _scan_file(path)
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            file = path.__class__(folder) / name
            if file.is_file() and not file.is_symlink():
                yield from _scan_file(file)


def _scan_file(path: Path) -> Iterator[Found]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return
        content = path.read_bytes()
    except OSError:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        for match in _OPAQUE.finditer(line):
            key = parse_opaque(match[0].decode("ascii"))
            if key is not None:
                yield Found(str(path), number, _KINDS[key.prefix], match[0][:18].decode("ascii"))
        for match in _JWT.finditer(line):
            kind = _kind_of_token(match[0].decode("ascii"))
            if kind:
                yield Found(str(path), number, kind, match[0][:18].decode("ascii"))


def _kind_of_token(text: str) -> str:
    """Empty for a token that is no key of ours."""
    try:
        token = parse_compact(text)
        role = token.type == "key+jwt" and parse_role(text)
    except FluxbaseError:
        return ""
    return {"anon": "anon key", "service_role": "service key", "tenant_service": "service key"}.get(role or "", "")


def parse_role(text: str) -> str:
    """The role a token's claims name, unverified."""
    import base64

    import orjson

    part = text.split(".")[1]
    try:
        return str(orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))).get("role", ""))
    except (ValueError, AttributeError):
        return ""

"""``/docs``: one static page without third-party hosts; style and script are allowed by their hashes alone (contract-native 4.2)."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

PAGE = (files("fluxbase") / "web" / "documents" / "page.html").read_bytes()


def _hash_of(tag: bytes) -> str:
    match = re.search(rb"<%b>(.*?)</%b>" % (tag, tag), PAGE, re.DOTALL)
    return base64.b64encode(hashlib.sha256(match[1] if match else b"").digest()).decode()


POLICY = (
    f"default-src 'none'; script-src 'sha256-{_hash_of(b'script')}'; style-src 'sha256-{_hash_of(b'style')}'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", b"%d" % len(PAGE)),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
]

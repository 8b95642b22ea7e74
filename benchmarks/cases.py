"""The seven requests that are measured, as bytes on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass

OWNER = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Case:
    """One request; ``path`` is below the data plane's prefix."""

    name: str
    title: str
    method: str
    path: str
    prefer: str = ""
    body: bytes = b""

    def wire(self, host: str, token: str, prefix: str) -> bytes:
        """The complete HTTP/1.1 request."""
        lines = [
            f"{self.method} {prefix}{self.path} HTTP/1.1",
            f"host: {host}",
            f"authorization: Bearer {token}",
            "accept: application/json",
        ]
        if self.prefer:
            lines.append(f"prefer: {self.prefer}")
        if self.method == "POST":
            lines += ["content-type: application/json", f"content-length: {len(self.body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def event(number: int) -> dict[str, object]:
    """A row to insert."""
    return {"owner": OWNER, "kind": "click", "payload": {"n": number, "page": "/start"}}


CASES = (
    Case("row", "one row by key", "GET", "/bench_items?select=*&id=eq.4711"),
    Case("page", "100 rows", "GET", "/bench_items?select=*&id=gt.100&order=id&limit=100"),
    Case("embed", "embed, 1,000 rows", "GET", "/bench_items?select=id,title,bench_categories(name)&order=id&limit=1000"),
    Case(
        "count", "filtered page, count=exact", "GET", "/bench_items?select=id,title,price&category_id=eq.3&order=id&limit=50", "count=exact"
    ),
    Case("insert", "insert one", "POST", "/bench_events", "return=minimal", json.dumps(event(1)).encode()),
    Case("bulk", "insert 1,000", "POST", "/bench_events", "return=minimal", json.dumps([event(n) for n in range(1000)]).encode()),
    Case("rpc", "RPC", "POST", "/rpc/bench_total", "", b'{"category":3}'),
)

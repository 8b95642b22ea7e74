"""Requests of the proof: through the whole pipeline of a program that runs in this process, without a socket."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.web.context import App


AGENT = f"fluxbase-proof/{secrets.token_hex(8)}"
"""By which what a run of the proof made is found again."""
_TOKEN = re.compile(rb"\beyJ[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: bytes
    body: bytes

    def contains(self, text: str) -> bool:
        """Whether head, body or the claims of a token in them show the text."""
        wanted = text.encode()
        return wanted in self.body or wanted in self.headers or any(wanted in claims for claims in self._claims())

    def _claims(self) -> list[bytes]:
        found = _TOKEN.findall(self.body) + _TOKEN.findall(self.headers)
        return [base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in found]

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError."""
        return orjson.loads(self.body)


async def ask(app: App, method: str, target: str, headers: Mapping[str, str], body: object = None) -> Answer:
    """One request, from the first middleware to the last byte of the answer."""
    path, _, query = target.partition("?")
    content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {"host": "localhost", "user-agent": AGENT, "content-type": "application/json", "content-length": str(len(content)), **headers}
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 0), "server": ("localhost", 80),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
    }  # fmt: skip
    messages = [{"type": "http.request", "body": content, "more_body": False}]
    status, head, parts = 0, b"", list[bytes]()

    async def receive() -> Any:
        return messages.pop() if messages else await _for_ever()

    async def send(message: Any) -> None:
        nonlocal status, head
        if message["type"] == "http.response.start":
            status = message["status"]
            head = b"\n".join(name + b": " + value for name, value in message.get("headers", []))
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, head, b"".join(parts))


async def _for_ever() -> Any:
    """The client stays connected and says nothing more."""
    import asyncio

    await asyncio.Event().wait()

"""A small HTTP server on loopback that answers what a test tells it: a captcha provider, the receiver of a hook."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class VerificationServer:
    """Its address, what it was sent, and what it answers: an object, or text that is none, after so many seconds."""

    url: str = ""
    answer: Callable[[bytes], Any] = lambda _: {"success": True}
    status: int = 200
    delay_seconds: float = 0.0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])


@contextmanager
def verification_server() -> Iterator[VerificationServer]:
    """Listens until the block ends."""
    state = VerificationServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            state.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            time.sleep(state.delay_seconds)
            found = state.answer(body)
            content = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(state.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.headers["x-path"] = self.path
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/verify"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()

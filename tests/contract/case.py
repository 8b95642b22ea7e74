"""One sentence of a wire contract as a literal exchange, the runner, and the schema the cases speak of.

A module of cases is a table ``CASES: tuple[Case, ...]`` and one parametrised test that calls ``check``:

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_case(contract: Server, case: Case) -> None:
        \"""The literal request has the literal answer.\"""
        check(contract, case)

``request`` is what goes over the socket: ``GET /films?id=eq.1``, then header lines, then an empty line and the body.
Only ``"``, ``<``, ``>`` and spaces of the path are percent-encoded on the way, as every HTTP client does it.
Paths of sections 1.x are relative to ``/rest/v1``. After an unsafe method the data is put back (``*data.sql``).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.sentences import SENTENCES
from tests.support.server import Server

HERE = Path(__file__).parent
ANY: Any = object()
"""A body that is not looked at."""
EMPTY = b""
"""No body at all."""


@dataclass(frozen=True)
class Case:
    """``headers``: names in lower case; None means absent, a value ending in ``…`` is a prefix.

    ``body``: JSON, compared by value; ``bytes``, compared byte by byte; or ``ANY``.
    ``key``: ``anon``, ``service``, ``user``, ``none`` or a token. ``then``: a second request and its body, to see the effect.
    """

    section: str
    sentence: str
    request: str
    status: int
    headers: dict[str, str | None] = field(default_factory=dict[str, str | None])
    body: Any = ANY
    key: str = "anon"
    then: tuple[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.sentence not in SENTENCES[self.section]:
            raise ValueError(f"{self.section} has no sentence {self.sentence!r}: tests/contract/sentences.py")

    def __str__(self) -> str:
        return f"{self.section} {self.sentence} | {self.request.splitlines()[0]}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def send(server: Server, request: str, *, section: str = "1.1", key: str = "anon") -> Answer:
    """Put a literal request on the socket."""
    head, _, body = request.partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split(" ", 1)
    path = "".join(f"%{ord(char):02X}" if char in '"<> ' else char for char in path)
    credential = {
        "anon": lambda: server.anon_key,
        "service": lambda: server.service_key,
        "user": lambda: server.token("00000000-0000-0000-0000-0000000000aa"),
        "none": lambda: None,
    }.get(key, lambda: key)()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.putrequest(method, ("/rest/v1" if section.startswith("1.") else "") + path, skip_accept_encoding=True)
        if credential is not None:
            connection.putheader("Authorization", f"Bearer {credential}")
        names = [line.partition(":")[0].strip().lower() for line in lines]
        for line in lines:
            name, _, value = line.partition(":")
            connection.putheader(name.strip(), value.strip())
        data = body.encode()
        if (data or method in ("POST", "PATCH", "PUT")) and "content-length" not in names:
            connection.putheader("Content-Length", str(len(data)))
        if data and "content-type" not in names:
            connection.putheader("Content-Type", "application/json")
        connection.endheaders(data or None)
        answer = connection.getresponse()
        headers: dict[str, str] = {}
        for name, value in answer.getheaders():
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        return Answer(answer.status, headers, answer.read())
    finally:
        connection.close()


def check(server: Server, case: Case, put_back: Callable[[Server], None] | None = None) -> None:
    """Send the request, compare status, headers and body; then put the data back if it could have changed."""
    answer = send(server, case.request, section=case.section, key=case.key)
    try:
        assert answer.status == case.status, answer.body[:2000].decode(errors="replace")
        _compare_body(answer.body, case.body)
        assert {name: _shown(answer.headers.get(name), wanted) for name, wanted in case.headers.items()} == case.headers
        if case.then is not None:
            _compare_body(send(server, case.then[0], section=case.section, key="service").body, case.then[1])
    finally:
        if not case.request.startswith(("GET ", "HEAD ", "OPTIONS ")):
            (put_back or seed)(server)


def _compare_body(body: bytes, wanted: Any) -> None:
    if wanted is ANY:
        return
    assert (body if isinstance(wanted, bytes) else json.loads(body)) == wanted


def _shown(value: str | None, wanted: str | None) -> str | None:
    is_prefix = value is not None and wanted is not None and wanted.endswith("…") and value.startswith(wanted[:-1])
    return wanted if is_prefix else value


def install(server: Server) -> None:
    """The schema of the cases, with its data."""
    for path in sorted(HERE.glob("*schema.sql")):
        server.sql(path.read_text(encoding="utf-8"))
    seed(server)


def seed(server: Server) -> None:
    """The data of the cases, as it was."""
    server.sql("".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*data.sql"))))

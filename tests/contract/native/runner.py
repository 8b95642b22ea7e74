"""How a native case is checked: as every case, and errors in the one shape of this dialect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from tests.contract.case import Case, check, send
from tests.support.server import Server

HERE = Path(__file__).parent


def encoded(path: str) -> str:
    """A path as a client sends it: what a URL may not carry is percent-encoded."""
    return quote(path, safe="/?&=(),.*:[]%-_+!'")


def put_back(server: Server) -> None:
    """The data of the cases, as it was."""
    server.sql((HERE / "data.sql").read_text(encoding="utf-8"))


def leave(server: Server) -> None:
    """Nothing was changed."""


def check_native(server: Server, case: Case, restore: Callable[[Server], None] = put_back) -> None:
    """``check``; a body ``("error", CODE)`` is the one error shape with that code."""
    is_read = case.request.partition("\n")[0].endswith("/query") or case.request.startswith("GET ")
    if not (isinstance(case.body, tuple) and case.body[0] == "error"):
        check(server, case, leave if is_read else restore)
        return
    answer = send(server, case.request, section=case.section, key=case.key)
    try:
        assert (answer.status, answer.json["code"]) == (case.status, case.body[1]), answer.body
        assert isinstance(answer.json["error"], str)
        assert answer.json["error"]
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        assert set(answer.json) <= {"error", "code", "message", "hint", "details", "request_id", "path"}
        assert {name: answer.headers.get(name) for name in case.headers} == case.headers
        if case.then is not None:
            assert send(server, case.then[0], section=case.section, key="service").json == case.then[1]
    finally:
        if not is_read:
            restore(server)

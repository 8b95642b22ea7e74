"""Generated requests over a socket to the started program: never 5xx, and reading changes nothing."""

from __future__ import annotations

import http.client
import json
import os
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property import requests
from tests.support.server import Server

EXAMPLES = 3000 if os.environ.get("TESTS_LONG") else 100
SENT = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
_SENDABLE = frozenset(chr(code) for code in range(0x21, 0x7F)) - set('"<>#')
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.just("\0")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
ROW = st.dictionaries(st.sampled_from(["id", "title", "year", "tags", "data", "director_id", "nope", "", "id\0"]), JSON_VALUES, max_size=4)
BODY = st.one_of(
    st.one_of(ROW, st.lists(ROW, max_size=3), JSON_VALUES).map(partial(json.dumps)),
    st.text(max_size=30),
    st.just("["),
    st.just("id,title\n1,"),
)
PREFER = st.sampled_from(
    ["", "return=representation", "return=minimal", "count=exact", "resolution=merge-duplicates", "missing=default", "handling=strict, x",
     "max-affected=1, handling=strict", "tx=rollback"]
)  # fmt: skip
ACCEPT = st.sampled_from(
    ["", "application/json", "text/csv", "application/vnd.pgrst.object+json", "application/vnd.pgrst.plan", "*/*;q=0", "x"]
)


def ask(server: Server, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> int:
    """Send the text as it is (what no client can put on the wire percent-encoded); the status."""
    encoded = "".join(char if char in _SENDABLE else "".join(f"%{byte:02X}" for byte in char.encode()) for char in target)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        sent = {name: value for name, value in headers.items() if value}
        connection.request(method, encoded, body, {"authorization": f"Bearer {server.anon_key}", **sent})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@SENT
@given(
    query=st.one_of(requests.ON_FILMS, requests.TEXTS),
    accept=ACCEPT,
    prefer=PREFER,
    surface=st.sampled_from(["/rest/v1", "/api/v1/tables"]),
)
def test_no_read_is_5xx(contract: Server, query: str, accept: str, prefer: str, surface: str) -> None:
    """Whatever a query string says, the answer is rows or a 4xx."""
    assert ask(contract, "GET", f"{surface}/films?{query}", {"accept": accept, "prefer": prefer}) < 500


@SENT
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT", "DELETE"]), query=requests.ON_FILMS, body=BODY, prefer=PREFER,
    kind=st.sampled_from(["application/json", "text/csv", "application/x-www-form-urlencoded", "x"]),
)  # fmt: skip
def test_no_write_is_5xx(contract: Server, method: str, query: str, body: str, prefer: str, kind: str) -> None:
    """Whatever a body says, the answer is a change or a 4xx; with tx=rollback nothing stays."""
    headers = {"content-type": kind, "prefer": ", ".join(filter(None, [prefer, "tx=rollback"]))}
    before = contract.sql("select count(*), max(title) from films")
    assert ask(contract, method, f"/rest/v1/films?{query}", headers, body.encode("utf-8", "replace")) < 500
    assert contract.sql("select count(*), max(title) from films") == before

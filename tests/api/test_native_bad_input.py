"""Bad input on the native surface: a 4xx in its one shape, within the deadline, and nothing written (threat E43)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import Server

T = "/api/v1/tables"
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="module")
def bin_(server: Server) -> Iterator[Server]:
    """A table that must stay empty."""
    server.sql(
        "create table bin (id int primary key, name text, tags text[], data jsonb); create policy a on bin using (true) with check (true)"
    )
    yield server
    server.sql("drop table bin")


QUERIES: dict[str, tuple[Any, int]] = {
    "100,000 filters": ({"filters": [{"column": "id", "operator": "eq", "value": 1}] * 100_000}, 413),
    "1,001 filters": ({"filters": [{"column": "id", "operator": "eq", "value": 1}] * 1001}, 400),
    "1,001 conditions in a tree": ({"orFilters": [",".join(["id.eq.1"] * 1001)]}, 400),
    "a deep tree": ({"orFilters": ["(" + "and(" * 10_000 + "id.eq.1" + ")" * 10_001]}, 400),
    "open brackets": ({"orFilters": ["id.in." + "(" * 100_000]}, 400),
    "open braces": ({"orFilters": ["tags.cs." + "{" * 100_000]}, 400),
    "open quotes": ({"orFilters": ['data.cs.{"' + '\\"' * 50_000]}, 400),
    "a deep select": ({"select": "a(" * 10_000}, 400),
    "100,000 selected columns": ({"select": ",".join(["id"] * 100_000)}, 400),
    "an open vector order": ({"order": [{"column": "id", "vectorOp": "vec_l2", "vectorValue": "[" * 100_000}]}, 400),
    "a vector of words": ({"order": [{"column": "id", "vectorOp": "vec_l2", "vectorValue": ["a"]}]}, 400),
    "a nested list": ({"filters": [{"column": "id", "operator": "in", "value": [[1]]}]}, 400),
    "a filter without operator": ({"filters": [{"column": "id"}]}, 400),
    "a filter that is no object": ({"filters": [1]}, 400),
    "a tree that is no text": ({"orFilters": [1]}, 400),
    "a fractional limit": ({"limit": 1.5}, 400),
    "a true limit": ({"limit": True}, 400),
    "a negative offset": ({"offset": -1}, 400),
    "an unknown direction": ({"order": [{"column": "id", "direction": "up"}]}, 400),
    "a NUL": ({"filters": [{"column": "name", "operator": "eq", "value": "a\0b"}]}, 400),
    "a NUL in a name": ({"filters": [{"column": "na\0me", "operator": "eq", "value": "b"}]}, 400),
    "SQL as a column": ({"filters": [{"column": "id); drop table bin; --", "operator": "eq", "value": 1}]}, 400),
    "SQL as an operator": ({"filters": [{"column": "id", "operator": "= 1 or 1", "value": 1}]}, 400),
    "SQL as an order": ({"order": [{"column": "id desc; drop table bin"}]}, 400),
    "SQL as a group": ({"groupBy": ["id; drop table bin"]}, 400),
    "SQL as a vector operator": ({"order": [{"column": "id", "vectorOp": "<->; drop table bin", "vectorValue": [1]}]}, 400),
}


def _is_error(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.text[:300]
    body = answer.json()
    assert isinstance(body["error"], str)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "select " not in answer.text.lower() or "$1" not in answer.text


@pytest.mark.parametrize("name", QUERIES)
def test_bad_query_body(bin_: Server, name: str) -> None:
    """Refused in two seconds at most."""
    body, status = QUERIES[name]
    began = time.monotonic()
    _is_error(bin_.post(f"{T}/bin/query", content=json.dumps(body)), status)
    assert time.monotonic() - began < 5


BODIES: dict[str, tuple[str, str, bytes, int]] = {
    "deep JSON": ("POST", "bin", b'{"id":1,"data":' + DEEP.encode() + b"}", 400),
    "deep query": ("POST", "bin/query", DEEP.encode(), 400),
    "no JSON": ("POST", "bin/query", b"{", 400),
    "an empty query": ("POST", "bin/query", b"", 400),
    "keys twice": ("POST", "bin", b'{"id":1,"id":2}', 400),
    "wrong types": ("POST", "bin", b'{"id":{"a":1}}', 400),
    "bytes": ("POST", "bin", b"\xff\xfe", 400),
    "a scalar in a list": ("POST", "bin", b"[1]", 400),
    "over the limit": ("POST", "bin", b'{"id":1,"name":"' + b"x" * 11_000_000 + b'"}', 413),
    "query over the limit": ("POST", "bin/query", b'{"select":"' + b"x" * 2_000_000 + b'"}', 413),
    "keys as text": ("DELETE", "bin/bulk", b'{"ids":["1; drop table bin"]}', 400),
    "nested keys": ("DELETE", "bin/bulk", b'{"ids":[[1]]}', 400),
    "1,001 rows": ("POST", "bin", json.dumps([{"id": n} for n in range(1001)]).encode(), 400),
    "one bad row of many": ("POST", "bin", json.dumps([{"id": n} for n in range(500)] + [{"id": 1}]).encode(), 409),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_body_writes_nothing(bin_: Server, name: str) -> None:
    """A 4xx, and the table is as empty as before."""
    method, path, body, status = BODIES[name]
    _is_error(bin_.request(method, f"{T}/{path}", content=body, headers={"content-type": "application/json"}), status)
    assert bin_.sql("select count(*) from bin") == [(0,)]


def test_thousands_of_filters_in_the_url(bin_: Server) -> None:
    """Refused by their number, before any SQL is made."""
    began = time.monotonic()
    _is_error(bin_.get(f"{T}/bin?" + "&".join(["id=eq.1"] * 7000)), 400)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text", ["order=embedding.vec_cos." + "[" * 60_000, "or=(" + 'a."' * 20_000, "order=vec_" + ",[" * 30_000, "id=in.[" + '"' * 60_000]
)
def test_adversarial_text_is_read_once(bin_: Server, text: str) -> None:
    """No reader of ours goes over a text again and again (threat E43)."""
    from urllib.parse import quote

    began = time.monotonic()
    answer = bin_.get(f"{T}/bin?{quote(text, safe='=&,.()')}"[:65_000])
    assert 400 <= answer.status_code < 500
    assert time.monotonic() - began < 2

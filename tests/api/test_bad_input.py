"""Bad input over a socket: a 4xx with the right code in the dialect's shape, nothing written, no SQL in the answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.server import Server

REST, NATIVE = "/rest/v1", "/api/v1/tables"


@pytest.fixture(scope="module")
def things(server: Server) -> Iterator[Server]:
    """One table that anon may read and write."""
    server.sql(
        "create table if not exists things (id int primary key, name text, data jsonb, at timestamptz, tags text[]);"
        "drop policy if exists everyone on things; create policy everyone on things using (true) with check (true)"
    )
    return server


QUERIES: dict[str, tuple[str, int, str]] = {
    "malformed filter": ("id=5", 400, "PGRST100"),
    "unknown operator": ("id=equals.5", 400, "PGRST100"),
    "wrong type": ("id=eq.abc", 400, "22P02"),
    "unknown column in filter": ("nope=eq.1", 400, "42703"),
    "unknown column in select": ("select=nope", 400, "42703"),
    "unknown column in order": ("order=nope", 400, "42703"),
    "deep tree": ("or=" + "(and" * 10_000 + "(id.eq.1)" + ")" * 10_000, 400, "PGRST100"),
    "huge operator": ("id=" + "x" * 60_000 + ".1", 400, "PGRST100"),
    "bad cast": ("select=id::nosuchtype", 400, ""),
    "cast injection": ("select=id::text);drop table things;--", 400, "PGRST100"),
    "unknown embed": ("select=id,nowhere(*)", 400, "PGRST200"),
    "negative limit": ("limit=-1", 416, "PGRST103"),
    "bad limit": ("limit=abc", 400, "PGRST100"),
    "unclosed tree": ("or=(id.eq.1", 400, "PGRST100"),
    "unclosed quote": ('or=(name.eq."x)', 400, "PGRST100"),
    "bad is": ("id=is.maybe", 400, "PGRST100"),
    "invalid utf-8": ("name=eq.%ff%fe", 400, "PGRST100"),
    "nul": ("name=eq.a%00b", 400, "PGRST100"),
    "overflow": ("id=eq.99999999999999999999", 400, "22003"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_bad_query_is_refused_on_rest(things: Server, name: str) -> None:
    """Status and code as the contract says; four members; no SQL."""
    query, status, code = QUERIES[name]
    started = time.monotonic()
    answer = things.get(f"{REST}/things?{query}")
    assert answer.status_code == status, answer.text[:300]
    body = answer.json()
    assert set(body) == {"code", "message", "details", "hint"}
    if code:
        assert body["code"] == code
    assert "json_agg" not in answer.text
    assert " from (" not in answer.text
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", QUERIES)
def test_bad_query_is_refused_on_native(things: Server, name: str) -> None:
    """The same request on the native surface: same status family, its own shape."""
    query, status, _ = QUERIES[name]
    answer = things.get(f"{NATIVE}/things?{query}")
    assert answer.status_code == (400 if status == 416 else status), answer.text[:300]
    body = answer.json()
    assert isinstance(body["error"], str)
    assert body["code"]
    assert body["request_id"] == answer.headers["x-request-id"]


BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "not json": (b"{nope", "application/json", 400, "PGRST102"),
    "empty": (b"", "application/json", 400, "PGRST102"),
    "scalar": (b"5", "application/json", 400, "PGRST102"),
    "ragged objects": (b'[{"id":1},{"name":"x"}]', "application/json", 400, "PGRST102"),
    "duplicate keys": (b'{"id":901,"id":902}', "application/json", 400, "PGRST102"),
    "invalid utf-8": (b'{"id":903,"name":"\xff\xfe"}', "application/json", 400, "PGRST102"),
    "nul escape": (b'{"id":904,"name":"a\\u0000b"}', "application/json", 400, ""),
    "unknown column": (b'{"id":905,"nope":1}', "application/json", 400, "PGRST204"),
    "wrong type": (b'{"id":"abc"}', "application/json", 400, "22P02"),
    "deep json": (b'{"id":906,"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "application/json", 400, ""),
    "ragged csv": (b"id,name\n907\n", "text/csv", 400, "PGRST102"),
    "unknown media": (b"<x/>", "application/xml", 400, "PGRST102"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_body_is_refused_and_writes_nothing(things: Server, name: str) -> None:
    """400 with the code, and the table is as before."""
    content, media, status, code = BODIES[name]
    before = things.sql("select count(*) from things")
    answer = things.post(f"{REST}/things", content=content, headers={"content-type": media})
    assert answer.status_code == status, answer.text[:300]
    if code:
        assert answer.json()["code"] == code
    assert things.sql("select count(*) from things") == before


def test_slow_body_ends_with_408(server: Server) -> None:
    """A body that trickles is cut when its time is over."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(
            b"POST /rest/v1/things HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        connection.settimeout(20)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_error_details_carry_no_row_values(things: Server) -> None:
    """A duplicate key or a failing row never shows what is stored (threat E44)."""
    things.sql("insert into things values (77, 'canary-row-value') on conflict do nothing")
    answer = things.post(f"{REST}/things", json={"id": 77, "name": "mine"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "23505"
    assert "(77)" not in answer.text
    answer = things.post(f"{REST}/things", json={"id": None, "name": "canary-mine"})
    assert answer.status_code == 400
    assert "Failing row" not in answer.text


def test_hidden_column_answers_like_an_unknown_one(things: Server) -> None:
    """A column without privilege is as absent as one that does not exist, in every clause (threat E41)."""
    things.sql(
        "create table if not exists vault (id int primary key, shown text, hidden text);"
        "drop policy if exists everyone on vault; create policy everyone on vault using (true);"
        "revoke all on vault from anon; grant select (id, shown) on vault to anon"
    )
    for clause in ("select={}", "{}=eq.1", "order={}", "select=id&or=({}.eq.1,id.eq.1)"):
        hidden = things.get(f"{REST}/vault?{clause.format('hidden')}")
        unknown = things.get(f"{REST}/vault?{clause.format('absent')}")
        assert hidden.status_code == unknown.status_code == 400, hidden.text
        assert hidden.text.replace("hidden", "absent") == unknown.text
    assert things.get(f"{REST}/vault?select=id,shown").status_code == 200


def test_table_names_are_not_suggested_to_roles_that_may_not_use_them(things: Server) -> None:
    """The hint of an unknown table names only objects the caller may use."""
    things.sql("create table if not exists secret_plans (id int); revoke all on secret_plans from anon, authenticated")
    answer = things.get(f"{REST}/secret_plan")
    assert answer.status_code == 404
    assert answer.json()["code"] == "PGRST205"
    assert "secret_plans" not in answer.text

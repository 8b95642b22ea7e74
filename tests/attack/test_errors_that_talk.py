"""Invariant 9 (threats E44, F49, F54): no error carries a row's value, and a hidden row is an absent row."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.support.accounts import PASSWORD, sign_up
from tests.support.server import Server, start_server

CANARY, MINE = "talking-canary", str(uuid.uuid4())
SCHEMA = f"""
drop table if exists pay cascade; drop table if exists grade cascade; drop type if exists mood cascade;
create type mood as enum ('{CANARY}', 'plain');
create table grade (id int primary key, code text unique);
create table pay (id int primary key, email text unique, amount int not null check (amount < 1000), secret text not null default '{CANARY}',
  grade int references grade (id) deferrable initially deferred, feeling mood, exclude using btree (email with =));
create policy own on pay using (email = 'mine') with check (email <> 'barred');
create policy raising on grade using (case when code = '{CANARY}' then code::int = 1 else true end);
insert into grade values (1, 'plain'), (2, '{CANARY}');
insert into pay values (1, 'mine', 5), (2, '{CANARY}@example.org', 7);
create or replace function raise_detail() returns int language plpgsql as $$
begin perform 1 / (select amount - 5 from pay where id = 1); return 1; end $$;
create or replace function cast_row() returns int language plpgsql as $$ begin return '{CANARY}'::text::int; end $$;
"""

TALKERS: dict[str, tuple[str, str, object, dict[str, str]]] = {
    "unique": ("POST", "/rest/v1/pay", {"id": 3, "email": "WHOLE", "amount": 1}, {}),
    "unique_hidden_key": ("POST", "/rest/v1/pay", {"id": 2, "email": "n", "amount": 1}, {}),
    "upsert_hidden": (
        "POST",
        "/rest/v1/pay",
        {"id": 2, "email": "mine", "amount": 1},
        {"prefer": "resolution=merge-duplicates,return=representation"},
    ),
    "ignore_hidden": (
        "POST",
        "/rest/v1/pay",
        {"id": 2, "email": "n", "amount": 1},
        {"prefer": "resolution=ignore-duplicates,return=representation"},
    ),
    "check": ("POST", "/rest/v1/pay", {"id": 4, "email": "a", "amount": 2000}, {}),
    "not_null": ("POST", "/rest/v1/pay", {"id": 4, "email": "a"}, {}),
    "with_check": ("POST", "/rest/v1/pay", {"id": 4, "email": "barred", "amount": 1}, {}),
    "foreign_key": ("POST", "/rest/v1/pay", {"id": 4, "email": "a", "amount": 1, "grade": 99}, {}),
    "update_check": ("PATCH", "/rest/v1/pay?id=eq.1", {"amount": 5000}, {}),
    "bad_number": ("GET", "/rest/v1/pay?id=eq.x", None, {}),
    "bad_enum": ("GET", "/rest/v1/pay?feeling=eq.nothing", None, {}),
    "bad_enum_write": ("POST", "/rest/v1/pay", {"id": 4, "email": "a", "amount": 1, "feeling": "nothing"}, {}),
    "policy_raises": ("GET", "/rest/v1/grade", None, {}),
    "division": ("POST", "/rest/v1/rpc/raise_detail", {}, {}),
    "cast_in_function": ("POST", "/rest/v1/rpc/cast_row", {}, {}),
    "cast_of_row": ("GET", "/rest/v1/pay?select=secret::int", None, {}),
    "native_unique": ("POST", "/api/v1/tables/pay", {"id": 2, "email": "n", "amount": 1}, {}),
    "native_not_null": ("POST", "/api/v1/tables/pay", {"id": 4, "email": "a"}, {}),
    "native_policy": ("GET", "/api/v1/tables/grade", None, {}),
}


@pytest.fixture(scope="module")
def pay(server: Server) -> Iterator[Server]:
    """The shipped server with rows that no error may show."""
    server.sql(SCHEMA)
    yield server
    server.sql("drop table pay, grade cascade; drop type mood cascade")


def ask(server: Server, case: str, **headers: str) -> httpx.Response:
    """One request that fails."""
    method, path, body, more = TALKERS[case]
    if isinstance(body, dict):
        body = {name: f"{CANARY}@example.org" if value == "WHOLE" else value for name, value in body.items()}
    return server.request(method, path, headers={**more, **headers}, **({} if body is None else {"json": body}))


@pytest.mark.parametrize("case", [name for name in TALKERS if name != "unique"])
def test_no_error_shows_a_value(pay: Server, case: str) -> None:
    """Failing rows, key values, enum labels and casts stay inside; details are null unless a schema author raised them."""
    answer = ask(pay, case)
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert answer.status_code >= 400 or case == "ignore_hidden"
    assert pay.root_sql("select email, amount from pay order by id") == [("mine", 5), (f"{CANARY}@example.org", 7)]


def test_a_value_the_caller_sent_is_not_confirmed_in_words(pay: Server) -> None:
    """A unique violation says which constraint, not which value (that it says so at all is F54, documented)."""
    answer = ask(pay, "unique")
    assert answer.status_code == 409
    assert CANARY not in answer.text


@pytest.mark.twin("data-plane:errors")
@pytest.mark.parametrize("case", ["policy_raises", "cast_in_function"])
def test_twin_that_hands_errors_on_leaks(twin: Server, case: str) -> None:
    """With PostgreSQL's message and detail handed on, the same errors show the canary."""
    twin.sql(SCHEMA)
    assert CANARY in ask(twin, case, **{"x-twin-without": "data-plane:errors"}).text


def test_hidden_and_absent_rows_give_the_same_answer(pay: Server) -> None:
    """Reading, changing and deleting a row of somebody else is like doing it to none."""
    for method, body in (("GET", None), ("PATCH", {"amount": 1}), ("DELETE", None)):
        options = {} if body is None else {"json": body}
        hidden, absent = (
            pay.request(method, f"/rest/v1/pay?id=eq.{n}", headers={"prefer": "return=representation"}, **options) for n in (2, 77)
        )
        assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text)
        single = {"accept": "application/vnd.pgrst.object+json"}
        hidden, absent = (pay.request("GET", f"/rest/v1/pay?id=eq.{n}", headers=single) for n in (2, 77))
        assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text)
    assert pay.root_sql("select amount from pay where id = 2") == [(7,)]


@pytest.fixture(scope="module")
def broken() -> Iterator[Server]:
    """A server whose accounts lack a column that it reads: an exception that nobody foresaw, in the middle of a sign-in."""
    running = start_server(is_twin=True)
    sign_up(running, "ada@example.test")
    running.root_sql("alter table auth.users rename column raw_app_meta_data to gone")
    yield running
    running.stop()


@pytest.mark.twin("errors:constant")
@pytest.mark.parametrize(
    ("path", "shape"),
    [("/api/v1/auth/signin", {"error", "code", "request_id"}), ("/auth/v1/token?grant_type=password", {"code", "error_code", "msg"})],
)
def test_an_exception_nobody_foresaw_is_a_constant_body(broken: Server, path: str, shape: set[str]) -> None:
    """500 in the dialect's shape, with its headers, and nothing of what happened; the log has it under the request's id. The twin tells."""
    body = {"email": "ada@example.test", "password": PASSWORD}
    answer = broken.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (500, "application/json")
    assert shape <= set(answer.json())
    assert "raw_app_meta_data" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    for _ in range(200):  # it is written once the answer is on its way
        logged = [line for line in broken.log.splitlines() if answer.headers["x-request-id"] in line and "unexpected_error" in line]
        if logged:
            break
        time.sleep(0.05)
    assert "raw_app_meta_data" in "".join(logged)
    assert "raw_app_meta_data" in broken.post(path, json=body, headers={"x-twin-without": "errors:constant"}).text


def test_a_body_that_is_no_form_is_a_declared_error(server: Server) -> None:
    """What the framework refuses before a handler runs has our shape as well."""
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.post("/dashboard/reset-password", key=None, content=b"--y\r\nnonsense", headers=headers)
    assert (answer.status_code, answer.json().keys()) == (400, {"error", "code", "request_id"})

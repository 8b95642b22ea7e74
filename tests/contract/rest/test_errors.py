"""Section 1.10: every error with its status, code, headers and body."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.case import Case, check, send
from tests.support.server import Server


def _body(code: str, message: str, details: object = None, hint: str | None = None) -> dict[str, object]:
    return {"code": code, "message": message, "details": details, "hint": hint}


def _raised(state: str, message: str, detail: str | None = None, hint: str | None = None) -> str:
    return f"POST /rpc/raised\n\n{json.dumps({'state': state, 'message': message, 'detail': detail, 'hint': hint})}"


def _pgrst(message: object, detail: object) -> str:
    return _raised(
        "PGRST", message if isinstance(message, str) else json.dumps(message), detail if isinstance(detail, str) else json.dumps(detail)
    )


MALFORMED = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
FOR_MESSAGE = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
FOR_DETAIL = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
CASES = (
    Case("1.10", "body: code, message, details, hint, nulls kept", "GET /no_such_table_at_all", 404,
         {"content-type": "application/json; charset=utf-8"},
         b'{"code":"PGRST205","message":"Could not find the table \'public.no_such_table_at_all\' in the schema cache","details":null,"hint":null}'),
    Case("1.10", "Proxy-Status", "GET /accounts?id=eq.x", 400, {"proxy-status": "PostgREST; error=22P02"}),
    Case("1.10", "WWW-Authenticate on 401", "GET /accounts", 401,
         {"www-authenticate": 'Bearer error="invalid_token", error_description="Expected 3 parts in JWT; got 1"'},
         _body("PGRST301", "Expected 3 parts in JWT; got 1"), key="nonsense"),
    Case("1.10", "WWW-Authenticate on 401", "GET /forbidden", 401, {"www-authenticate": "Bearer"},
         _body("42501", "permission denied for table forbidden")),
    Case("1.10", "PGRST100", "GET /accounts?id=nope.1", 400),
    Case("1.10", "PGRST101", "PUT /rpc/add\n\n{}", 405, {"proxy-status": "PostgREST; error=PGRST101"}),
    Case("1.10", "PGRST102", "POST /accounts\n\n{", 400, {}, _body("PGRST102", "Empty or invalid json")),
    Case("1.10", "PGRST103", "GET /accounts?offset=9\nPrefer: count=exact", 416, {"content-range": "*/3"},
         _body("PGRST103", "Requested range not satisfiable", "An offset of 9 was requested, but there are only 3 rows.")),
    Case("1.10", "PGRST105", "PUT /accounts\n\n{}", 405, {"proxy-status": "PostgREST; error=PGRST105"}),
    Case("1.10", "PGRST106", 'POST /accounts\nContent-Profile: auth\n\n{"id": 10}', 406, {},
         _body("PGRST106", "Invalid schema: auth", None, "Only the following schemas are exposed: public, archive")),
    Case("1.10", "PGRST107", "GET /accounts\nAccept: x/y", 406, {"proxy-status": "PostgREST; error=PGRST107"},
         _body("PGRST107", "None of these media types are available: x/y")),
    Case("1.10", "PGRST108", "GET /accounts?absent.id=eq.1", 400, {"proxy-status": "PostgREST; error=PGRST108"}),
    Case("1.10", "PGRST111 and PGRST112", 'POST /rpc/answer_headers\n\n{"value": "x"}', 500, {"proxy-status": "PostgREST; error=PGRST111"}),
    Case("1.10", "PGRST111 and PGRST112", 'POST /rpc/answer_status\n\n{"value": "x"}', 500, {"proxy-status": "PostgREST; error=PGRST112"}),
    Case("1.10", "PGRST114", 'PUT /accounts?id=eq.1&limit=1\n\n{"id": 1}', 400, {"proxy-status": "PostgREST; error=PGRST114"}),
    Case("1.10", "PGRST115", 'PUT /accounts?id=eq.1\n\n{"id": 2}', 400, {"proxy-status": "PostgREST; error=PGRST115"}),
    Case("1.10", "PGRST116", "GET /accounts\nAccept: application/vnd.pgrst.object+json", 406, {"proxy-status": "PostgREST; error=PGRST116"}),
    Case("1.10", "PGRST117", "FETCH /accounts", 405, {"proxy-status": "PostgREST; error=PGRST117"}),
    Case("1.10", "PGRST118", "GET /directors?select=id,films(id)&order=films(id)", 400, {"proxy-status": "PostgREST; error=PGRST118"}),
    Case("1.10", "PGRST120", "GET /films?select=id,directors(id)&directors=eq.1", 400, {"proxy-status": "PostgREST; error=PGRST120"}),
    Case("1.10", "PGRST122", "GET /accounts\nPrefer: handling=strict, x", 400, {"proxy-status": "PostgREST; error=PGRST122"}),
    Case("1.10", "PGRST124", 'PATCH /accounts\nPrefer: handling=strict, max-affected=1\n\n{"name": "x"}', 400, {},
         _body("PGRST124", "Query result exceeds max-affected preference constraint", "The query affects 3 rows")),
    Case("1.10", "PGRST125", "GET /a/b/c", 404, {}, _body("PGRST125", "Invalid path specified in request URL")),
    Case("1.10", "PGRST128", "GET /rpc/add?a=1\nPrefer: handling=strict, max-affected=1", 400, {"proxy-status": "PostgREST; error=PGRST128"}),
    Case("1.10", "PGRST200", "GET /accounts?select=id,items(id)", 400, {"proxy-status": "PostgREST; error=PGRST200"}),
    Case("1.10", "PGRST201", "GET /trips?select=id,cities(id)", 300, {"proxy-status": "PostgREST; error=PGRST201"}),
    Case("1.10", "PGRST202", "GET /rpc/no_such_function_at_all", 404, {"proxy-status": "PostgREST; error=PGRST202"}),
    Case("1.10", "PGRST203", "GET /rpc/tie?a=1", 300, {"proxy-status": "PostgREST; error=PGRST203"}),
    Case("1.10", "PGRST204", 'POST /accounts\n\n{"nope": 1}', 400, {},
         _body("PGRST204", "Could not find the 'nope' column of 'accounts' in the schema cache")),
    Case("1.10", "PGRST205", "GET /account_", 404, {},
         _body("PGRST205", "Could not find the table 'public.account_' in the schema cache", None, "Perhaps you meant the table 'public.accounts'")),
    Case("1.10", "SQLSTATE 23503 and 23505: 409", 'POST /accounts\n\n{"id": 1}', 409, {"proxy-status": "PostgREST; error=23505"},
         _body("23505", 'duplicate key value violates unique constraint "accounts_pkey"')),
    Case("1.10", "SQLSTATE 23503 and 23505: 409", 'POST /parts\n\n{"id": 10, "item_id": 99}', 409, {},
         _body("23503", 'insert or update on table "parts" violates foreign key constraint "parts_item_id_fkey"')),
    Case("1.10", "SQLSTATE 42501: 401 for anon, 403 for a user", 'POST /owned\n\n{"id": 10, "name": "x"}', 401, {"www-authenticate": "Bearer"},
         _body("42501", 'new row violates row-level security policy for table "owned"')),
    Case("1.10", "SQLSTATE 42501: 401 for anon, 403 for a user", 'POST /owned\n\n{"id": 10, "name": "refused"}', 403, {"www-authenticate": None},
         _body("42501", 'new row violates row-level security policy for table "owned"'), key="user"),
    Case("1.10", "SQLSTATE 42501: 401 for anon, 403 for a user", 'POST /owned\n\n{"id": 10, "name": "fine"}', 201, {}, b"", key="user"),
    Case("1.10", "SQLSTATE 42883 and 42P01: 404", _raised("42883", "no function"), 404, {}, _body("42883", "no function", "", "")),
    Case("1.10", "SQLSTATE 42883 and 42P01: 404", _raised("42P01", "no table"), 404),
    Case("1.10", "SQLSTATE P0001: 400", _raised("P0001", "as I say", "the detail", "the hint"), 400, {"proxy-status": "PostgREST; error=P0001"},
         _body("P0001", "as I say", "the detail", "the hint")),
    Case("1.10", "SQLSTATE PTnnn: status nnn", _raised("PT402", "Pay first", "d", "h"), 402, {"proxy-status": "PostgREST; error=PT402"},
         _body("PT402", "Pay first", "d", "h")),
    Case("1.10", "SQLSTATE PTnnn: status nnn", _raised("PT404", "gone", "d", "h"), 404),
    Case("1.10", "SQLSTATE PTnnn: status nnn", _raised("PTABC", "strange"), 500),
    Case("1.10", "SQLSTATE PTnnn: status nnn", _raised("PT099", "strange"), 500),
    Case("1.10", "SQLSTATE PGRST: the raise decides the answer",
         _pgrst({"code": "123", "message": "ABC", "details": "DEF", "hint": "XYZ"},
                {"status": 332, "status_text": "My Own", "headers": {"X-Header": "str"}}),
         332, {"x-header": "str", "proxy-status": "PostgREST; error=123"}, _body("123", "ABC", "DEF", "XYZ")),
    Case("1.10", "SQLSTATE PGRST: the raise decides the answer", _pgrst({"code": "1", "message": "m"}, {"status": 404, "headers": {}}), 404, {},
         _body("1", "m")),
    Case("1.10", "PGRST121", _pgrst("INVALID", {"status": 332, "headers": {}}), 500, {"proxy-status": "PostgREST; error=PGRST121"},
         _body("PGRST121", MALFORMED, "Invalid JSON value for MESSAGE: 'INVALID'", FOR_MESSAGE)),
    Case("1.10", "PGRST121", _pgrst({"code": "1"}, {"status": 332, "headers": {}}), 500),
    Case("1.10", "PGRST121", _pgrst({"code": "1", "message": "m"}, "INVALID"), 500, {},
         _body("PGRST121", MALFORMED, "Invalid JSON value for DETAIL: 'INVALID'", FOR_DETAIL)),
    Case("1.10", "PGRST121", _pgrst({"code": "1", "message": "m"}, {"status": 9, "headers": {}}), 500),
    Case("1.10", "PGRST121", 'POST /rpc/raised_bare\n\n{"message": "{\\"code\\":\\"1\\",\\"message\\":\\"m\\"}"}', 500, {},
         _body("PGRST121", MALFORMED, "DETAIL is missing in the RAISE statement", FOR_DETAIL)),
    *(
        Case("1.10", "SQLSTATE classes: 08, 53 are 503; 28, 0L, 0P are 403; 40, 54, 55, 58, XX are 500", _raised(state, "own text"), status, {},
             _body(state, "own text", "", ""))
        for state, status in (
            ("08000", 503), ("53000", 503), ("53400", 500), ("28000", 403), ("0L000", 403), ("0P000", 403), ("40001", 500), ("54000", 500),
            ("55000", 500), ("58000", 500), ("XX000", 500), ("09000", 500), ("25000", 500), ("2D000", 500), ("38000", 500), ("39000", 500),
            ("3B000", 500), ("57P01", 503), ("57000", 500), ("F0000", 500), ("HV000", 500), ("P0003", 500), ("42P17", 500), ("25006", 405),
            ("21000", 500),
        )
    ),
    Case("1.10", "SQLSTATE classes: 08, 53 are 503; 28, 0L, 0P are 403; 40, 54, 55, 58, XX are 500", _raised("21000", "DELETE requires a WHERE clause"),
         400),
    Case("1.10", "SQLSTATE classes: 08, 53 are 503; 28, 0L, 0P are 403; 40, 54, 55, 58, XX are 500", "POST /rpc/too_many", 500, {},
         _body("21000", "more than one row returned by a subquery used as an expression")),
    Case("1.10", "SQLSTATE classes: 08, 53 are 503; 28, 0L, 0P are 403; 40, 54, 55, 58, XX are 500", "POST /totals\n\n" '{"total": 1}', 500, {},
         _body("55000", 'cannot insert into view "totals"', None,
               "To enable inserting into the view, provide an INSTEAD OF INSERT trigger or an unconditional ON INSERT DO INSTEAD rule.")),
    Case("1.10", "SQLSTATE others: 400", "POST /rpc/divided", 400, {}, _body("22012", "division by zero")),
    Case("1.10", "SQLSTATE others: 400", _raised("ABCDE", "custom"), 400, {}, _body("ABCDE", "custom", "", "")),
    Case("1.10", "SQLSTATE others: 400", _raised("FB001", "not ours to say"), 400, {}, _body("P0001", "not ours to say", "", "")),
    Case("1.10", "SQLSTATE others: 400", _raised("FB002", "not ours to say"), 400, {}, _body("P0001", "not ours to say", "", "")),
    Case("1.10", "hints of the database are passed on", 'POST /items\n\n{"name": "x", "feeling": "sad"}', 400, {},
         _body("22P02", 'invalid input value for enum mood: "sad"')),
    Case("1.10", "hints of the database are passed on", 'POST /keyed_always\n\n{"id": 5, "name": "x"}', 400, {},
         _body("428C9", 'cannot insert a non-DEFAULT value into column "id"', None, "Use OVERRIDING SYSTEM VALUE to override.")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


CANARY = "canary-of-a-row"


@pytest.mark.parametrize(
    "request_text",
    [
        'POST /accounts\n\n{"id": 70}',
        'POST /accounts\n\n{"id": 71, "email": "canary-of-a-row"}',
        'POST /items\n\n{"name": null}',
        'PATCH /parts?id=eq.70\n\n{"label": "bad"}',
        "GET /accounts?select=name::int&id=eq.70",
        "POST /rpc/too_many",
    ],
)  # fmt: skip
def test_row_values_never_leave(contract: Server, request_text: str) -> None:
    """1.10: whatever is violated, the row it concerns is not shown (threat E44)."""
    contract.sql(f"insert into accounts values (70, '{CANARY}', '{CANARY}')")
    contract.sql(f"insert into parts values (70, null, '{CANARY}')")
    answer = send(contract, request_text)
    assert answer.status in (400, 409, 500)
    sent = request_text.encode()
    assert CANARY.encode() not in answer.body or CANARY.encode() in sent
    assert b"Key (" not in answer.body
    assert b"Failing row" not in answer.body
    contract.sql("delete from accounts where id >= 70; delete from parts where id >= 70")


def test_compressed_bodies_are_refused(contract: Server) -> None:
    """A gzip bomb is never unpacked: content-encoding is 415 before a byte of it is read."""
    answer = send(contract, 'POST /accounts\nContent-Encoding: gzip\n\n{"id": 10}')
    assert answer.status == 415
    assert send(contract, "GET /accounts?id=eq.10").json == []


def test_a_connection_that_ends_under_a_request(contract: Server) -> None:
    """1.10: PostgreSQL ends the backend of a running write: 503 PGRST001, and the write is not repeated."""
    contract.sql(
        "create table if not exists public.calls (at timestamptz default now()); truncate calls; "
        "create or replace function public.slow_write() returns void language plpgsql security definer set search_path = public as "
        "$$ begin insert into calls default values; perform pg_sleep(25); end $$; grant execute on function public.slow_write() to service_role"
    )
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, contract, "POST /rpc/slow_write\n\n{}", key="service")
        running = "from pg_stat_activity where query like '%slow_write%' and state = 'active' and pid <> pg_backend_pid()"
        ends_at = time.monotonic() + 15
        while contract.root_sql(f"select count(*) {running}") == [(0,)] and time.monotonic() < ends_at:
            time.sleep(0.05)
        assert contract.root_sql(f"select pg_terminate_backend(pid) {running}") == [(True,)]
        got = answer.result(20)
    assert got.status == 503
    assert got.json["code"] == "PGRST001"
    assert got.headers["proxy-status"] == "PostgREST; error=PGRST001"
    assert contract.sql("select count(*) from calls") == [(0,)]

"""Section 1.1: routes, methods, and what one transaction sets and undoes."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check, send
from tests.support.server import Server

CASES = (
    Case("1.1", "root: OPTIONS", "OPTIONS /", 200, {"allow": "OPTIONS,GET,HEAD"}, b""),
    Case("1.1", "table: GET and HEAD", "HEAD /accounts", 200, {"content-range": "0-2/*"}, b""),
    Case("1.1", "rpc: GET, HEAD, POST, OPTIONS", "HEAD /rpc/add?a=1", 200, {"content-type": "application/json; charset=utf-8"}, b""),
    Case("1.1", "rpc: GET, HEAD, POST, OPTIONS", "GET /rpc/add?a=1&b=2", 200, {}, 3),
    Case("1.1", "rpc: other verbs are 405 PGRST101", "DELETE /rpc/add", 405, {"proxy-status": "PostgREST; error=PGRST101"},
         {"code": "PGRST101", "message": "Cannot use the DELETE method on RPC", "details": None, "hint": None}),
    Case("1.1", "rpc: other verbs are 405 PGRST101", "PATCH /rpc/add\n\n{}", 405),
    Case("1.1", "a deeper path is 404 PGRST125", "GET /accounts/1", 404, {"proxy-status": "PostgREST; error=PGRST125"},
         {"code": "PGRST125", "message": "Invalid path specified in request URL", "details": None, "hint": None}),
    Case("1.1", "a deeper path is 404 PGRST125", "GET /rpc/add/1", 404),
    Case("1.1", "table: other verbs are 405 PGRST117", "FETCH /accounts", 405, {},
         {"code": "PGRST117", "message": "Unsupported HTTP method: FETCH", "details": None, "hint": None}),
    Case("1.1", "a failing write leaves nothing: one transaction a request",
         'POST /parts\n\n[{"id": 10, "label": "good"}, {"id": 11, "label": "bad"}]', 400,
         then=("GET /parts?id=gte.10", [])),
    Case("1.1", "GET runs read only: a function that writes is 405", "GET /rpc/add_account?id=50&name=x", 405, {},
         {"code": "25006", "message": "cannot execute INSERT in a read-only transaction", "details": None, "hint": None}),
    Case("1.1", "a stable function runs read only by POST too", 'POST /rpc/sly_account\n\n{"id": 51}', 405,
         then=("GET /accounts?id=eq.51", [])),
    Case("1.1", "POST to a volatile function may write", 'POST /rpc/add_account?select=id\n\n{"id": 52, "name": "Eve"}', 200, {}, {"id": 52},
         then=("GET /accounts?select=name&id=eq.52", [{"name": "Eve"}])),
    Case("1.1", "isolation level of the role or function", "POST /rpc/isolation", 200, {}, "serializable"),
    Case("1.1", "isolation level of the role or function", "GET /rpc/isolation", 200, {}, "serializable"),
    Case("1.1", "isolation level of the role or function", "POST /rpc/plain_isolation", 200, {}, "read committed"),
    Case("1.1", "statement_timeout of a function is hoisted", "POST /rpc/hurried", 504, {},
         {"code": "57014", "message": "canceling statement due to statement timeout", "details": None, "hint": None}),
    Case("1.1", "statement_timeout of a function is hoisted", "POST /rpc/patient", 200, {}, 1),
    Case("1.1", "response.headers adds or overrides headers",
         'POST /rpc/answer_headers\n\n{"value": "[{\\"X-One\\": \\"1\\"}, {\\"Set-Cookie\\": \\"a=b\\"}, {\\"Set-Cookie\\": \\"c=d\\"}]"}', 204,
         {"x-one": "1", "set-cookie": "a=b, c=d"}, b""),
    Case("1.1", "response.headers malformed is 500 PGRST111", 'POST /rpc/answer_headers\n\n{"value": "{\\"X-One\\": \\"1\\"}"}', 500, {},
         {"code": "PGRST111", "details": None, "hint": None,
          "message": "response.headers guc must be a JSON array composed of objects with a single key and a string value"}),
    *(
        Case("1.1", "response.headers malformed is 500 PGRST111", f'POST /rpc/answer_headers\n\n{{"value": {value}}}', 500)
        for value in ('"nope"', '"[1]"', '"[{}]"', r'"[{\"a\": 1}]"', r'"[{\"a\": \"1\", \"b\": \"2\"}]"', r'"[{\"a b\": \"1\"}]"',
                      r'"[{\"a\": \"x\\r\\ny: z\"}]"')
    ),
    Case("1.1", "response.headers adds or overrides headers",
         'POST /rpc/answer_headers\n\n{"value": "[{\\"Content-Length\\": \\"5\\"}, {\\"Transfer-Encoding\\": \\"chunked\\"}]"}', 204,
         {"transfer-encoding": None, "content-length": None}, b""),
    Case("1.1", "response.status sets the status", 'POST /rpc/answer_status\n\n{"value": "418"}', 418, {}, "418"),
    Case("1.1", "response.status sets the status", 'POST /rpc/answer_status\n\n{"value": "204"}', 204, {}, b""),
    Case("1.1", "response.status malformed is 500 PGRST112", 'POST /rpc/answer_status\n\n{"value": "teapot"}', 500, {},
         {"code": "PGRST112", "message": "response.status guc must be a valid status code", "details": None, "hint": None}),
    Case("1.1", "response.status malformed is 500 PGRST112", 'POST /rpc/answer_status\n\n{"value": "99"}', 500),
    Case("1.1", "response.status malformed is 500 PGRST112", 'POST /rpc/answer_status\n\n{"value": "-1"}', 500),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


def test_settings_of_a_request(contract: Server) -> None:
    """1.1: method, path, headers, cookies, claims, search path and time zone are what SQL sees."""
    answer = send(contract, "POST /rpc/settings\nX-Own: yes\nCookie: a=b; c=d\nPrefer: timezone=America/Lima").json
    assert (answer["method"], answer["path"]) == ("POST", "/rpc/settings")
    assert answer["headers"]["x-own"] == "yes"
    assert "cookie" not in answer["headers"]
    assert "authorization" not in answer["headers"]
    assert answer["cookies"] == {"a": "b", "c": "d"}
    assert answer["claims"]["role"] == "anon"
    assert answer["search_path"].startswith('"public"')
    assert answer["timezone"] == "America/Lima"
    assert send(contract, "GET /rpc/settings").json["timezone"] != "America/Lima"


def test_a_long_cookie_or_strange_header_stays_json(contract: Server) -> None:
    """1.1: whatever bytes a header has, request.headers is JSON."""
    answer = send(contract, 'GET /rpc/settings\nX-Odd: "\\ü\tx').json
    assert answer["headers"]["x-odd"].startswith('"\\')

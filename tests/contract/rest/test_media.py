"""Section 1.7: how an answer is shown."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check, send
from tests.support.server import Server

JSON = "application/json; charset=utf-8"
OBJECT = "application/vnd.pgrst.object+json"


def _none(shown: str) -> dict[str, str | None]:
    return {"code": "PGRST107", "message": f"None of these media types are available: {shown}", "details": None, "hint": None}


def _rows(count: int) -> dict[str, str | None]:
    return {"code": "PGRST116", "message": "Cannot coerce the result to a single JSON object", "details": f"The result contains {count} rows",
            "hint": None}  # fmt: skip


CASES = (
    Case("1.7", "Accept: quality values decide", "GET /accounts?select=id&id=eq.1\nAccept: text/csv;q=0.5, application/json;q=0.9", 200,
         {"content-type": JSON}, [{"id": 1}]),
    Case("1.7", "Accept: quality values decide", "GET /accounts?select=id&id=eq.1\nAccept: application/json;q=0.5, text/csv", 200,
         {"content-type": "text/csv; charset=utf-8"}, b"id\n1"),
    Case("1.7", "Accept: quality values decide", "GET /accounts?select=id&id=eq.1\nAccept: */*, text/csv", 200,
         {"content-type": "text/csv; charset=utf-8"}, b"id\n1"),
    Case("1.7", "Accept: quality values decide", "GET /accounts?select=id&id=eq.1\nAccept: application/unknown, application/json", 200,
         {"content-type": JSON}, [{"id": 1}]),
    Case("1.7", "Accept: quality values decide", "GET /accounts\nAccept: text/csv;q=0", 406),
    *(
        Case("1.7", "default and */* are JSON in UTF-8", f"GET /accounts?select=id&id=eq.1{accept}", 200, {"content-type": JSON}, [{"id": 1}])
        for accept in ("", "\nAccept: */*", "\nAccept: application/json", "\nAccept: application/json; charset=utf-8", "\nAccept: APPLICATION/JSON",
                       "\nAccept: text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8")
    ),
    Case("1.7", "object: exactly one row", f"GET /accounts?select=id&id=eq.1\nAccept: {OBJECT}", 200, {"content-type": f"{OBJECT}; charset=utf-8"},
         b'{"id":1}'),
    Case("1.7", "object: exactly one row", "GET /accounts?select=id&id=eq.1\nAccept: application/vnd.pgrst.object", 200,
         {"content-type": f"{OBJECT}; charset=utf-8"}, {"id": 1}),
    Case("1.7", "object: exactly one row", f'POST /accounts?select=id\nAccept: {OBJECT}\nPrefer: return=representation\n\n{{"id": 10}}', 201,
         {"content-type": f"{OBJECT}; charset=utf-8"}, {"id": 10}),
    Case("1.7", "object: exactly one row", f"GET /rpc/add?a=1\nAccept: {OBJECT}", 200, {"content-type": f"{OBJECT}; charset=utf-8"}, 11),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back", f"GET /accounts\nAccept: {OBJECT}", 406, {}, _rows(3)),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back", f"GET /accounts?id=eq.99\nAccept: {OBJECT}", 406, {}, _rows(0)),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back",
         f'POST /accounts\nAccept: {OBJECT}\nPrefer: return=representation\n\n[{{"id": 10}}, {{"id": 11}}]', 406, {}, _rows(2),
         then=("GET /accounts?id=gte.10", [])),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back", f'PATCH /accounts\nAccept: {OBJECT}\n\n{{"name": "all"}}', 406, {}, _rows(3),
         then=("GET /accounts?name=eq.all", [])),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back", f"DELETE /accounts\nAccept: {OBJECT}", 406, {}, _rows(3),
         then=("GET /accounts?select=id&id=eq.1", [{"id": 1}])),
    Case("1.7", "object: otherwise 406 PGRST116, a write is rolled back",
         f'POST /rpc/rename_all\nAccept: {OBJECT}\n\n{{"new_name": "all"}}', 406, {}, _rows(3), then=("GET /accounts?name=eq.all", [])),
    Case("1.7", "nulls=stripped", "GET /accounts?id=eq.3\nAccept: application/vnd.pgrst.array+json;nulls=stripped", 200,
         {"content-type": "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"}, [{"id": 3, "email": "cy@x"}]),
    Case("1.7", "nulls=stripped", f"GET /accounts?id=eq.3\nAccept: {OBJECT};nulls=stripped", 200,
         {"content-type": f"{OBJECT};nulls=stripped; charset=utf-8"}, {"id": 3, "email": "cy@x"}),
    Case("1.7", "nulls=stripped", "GET /accounts?id=eq.99\nAccept: application/vnd.pgrst.array+json; nulls=stripped", 200, {}, []),
    Case("1.7", "vnd.pgrst.array is JSON", "GET /accounts?select=id&id=eq.1\nAccept: application/vnd.pgrst.array+json", 200, {"content-type": JSON},
         [{"id": 1}]),
    Case("1.7", "vnd.pgrst.array is JSON", "GET /accounts?select=id&id=eq.1\nAccept: application/vnd.pgrst.array", 200, {"content-type": JSON},
         [{"id": 1}]),
    Case("1.7", "text/csv", "GET /accounts?order=id\nAccept: text/csv", 200, {"content-type": "text/csv; charset=utf-8", "content-range": "0-2/*"},
         b"id,email,name\n1,ann@x,Ann\n2,bob@x,Bob\n3,cy@x,"),
    Case("1.7", "text/csv", "GET /accounts?id=eq.99\nAccept: text/csv", 200, {}, b"\n"),
    Case("1.7", "text/csv", 'POST /accounts?select=name,email\nAccept: text/csv\nPrefer: return=representation\n\n'
         '{"id": 10, "name": "a, \\"b\\"\\\\c\\nd", "email": ""}', 201, {}, b'name,email\n"a, ""b""\\c\nd",""'),
    Case("1.7", "text/csv", "GET /odd%20names?select=%22x,y%22,id,%22q%5C%22q%22&id=eq.1\nAccept: text/csv", 200, {},
         b'"x,y",id,"q""q"\n13,1,17'),
    Case("1.7", "text/csv", "GET /rpc/numbers?up_to=2\nAccept: text/csv", 200, {}, b"pgrst_scalar\n1\n2"),
    Case("1.7", "application/geo+json", "GET /accounts\nAccept: application/geo+json", 406, {}, _none("application/geo+json")),
    Case("1.7", "custom handler: a function that returns a media type domain", "GET /rpc/page\nAccept: text/html", 200,
         {"content-type": "text/html"}, b"<h1>Hello</h1>"),
    Case("1.7", "custom handler: a function that returns a media type domain", "POST /rpc/page\nAccept: text/html;q=0.9, text/csv;q=0.1", 200,
         {"content-type": "text/html"}, b"<h1>Hello</h1>"),
    Case("1.7", "custom handler: a function that returns a media type domain", "GET /rpc/dot\nAccept: image/png", 200,
         {"content-type": "image/png", "content-length": "6"}, b"\x89PNG\r\n"),
    Case("1.7", "custom handler: a function that returns a media type domain", "GET /rpc/page\nAccept: image/png", 406, {}, _none("image/png")),
    Case("1.7", "custom handler: a function that returns a media type domain", "GET /rpc/page", 200, {"content-type": JSON}, "<h1>Hello</h1>"),
    Case("1.7", "custom handler: an aggregate over a table", "GET /accounts?order=id&id=lt.3\nAccept: application/vnd.lines", 200,
         {"content-type": "application/vnd.lines"}, b"1=Ann;2=Bob;"),
    Case("1.7", "custom handler: an aggregate over a table",
         'PATCH /accounts?id=eq.1\nAccept: application/vnd.lines\nPrefer: return=representation\n\n{"name": "A"}', 200,
         {"content-type": "application/vnd.lines"}, b"1=A;"),
    Case("1.7", "custom handler: an aggregate over a table", "GET /rpc/all_accounts?id=eq.1\nAccept: application/vnd.lines", 200, {}, b"1=Ann;"),
    Case("1.7", "custom handler: an aggregate over a table", "GET /accounts?select=id\nAccept: application/vnd.lines", 406, {},
         _none("application/vnd.lines")),
    Case("1.7", "custom handler: an aggregate over a table", "GET /items\nAccept: application/vnd.lines", 406),
    Case("1.7", "custom handler: an aggregate over a table", "GET /loose?select=value&order=value\nAccept: application/vnd.any", 200,
         {"content-type": "application/vnd.any"}, b'{"value":1}\n{"value":2}\n'),
    Case("1.7", "custom handler: an aggregate over a table", "GET /pairs?order=a&limit=1\nAccept: text/csv", 200,
         {"content-type": "text/csv; charset=utf-8"}, b"my own\n1\n"),
    Case("1.7", "custom handler: */*", "GET /rpc/anything\nAccept: whatever/type", 200, {"content-type": "image/svg+xml"}, b"<svg/>"),
    Case("1.7", "custom handler: */*", "GET /rpc/anything", 200, {"content-type": "image/svg+xml"}, b"<svg/>"),
    Case("1.7", "vendor types cannot be overridden", f"GET /accounts?select=*&id=eq.1\nAccept: {OBJECT}", 200, {},
         {"id": 1, "email": "ann@x", "name": "Ann"}),
    *(
        Case("1.7", "octet-stream, plain text, XML only by handlers", f"GET /accounts\nAccept: {media}", 406, {}, _none(media))
        for media in ("application/octet-stream", "text/plain", "text/xml")
    ),
    Case("1.7", "nothing acceptable is 406 PGRST107", "GET /accounts\nAccept: a/b, c/d;q=0.5, application/openapi+json", 406, {},
         _none("a/b, application/openapi+json, c/d")),
    Case("1.7", "nothing acceptable is 406 PGRST107", 'POST /accounts\nAccept: a/b\n\n{"id": 10}', 406, {}, _none("a/b"),
         then=("GET /accounts?id=eq.10", [])),
    Case("1.7", "nothing acceptable is 406 PGRST107", "POST /rpc/quiet\nAccept: a/b", 406, {}, _none("a/b")),
    Case("1.7", "vnd.pgrst.plan with options", "GET /accounts?id=eq.1\nAccept: application/vnd.pgrst.plan+json", 200,
         {"content-type": 'application/vnd.pgrst.plan+json; for="application/json"; charset=utf-8'}),
    Case("1.7", "vnd.pgrst.plan with options",
         'GET /accounts?id=eq.1\nAccept: application/vnd.pgrst.plan+json; for="application/vnd.pgrst.object+json;nulls=stripped"; '
         "options=analyze|verbose|settings|buffers|wal|nonsense", 200,
         {"content-type": 'application/vnd.pgrst.plan+json; for="application/vnd.pgrst.object+json;nulls=stripped"; '
                          "options=analyze|verbose|settings|buffers|wal; charset=utf-8"}),
    Case("1.7", "vnd.pgrst.plan with options", 'GET /accounts\nAccept: application/vnd.pgrst.plan; for="a/b"', 406, {},
         _none('application/vnd.pgrst.plan+text; for="a/b"')),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


def test_plans_as_json_and_as_text(contract: Server) -> None:
    """1.7: the plan of a read, a write and a call; a write's plan writes only with analyze."""
    plan = send(contract, "GET /accounts?id=eq.1\nAccept: application/vnd.pgrst.plan+json").json
    assert plan[0]["Plan"]["Total Cost"] > 0
    text = send(contract, "GET /accounts?id=eq.1\nAccept: application/vnd.pgrst.plan+text").body.decode()
    assert text.startswith("Aggregate")
    assert text.count("\n") > 1
    assert "cost=" in text
    answer = send(contract, 'POST /accounts\nAccept: application/vnd.pgrst.plan+text\n\n{"id": 90}')
    assert (answer.status, b"Insert" in answer.body) == (200, True)
    assert send(contract, "GET /accounts?id=eq.90").json == []
    assert b"CTE Scan" in send(contract, "GET /rpc/wide_accounts?low=1\nAccept: application/vnd.pgrst.plan").body


def test_plans_are_off_by_default(server: Server) -> None:
    """1.7 vnd.pgrst.plan switched off is 406."""
    server.sql("create table if not exists planless (id int)")
    answer = send(server, "GET /planless\nAccept: application/vnd.pgrst.plan+json")
    assert (answer.status, answer.json["code"]) == (406, "PGRST107")
    assert answer.json["message"] == (
        'None of these media types are available: application/vnd.pgrst.plan+json; for="application/json"'
    )  # fmt: skip

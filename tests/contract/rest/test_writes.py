"""Section 1.5: inserting, changing, replacing and deleting rows."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check, send
from tests.support.server import Server

JSON = "application/json; charset=utf-8"
FULL = "Prefer: return=representation"


def _refused(code: str, message: str, details: str | None = None, hint: str | None = None) -> dict[str, str | None]:
    return {"code": code, "message": message, "details": details, "hint": hint}


UNKNOWN_COLUMN = _refused("PGRST204", "Could not find the 'nope' column of 'accounts' in the schema cache")
KEYS = _refused("PGRST102", "All object keys must match")
BAD_JSON = _refused("PGRST102", "Empty or invalid json")

INSERTS = (
    Case("1.5", "POST: 201", 'POST /accounts\n\n{"id": 10, "name": "Di"}', 201,
         {"content-range": "*/*", "content-length": "0", "content-type": None, "location": None, "preference-applied": None}, b"",
         then=("GET /accounts?id=eq.10", [{"id": 10, "email": None, "name": "Di"}])),
    Case("1.5", "POST: 201", f'POST /accounts\n{FULL}\n\n{{"id": 10, "name": "Di"}}', 201,
         {"content-type": JSON, "preference-applied": "return=representation"}, [{"id": 10, "email": None, "name": "Di"}]),
    Case("1.5", "POST: 201", 'POST /accounts\nPrefer: return=minimal\n\n{"id": 10}', 201, {"preference-applied": "return=minimal"}, b""),
    Case("1.5", "POST: 201", f"POST /items?select=name,price,note,twice\n{FULL}\n\n" '{"name": "pin"}', 201, {},
         [{"name": "pin", "price": 1.5, "note": "none", "twice": 3.0}]),
    Case("1.5", "POST: an empty array is 201", f"POST /accounts\n{FULL}\n\n[]", 201, {"content-range": "*/*"}, []),
    Case("1.5", "POST: an empty array is 201", "POST /accounts\n\n[]", 201, {}, b""),
    Case("1.5", "POST: Content-Range */* or */n", 'POST /accounts\nPrefer: count=exact\n\n[{"id": 10}, {"id": 11}]', 201,
         {"content-range": "*/2", "preference-applied": "count=exact"}, b""),
    Case("1.5", "POST: Location for one row with return=headers-only", 'POST /accounts\nPrefer: return=headers-only\n\n{"id": 10}', 201,
         {"location": "/accounts?id=eq.10", "preference-applied": "return=headers-only"}, b""),
    Case("1.5", "POST: Location for one row with return=headers-only",
         'POST /pairs\nPrefer: return=headers-only\n\n{"a": 5, "b": "q&=ü x"}', 201, {"location": "/pairs?a=eq.5&b=eq.q%26%3D%C3%BC%20x"}, b""),
    Case("1.5", "POST: Location for one row with return=headers-only",
         'POST /accounts\nPrefer: return=headers-only\n\n[{"id": 10}, {"id": 11}]', 201, {"location": None}, b""),
    Case("1.5", "POST: Location for one row with return=headers-only", 'POST /loose\nPrefer: return=headers-only\n\n{"name": "c"}', 201,
         {"location": None}, b""),
    Case("1.5", "body: JSON object and array", f'POST /accounts?select=id\n{FULL}\n\n[{{"id": 10}}, {{"id": 11}}]', 201, {},
         [{"id": 10}, {"id": 11}]),
    Case("1.5", "body: JSON object and array", f"POST /defaults?select=id,word\n{FULL}\n\n{{}}", 201, {}, [{"id": 1, "word": "given"}]),
    Case("1.5", "body: JSON object and array", f"POST /defaults?select=id\n{FULL}\n\n[{{}}, {{}}]", 201, {}, [{"id": 1}, {"id": 2}]),
    Case("1.5", "body: JSON object and array",
         f"POST /items?select=tags,meta,feeling,span,place\n{FULL}\n\n"
         '{"name": "x", "tags": ["a", "b,c"], "meta": {"k": [1]}, "feeling": "wild", "span": "[1,3)", "place": {"width": 1, "height": 2}}',
         201, {}, [{"tags": ["a", "b,c"], "meta": {"k": [1]}, "feeling": "wild", "span": "[1,3)", "place": {"width": 1, "height": 2}}]),
    Case("1.5", "body: JSON when Content-Type is missing", 'POST /accounts\nContent-Type:\n\n{"id": 10}', 201, {}, b""),
    Case("1.5", "body: CSV with a header row, NULL is null",
         f'POST /accounts\nContent-Type: text/csv\n{FULL}\n\nid,email,name\n10,NULL,"Smith, ""J"""\n11,d@x,\n', 201, {},
         [{"id": 10, "email": None, "name": 'Smith, "J"'}, {"id": 11, "email": "d@x", "name": ""}]),
    Case("1.5", "body: CSV with a header row, NULL is null",
         f'POST /items?select=tags,meta\nContent-Type: text/csv\n{FULL}\n\nname,tags,meta\nx,"{{a,b}}","{{""k"": 1}}"\n', 201, {},
         [{"tags": ["a", "b"], "meta": '{"k": 1}'}]),
    Case("1.5", "body: CSV with a header row, NULL is null", "POST /accounts\nContent-Type: text/csv\n\nid,name\n", 201, {}, b""),
    Case("1.5", "body: form", f"POST /accounts\nContent-Type: application/x-www-form-urlencoded\n{FULL}\n\nid=10&name=a+b%26c", 201, {},
         [{"id": 10, "email": None, "name": "a b&c"}]),
    Case("1.5", "body: another type is 400 PGRST102", "POST /accounts\nContent-Type: application/xml\n\n<x/>", 400, {},
         _refused("PGRST102", "Content-Type not acceptable: application/xml")),
    Case("1.5", "body: objects must share their keys, 400 PGRST102", 'POST /accounts\n\n[{"id": 10}, {"id": 11, "name": "x"}]', 400, {}, KEYS,
         then=("GET /accounts?id=gte.10", [])),
    Case("1.5", "body: objects must share their keys, 400 PGRST102", 'POST /accounts\n\n[{"id": 10}, 5]', 400, {}, KEYS),
    Case("1.5", "body: bad JSON is 400 PGRST102", 'POST /accounts\n\n{"id": 10', 400, {}, BAD_JSON),
    Case("1.5", "body: bad JSON is 400 PGRST102", "POST /accounts", 400, {}, BAD_JSON),
    Case("1.5", "body: bad JSON is 400 PGRST102", "POST /accounts\n\n5", 400, {}, BAD_JSON),
    Case("1.5", "body: ragged CSV is 400 PGRST102", "POST /accounts\nContent-Type: text/csv\n\nid,name\n10\n", 400, {},
         _refused("PGRST102", "All lines must have same number of fields")),
    Case("1.5", "body: ragged CSV is 400 PGRST102", 'POST /accounts\nContent-Type: text/csv\n\nid,name\n10,a"b\n', 400, {},
         _refused("PGRST102", "Invalid CSV: a quote stands where none may"), then=("GET /accounts?id=eq.10", [])),
    Case("1.5", "body: ragged CSV is 400 PGRST102", 'POST /accounts\nContent-Type: text/csv\n\nid,name\n10,"a"b\n', 400),
    Case("1.5", "body: ragged CSV is 400 PGRST102", 'POST /accounts\nContent-Type: text/csv\n\nid,name\n10,"a\n', 400),
    Case("1.5", "body: ragged CSV is 400 PGRST102", "POST /accounts\nContent-Type: text/csv", 400),
    Case("1.5", "columns: limits the keys used", f'POST /accounts?columns=id,name\n{FULL}\n\n[{{"id": 10, "x": 1}}, {{"id": 11, "name": "y"}}]',
         201, {}, [{"id": 10, "email": None, "name": None}, {"id": 11, "email": None, "name": "y"}]),
    Case("1.5", "columns: an unknown one is 400 PGRST204", 'POST /accounts?columns=id,nope\n\n{"id": 10}', 400, {}, UNKNOWN_COLUMN),
    Case("1.5", "columns: an unknown one is 400 PGRST204", 'POST /accounts\n\n{"id": 10, "nope": 1}', 400, {}, UNKNOWN_COLUMN),
    Case("1.5", "columns: an unknown one is 400 PGRST204", 'PATCH /accounts?id=eq.1\n\n{"nope": 1}', 400, {}, UNKNOWN_COLUMN),
    Case("1.5", "missing keys are null, or defaults with missing=default",
         'POST /items?columns=name,note,price&select=name,note,price\nPrefer: missing=default, return=representation\n\n'
         '[{"name": "x"}, {"name": "y", "note": null, "price": 4}]', 201,
         {"preference-applied": "missing=default, return=representation"},
         [{"name": "x", "note": "none", "price": 1.5}, {"name": "y", "note": None, "price": 4}]),
    Case("1.5", "missing keys are null, or defaults with missing=default",
         f'POST /items?columns=name,note&select=name,note\n{FULL}\n\n[{{"name": "x"}}, {{"name": "y", "note": "n"}}]', 201, {},
         [{"name": "x", "note": None}, {"name": "y", "note": "n"}]),
    Case("1.5", "missing keys are null, or defaults with missing=default",
         'POST /defaults?columns=id,word&select=id,word\nPrefer: missing=default, return=representation\n\n[{"id": 50}, {"word": "w"}]', 201,
         {}, [{"id": 50, "word": "given"}, {"id": 1, "word": "w"}]),
    Case("1.5", "missing keys are null, or defaults with missing=default",
         "PATCH /items?id=eq.1&columns=note,price&select=note,price\nPrefer: missing=default, return=representation\n\n" '{"price": 9}', 200,
         {"preference-applied": "missing=default, return=representation"}, [{"note": "none", "price": 9}]),
    Case("1.5", "select with representation may embed",
         f'POST /parts?select=label,items(name)\n{FULL}\n\n{{"id": 10, "item_id": 2, "label": "tape"}}', 201, {},
         [{"label": "tape", "items": {"name": "book"}}]),
    Case("1.5", "select with representation may embed",
         f'PATCH /items?id=eq.1&select=name,parts(label)&parts.order=id\n{FULL}\n\n{{"name": "quill"}}', 200, {},
         [{"name": "quill", "parts": [{"label": "cap"}, {"label": "ink"}]}]),
)  # fmt: skip

UPSERTS = (
    Case("1.5", "upsert: merge-duplicates",
         'POST /accounts?select=id,name\nPrefer: resolution=merge-duplicates, return=representation\n\n'
         '[{"id": 1, "name": "Anna"}, {"id": 10, "name": "Di"}]', 201,
         {"preference-applied": "resolution=merge-duplicates, return=representation"}, [{"id": 1, "name": "Anna"}, {"id": 10, "name": "Di"}],
         then=("GET /accounts?select=email,name&id=eq.1", [{"email": "ann@x", "name": "Anna"}])),
    Case("1.5", "upsert: 200 when nothing was inserted", 'POST /accounts\nPrefer: resolution=merge-duplicates\n\n[{"id": 1, "name": "A"}]', 200,
         {"preference-applied": "resolution=merge-duplicates", "content-range": "*/*"}, b""),
    Case("1.5", "upsert: 200 when nothing was inserted",
         'POST /pairs\nPrefer: resolution=merge-duplicates\n\n[{"a": 1, "b": "x", "c": "new"}, {"a": 1, "b": "y", "c": "new"}]', 200, {}, b"",
         then=("GET /pairs?select=c&a=eq.1", [{"c": "new"}, {"c": "new"}])),
    Case("1.5", "upsert: ignore-duplicates",
         'POST /accounts?select=id\nPrefer: resolution=ignore-duplicates, return=representation\n\n[{"id": 1, "name": "A"}, {"id": 10, "name": "B"}]',
         201, {"preference-applied": "resolution=ignore-duplicates, return=representation"}, [{"id": 10}],
         then=("GET /accounts?select=name&id=eq.1", [{"name": "Ann"}])),
    Case("1.5", "upsert: on_conflict",
         'POST /accounts?on_conflict=email&select=id,name\nPrefer: resolution=merge-duplicates, return=representation\n\n'
         '{"id": 10, "email": "ann@x", "name": "Anna"}', 200, {}, [{"id": 10, "name": "Anna"}]),
    Case("1.5", "upsert: on_conflict", 'POST /accounts?on_conflict=name\nPrefer: resolution=merge-duplicates\n\n{"id": 10, "name": "A"}', 400, {},
         _refused("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")),
    Case("1.5", "upsert: on_conflict", 'POST /accounts?on_conflict=nope\nPrefer: resolution=merge-duplicates\n\n{"id": 10}', 400),
    Case("1.5", "upsert: without a key it is an insert and the preference is not echoed",
         'POST /loose\nPrefer: resolution=merge-duplicates, return=representation\n\n{"name": "a", "value": 9}', 201,
         {"preference-applied": "return=representation"}, [{"name": "a", "value": 9}]),
    Case("1.5", "upsert: merge-duplicates", 'POST /cheap?on_conflict=id\nPrefer: resolution=merge-duplicates\n\n{"id": 1, "name": "v", "price": 3}', 200,
         {}, b"", then=("GET /items?select=name&id=eq.1", [{"name": "v"}])),
)  # fmt: skip

CHANGES = (
    Case("1.5", "PATCH: 204, 200 with representation", 'PATCH /accounts?id=eq.1\n\n{"name": "A"}', 204,
         {"content-type": None, "content-range": "0-0/*"}, b"", then=("GET /accounts?select=name&id=eq.1", [{"name": "A"}])),
    Case("1.5", "PATCH: 204, 200 with representation", f'PATCH /accounts?id=eq.1\n{FULL}\n\n{{"name": "A"}}', 200,
         {"content-type": JSON, "preference-applied": "return=representation"}, [{"id": 1, "email": "ann@x", "name": "A"}]),
    Case("1.5", "PATCH: Content-Range", 'PATCH /accounts?id=lte.2\nPrefer: count=exact\n\n{"name": "A"}', 204, {"content-range": "0-1/2"}, b""),
    Case("1.5", "PATCH: Content-Range", 'PATCH /accounts?id=eq.99\n\n{"name": "A"}', 204, {"content-range": "*/*"}, b""),
    Case("1.5", "PATCH: Content-Range", f'PATCH /accounts?id=eq.99\n{FULL}\n\n{{"name": "A"}}', 200, {"content-range": "*/*"}, []),
    Case("1.5", "PATCH: an empty body changes nothing", "PATCH /accounts?id=eq.1\n\n{}", 204, {"content-range": "*/*"}, b"",
         then=("GET /accounts?select=name&id=eq.1", [{"name": "Ann"}])),
    Case("1.5", "PATCH: an empty body changes nothing", f"PATCH /accounts?id=eq.1\n{FULL}\n\n[]", 200, {"content-range": "*/*"}, []),
    Case("1.5", "PATCH: an empty body changes nothing", f"PATCH /accounts?id=eq.1&select=id\n{FULL}\n\n{{}}", 200, {}, []),
    Case("1.5", "full-table PATCH and DELETE", 'PATCH /accounts\nPrefer: count=exact\n\n{"name": "A"}', 204, {"content-range": "0-2/3"}, b""),
    Case("1.5", "full-table PATCH and DELETE", "DELETE /loose\nPrefer: count=exact", 204, {"content-range": "*/2"}, b"", then=("GET /loose", [])),
    Case("1.5", "DELETE: 204, 200 with representation", "DELETE /accounts?id=eq.1", 204, {"content-type": None, "content-range": "*/*"}, b"",
         then=("GET /accounts?select=id", [{"id": 2}, {"id": 3}])),
    Case("1.5", "DELETE: 204, 200 with representation", f"DELETE /accounts?id=eq.1&select=name\n{FULL}", 200, {"content-type": JSON},
         [{"name": "Ann"}]),
    Case("1.5", "DELETE: Content-Range", "DELETE /accounts?id=gt.1\nPrefer: count=exact", 204, {"content-range": "*/2"}, b""),
    Case("1.5", "PUT: 204; representation 200 or 201", 'PUT /accounts?id=eq.1\n\n{"id": 1, "name": "P"}', 204,
         {"content-range": None, "content-type": None}, b"", then=("GET /accounts?select=name&id=eq.1", [{"name": "P"}])),
    Case("1.5", "PUT: 204; representation 200 or 201", f'PUT /accounts?id=eq.1\n{FULL}\n\n{{"id": 1, "name": "P"}}', 200,
         {"preference-applied": "return=representation"}, [{"id": 1, "email": "ann@x", "name": "P"}]),
    Case("1.5", "PUT: 204; representation 200 or 201", f'PUT /accounts?id=eq.9&select=id\n{FULL}\n\n{{"id": 9}}', 201, {}, [{"id": 9}]),
    Case("1.5", "PUT: 204; representation 200 or 201", f'PUT /pairs?a=eq.7&b=eq.z\n{FULL}\n\n[{{"a": 7, "b": "z", "c": "c"}}]', 201, {},
         [{"a": 7, "b": "z", "c": "c"}]),
    Case("1.5", "PUT: 204; representation 200 or 201", 'PUT /accounts?id=eq.01\n\n{"id": 1, "name": "same key, written otherwise"}', 204, {}, b""),
    *(
        Case("1.5", "PUT: filters must be the key, 405 PGRST105", f'PUT /{path}\n\n{{"id": 1, "a": 1}}', 405, {},
             _refused("PGRST105", "Filters must include all and only primary key columns with 'eq' operators"))
        for path in ("accounts", "accounts?name=eq.x", "accounts?id=eq.1&name=eq.x", "accounts?id=gt.1", "accounts?id=not.eq.1",
                     "accounts?or=(id.eq.1)", "pairs?a=eq.1", "loose?name=eq.a")
    ),
    Case("1.5", "PUT: the body must match the key, 400 PGRST115", 'PUT /accounts?id=eq.1\n\n{"id": 2, "name": "x"}', 400, {},
         _refused("PGRST115", "Payload values do not match URL in primary key column(s)"),
         then=("GET /accounts?select=name&id=eq.2", [{"name": "Bob"}])),
    Case("1.5", "PUT: the body must match the key, 400 PGRST115", 'PUT /accounts?id=eq.1\n\n{"name": "x"}', 400),
    Case("1.5", "PUT: the body must match the key, 400 PGRST115", "PUT /accounts?id=eq.1\n\n[]", 400),
    Case("1.5", "PUT: limit or offset is 400 PGRST114", 'PUT /accounts?id=eq.1&limit=1\n\n{"id": 1}', 400, {},
         _refused("PGRST114", "limit/offset querystring parameters are not allowed for PUT")),
    Case("1.5", "PUT: limit or offset is 400 PGRST114", 'PUT /accounts?id=eq.1&offset=1\n\n{"id": 1}', 400),
)  # fmt: skip

VIEWS_AND_KINDS = (
    Case("1.5", "POST: 201", 'POST /cheap?select=name\nPrefer: return=representation\n\n{"id": 50, "name": "through a view"}', 201, {},
         [{"name": "through a view"}]),
    Case("1.5", "POST: 201", 'POST /desk?select=id,shout\nPrefer: return=representation\n\n{"id": 50, "shout": "Hey!"}', 201, {},
         [{"id": 50, "shout": "Hey!"}], then=("GET /accounts?select=name&id=eq.50", [{"name": "Hey"}])),
    Case("1.5", "PATCH: 204, 200 with representation", 'PATCH /desk?id=eq.1\n\n{"shout": "Ho!"}', 204, {"content-range": "0-0/*"}, b"",
         then=("GET /accounts?select=name&id=eq.1", [{"name": "Ho"}])),
    Case("1.5", "DELETE: 204, 200 with representation", "DELETE /desk?id=eq.1", 204, {}, b"", then=("GET /accounts?id=eq.1", [])),
    Case("1.5", "POST: 201", 'POST /keyed_always\n\n{"id": 5, "name": "x"}', 400, {},
         _refused("428C9", 'cannot insert a non-DEFAULT value into column "id"', None, "Use OVERRIDING SYSTEM VALUE to override.")),
    Case("1.5", "POST: 201", 'POST /keyed_always?select=id\nPrefer: return=representation\n\n{"name": "x"}', 201, {}, [{"id": 1}]),
    Case("1.5", "POST: 201", 'POST /items\n\n{"name": "x", "twice": 1}', 400),
    Case("1.11", "domain representation: from JSON", 'POST /items?select=shown\nPrefer: return=representation\n\n{"name": "x", "shown": "#00ff00"}',
         201, {}, [{"shown": "#00ff00"}]),
    Case("1.11", "domain representation: from JSON", 'PATCH /items?id=eq.3&select=shown\nPrefer: return=representation\n\n{"shown": "#000001"}',
         200, {}, [{"shown": "#000001"}]),
    Case("1.11", "domain representation: to JSON", "GET /items?select=id,shown&order=id", 200, {},
         [{"id": 1, "shown": "#0000ff"}, {"id": 2, "shown": "#ff0000"}, {"id": 3, "shown": None}]),
    Case("1.11", "domain representation: to JSON", "GET /items?id=eq.1&select=*", 200, {},
         [{"id": 1, "name": "pen", "price": 2, "note": "none", "tags": ["blue", "thin"], "meta": {"a": 1}, "feeling": None, "span": None,
           "place": None, "shown": "#0000ff", "twice": 4}]),
    Case("1.11", "domain representation: from text in filters", "GET /items?select=id&shown=eq.%23ff0000", 200, {}, [{"id": 2}]),
    Case("1.11", "domain representation: from text in filters", "GET /items?select=id&shown=in.(%23ff0000,0000ff)&order=id", 200, {},
         [{"id": 1}, {"id": 2}]),
)  # fmt: skip


@pytest.mark.parametrize("case", [*INSERTS, *UPSERTS, *CHANGES, *VIEWS_AND_KINDS], ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


def test_rows_whose_keys_differ_are_refused_fast(contract: Server) -> None:
    """1.5: ten thousand rows, the last of another shape: one 400 and nothing written."""
    rows = ",".join(f'{{"id": {n}}}' for n in range(1000, 11_000))
    answer = send(contract, f'POST /accounts\n\n[{rows},{{"name": "x"}}]')
    assert (answer.status, answer.json) == (400, KEYS)
    assert send(contract, "GET /accounts?id=gte.1000").json == []


def test_a_bulk_of_rows_is_one_statement(contract: Server) -> None:
    """1.5: a thousand rows are written whole; one that fails takes all with it."""
    rows = ",".join(f'{{"id": {n}, "label": "l"}}' for n in range(1000, 2000))
    answer = send(contract, f"POST /parts\nPrefer: count=exact\n\n[{rows}]")
    assert (answer.status, answer.headers["content-range"]) == (201, "*/1000")
    answer = send(contract, f"POST /parts\n\n[{rows.replace('1999', '3000').replace('1000', '4000')}]")
    assert (answer.status, answer.json["code"]) == (409, "23505")
    assert send(contract, "GET /parts?id=gte.3000").json == []
    send(contract, "DELETE /parts?id=gte.1000")

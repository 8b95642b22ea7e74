"""Section 1.4: order, limit, ranges, count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.case import ANY, Case, check, install
from tests.contract.conftest import SETTINGS
from tests.support.server import Server, start_server


def order(sentence: str, query: str, *ids: int) -> Case:
    """The films in this order."""
    return Case("1.4", sentence, f"GET /films?select=id&{query}", 200, {}, [{"id": each} for each in ids])


def out_of_range(sentence: str, request: str, details: str, **headers: str) -> Case:
    """416 in PostgREST's words."""
    body = {"code": "PGRST103", "message": "Requested range not satisfiable", "details": details, "hint": None}
    return Case("1.4", sentence, request, 416, {name.replace("_", "-"): value for name, value in headers.items()}, body)


REVERSED = "The lower boundary must be lower than or equal to the upper boundary in the Range header."

CASES = (
    order("order: asc, desc, several terms", "order=year.asc&year=not.is.null", 1, 3, 2),
    order("order: asc, desc, several terms", "order=year.desc&year=not.is.null", 2, 3, 1),
    order("order: asc, desc, several terms", "order=director_id.desc,id.desc&director_id=not.is.null", 3, 2, 1),
    order("order: nullsfirst, nullslast", "order=year.asc.nullsfirst", 4, 1, 3, 2),
    order("order: nullsfirst, nullslast", "order=year.desc.nullslast", 2, 3, 1, 4),
    order("order: nullsfirst, nullslast", "order=year.nullsfirst", 4, 1, 3, 2),
    order("order: by a JSON path", "order=data->mood->>tone.desc.nullslast", 3, 2, 1, 4),
    order("order: by a JSON path", "order=data->stars->0.asc.nullslast,id", 2, 1, 3, 4),
    Case("1.4", "order: by a to-one embed", "GET /films?select=id,directors(id)&order=directors(name).asc.nullslast,id.desc", 200, {},
         [{"id": 3, "directors": {"id": 2}}, {"id": 2, "directors": {"id": 1}}, {"id": 1, "directors": {"id": 1}}, {"id": 4, "directors": None}]),
    Case("1.4", "order: by a to-one embed", "GET /films?select=id,directors()&order=directors(name).desc.nullsfirst,directors(id),id", 200, {},
         [{"id": 4}, {"id": 1}, {"id": 2}, {"id": 3}]),
    Case("1.4", "order: by a to-one embed", "GET /reviews?select=id,film:films(title)&order=film(title).desc,id&limit=2", 200, {},
         [{"id": 3, "film": {"title": "Vagabond"}}, {"id": 4, "film": {"title": "Jeanne"}}]),
    Case("1.4", "order: by a to-many embed is 400 PGRST118", "GET /directors?select=id,films(id)&order=films(id)", 400, {},
         {"code": "PGRST118", "message": "A related order on 'films' is not possible",
          "details": "'directors' and 'films' do not form a many-to-one or one-to-one relationship", "hint": None}),
    Case("1.4", "order: by a to-many embed is 400 PGRST118", "GET /directors?select=id&order=films(id)", 400, {},
         {"code": "PGRST108", "message": "'films' is not an embedded resource in this request", "details": None,
          "hint": "Verify that 'films' is included in the 'select' query parameter."}),
    Case("1.4", "order: malformed is 400 PGRST100", "GET /films?order=id.up", 400, {},
         {"code": "PGRST100", "message": '"failed to parse order (id.up)" (line 1, column 3)',
          "details": 'unexpected "." expecting asc, desc, nullsfirst or nullslast', "hint": None}),
    Case("1.4", "order: malformed is 400 PGRST100", "GET /films?order=id.asc.desc", 400, {}, ANY),
    Case("1.4", "order: malformed is 400 PGRST100", "GET /films?order=id.nullslast.asc", 400, {}, ANY),
    order("limit and offset", "order=id&limit=2", 1, 2),
    order("limit and offset", "order=id&limit=2&offset=1", 2, 3),
    order("limit and offset", "order=id&offset=3", 4),
    Case("1.4", "limit and offset of an embed", "GET /directors?select=id,films(id)&films.order=id.desc&films.limit=1&id=eq.1", 200, {},
         [{"id": 1, "films": [{"id": 2}]}]),
    Case("1.4", "limit and offset of an embed", "GET /directors?select=id,films(id)&films.order=id.desc&films.limit=1&films.offset=1&id=eq.1",
         200, {}, [{"id": 1, "films": [{"id": 1}]}]),
    Case("1.4", "Range on GET", "GET /films?select=id&order=id\nRange-Unit: items\nRange: 1-2", 200, {"content-range": "1-2/*"},
         [{"id": 2}, {"id": 3}]),
    Case("1.4", "Range with an open end", "GET /films?select=id&order=id\nRange: 2-", 200, {"content-range": "2-3/*"}, [{"id": 3}, {"id": 4}]),
    Case("1.4", "Range is ignored on other verbs", "HEAD /films?select=id\nRange: 1-2", 200, {"content-range": "0-3/*"}, b""),
    Case("1.4", "Range is ignored on other verbs",
         'POST /rpc/films_after?select=id&order=id\nRange: 1-1\n\n{"y": 1900}', 200, {}, [{"id": 1}, {"id": 2}, {"id": 3}]),
    Case("1.4", "Range and limit intersect", "GET /films?select=id&order=id&limit=2&offset=1\nRange: 2-9", 200, {"content-range": "2-2/*"},
         [{"id": 3}]),
    Case("1.4", "Range and limit intersect", "GET /films?select=id&order=id&limit=3\nRange: 0-0", 200, {"content-range": "0-0/*"}, [{"id": 1}]),
    out_of_range("Range and limit intersect", "GET /films?limit=1\nRange: 2-3", "The Range header has no row in common with limit and offset."),
    Case("1.4", "limit=0", "GET /films?limit=0", 200, {"content-range": "*/*"}, []),
    Case("1.4", "limit=0", "GET /films?limit=0\nPrefer: count=exact", 206, {"content-range": "*/4"}, []),
    out_of_range("a negative limit is 416 PGRST103", "GET /films?limit=-1", "Limit should be greater than or equal to zero."),
    out_of_range("a Range whose end is before its start is 416 PGRST103", "GET /films\nRange: 5-2", REVERSED),
    Case("1.4", "count=exact", "GET /films?select=id&year=gt.1970&limit=1&order=id\nPrefer: count=exact", 206,
         {"content-range": "0-0/2", "preference-applied": "count=exact"}, [{"id": 2}]),
    Case("1.4", "count=exact", "GET /directors?select=id,films!inner(id)&films.year=gt.1980&limit=1\nPrefer: count=exact", 200,
         {"content-range": "0-0/1"}, ANY),
    Case("1.4", "count=planned", "GET /pages?select=id&limit=1\nPrefer: count=planned", 206,
         {"content-range": "0-0/100", "preference-applied": "count=planned"}, [{"id": 1}]),
    Case("1.4", "count=estimated", "GET /films?select=id&limit=1\nPrefer: count=estimated", 206,
         {"content-range": "0-0/4", "preference-applied": "count=estimated"}, [{"id": 1}]),
    Case("1.4", "Content-Range: first-last/total or *", "GET /films?select=id", 200, {"content-range": "0-3/*"}, ANY),
    Case("1.4", "Content-Range: first-last/total or *", "GET /films?select=id\nPrefer: count=exact", 200, {"content-range": "0-3/4"}, ANY),
    Case("1.4", "Content-Range: */total without rows", "GET /films?id=eq.9\nPrefer: count=exact", 200, {"content-range": "*/0"}, []),
    Case("1.4", "Content-Range: */total without rows", "GET /films?id=eq.9", 200, {"content-range": "*/*"}, []),
    Case("1.4", "206 when the total is greater than the rows", "GET /films?select=id&order=id\nRange: 0-1\nPrefer: count=exact", 206,
         {"content-range": "0-1/4"}, [{"id": 1}, {"id": 2}]),
    out_of_range("416 PGRST103 when the offset is beyond the total", "GET /films?offset=9\nPrefer: count=exact",
                 "An offset of 9 was requested, but there are only 4 rows.", content_range="*/4"),
    Case("1.4", "200 otherwise", "GET /films?select=id&offset=9", 200, {"content-range": "*/*"}, []),
    Case("1.4", "200 otherwise", "GET /films?offset=4\nPrefer: count=exact", 206, {"content-range": "*/4"}, []),
    Case("1.4", "HEAD: the same headers, no body", "HEAD /films?select=id&limit=1\nPrefer: count=exact", 206,
         {"content-range": "0-0/4", "content-type": "application/json; charset=utf-8", "content-location": "/films?limit=1&select=id"}, b""),
    Case("1.4", "Content-Location: parameters sorted", "GET /films?title=eq.Cleo&select=id&id=eq.1", 200,
         {"content-location": "/films?id=eq.1&select=id&title=eq.Cleo"}, ANY),
    Case("1.4", "Content-Location: parameters sorted", "GET /films?select=id,title&limit=1", 200,
         {"content-location": "/films?limit=1&select=id%2Ctitle"}, ANY),
    Case("1.4", "Content-Location: parameters sorted", "GET /odd%20names?my+column=eq.1", 200,
         {"content-location": "/odd%20names?my%20column=eq.1"}, ANY),
    Case("1.4", "Content-Location: parameters sorted", "GET /films", 200, {"content-location": "/films"}, ANY),
    Case("1.4", "Vary: Accept, Prefer, Range", "GET /films", 200, {"vary": "Accept, Prefer, Range…"}, ANY),
    Case("1.4", "Content-Length", "GET /films?id=eq.9", 200, {"content-length": "2"}, []),
)  # fmt: skip

CAPPED = (
    Case("1.4", "reads are capped by max rows", "GET /films?select=id&order=id", 200, {"content-range": "0-1/*"}, [{"id": 1}, {"id": 2}]),
    Case("1.4", "reads are capped by max rows", "GET /films?select=id&order=id&limit=3\nPrefer: count=exact", 206, {"content-range": "0-1/4"},
         [{"id": 1}, {"id": 2}]),
    Case("1.4", "reads are capped by max rows", "GET /films?select=id&order=id\nRange: 1-3", 200, {"content-range": "1-2/*"}, [{"id": 2}, {"id": 3}]),
    Case("1.4", "count=estimated", "GET /pages?select=id&order=id&limit=1\nPrefer: count=estimated", 206, {"content-range": "0-0/100"}, [{"id": 1}]),
    Case("1.4", "count=estimated", "GET /posters?select=film_id&order=film_id&limit=1\nPrefer: count=estimated", 206, {"content-range": "0-0/2"},
         [{"film_id": 1}]),
)  # fmt: skip


@pytest.fixture(scope="module")
def capped() -> Iterator[Server]:
    """A server that answers with two rows at most."""
    running = start_server(env={**SETTINGS, "FLUXBASE_DATA_MAX_ROWS": "2"})
    try:
        install(running)
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


@pytest.mark.parametrize("case", CAPPED, ids=str)
def test_capped(capped: Server, case: Case) -> None:
    """The literal request has the literal answer where two rows are the most."""
    check(capped, case)

"""Section 1.8: calling functions, and what a resource allows."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check, send
from tests.support.server import Server

JSON = "application/json; charset=utf-8"
FORM = "Content-Type: application/x-www-form-urlencoded"


def _absent(message: str, details: str, hint: str | None = None) -> dict[str, str | None]:
    return {
        "code": "PGRST202", "message": f"Could not find the function public.{message} in the schema cache", "hint": hint,
        "details": f"Searched for the function public.{details}, but no matches were found in the schema cache.",
    }  # fmt: skip


OR_JSON = " or with a single unnamed json/jsonb parameter"
ARGUMENTS = (
    Case("1.8", "GET: arguments in the query", "GET /rpc/add?a=1&b=2", 200, {"content-type": JSON, "content-range": "0-0/*"}, 3),
    Case("1.8", "GET: arguments in the query", "GET /rpc/echo_json?value={%22a%22:%20[1]}", 200, {}, {"a": [1]}),
    Case("1.8", "POST: a JSON object", 'POST /rpc/add\n\n{"a": 1, "b": 2}', 200, {"content-type": JSON}, 3),
    Case("1.8", "POST: a JSON object", 'POST /rpc/echo_json\n\n{"value": {"a": [1, null]}}', 200, {}, {"a": [1, None]}),
    Case("1.8", "POST: a JSON object", "POST /rpc/one_out", 200, {}, {"answer": 42}),
    Case("1.8", "POST: a JSON object", 'POST /rpc/add\n\n[{"a": 1, "b": 2}, {"a": 5, "b": 5}]', 200, {}, 3),
    Case("1.8", "POST: a JSON object", 'POST /rpc/add?columns=a\n\n{"a": 1, "x": 2}', 200, {}, 11),
    Case("1.8", "POST: a form", f"POST /rpc/add\n{FORM}\n\na=1&b=2", 200, {}, 3),
    Case("1.8", "POST: a form", f"POST /rpc/echo_json\n{FORM}\n\nvalue=%7B%22a%22%3A1%7D", 200, {}, {"a": 1}),
    Case("1.8", "POST: a form", f"POST /rpc/joined\n{FORM}\n\nwords=a&words=b+c", 200, {}, "a+b c"),
    Case("1.8", "variadic: a repeated key", "GET /rpc/joined?words=a&words=b,c&words=%22", 200, {}, 'a+b,c+"'),
    Case("1.8", "variadic: a repeated key", "GET /rpc/joined?words={a}", 200, {}, "{a}"),
    Case("1.8", "variadic: a repeated key", "GET /rpc/add?a=1&a=2", 200, {}, 12),
    Case("1.8", "variadic: a JSON array", 'POST /rpc/joined\n\n{"words": ["a", "b,c"]}', 200, {}, "a+b,c"),
    Case("1.8", "arguments with defaults may be left out", "GET /rpc/add?a=1", 200, {}, 11),
    Case("1.8", "array arguments by GET are {1,2}", "GET /rpc/summed?list={1,2,3}", 200, {}, 6),
    Case("1.8", "array arguments by GET are {1,2}", 'POST /rpc/summed\n\n{"list": [1, 2]}', 200, {}, 3),
    Case("1.8", "one unnamed json argument takes the body", 'POST /rpc/whole\n\n{"a": {"b": [1]}}', 200, {}, {"got": {"a": {"b": [1]}}}),
    Case("1.8", "one unnamed json argument takes the body", "POST /rpc/whole\n\n[1, 2]", 200, {}, {"got": [1, 2]}),
    Case("1.8", "one unnamed json argument takes the body", 'POST /rpc/whole_b\n\n"text"', 200, {}, {"got": "text"}),
    Case("1.8", "one unnamed json argument takes the body", "GET /rpc/whole", 404, {},
         _absent("whole without parameters", "whole without parameters", "Perhaps you meant to call the function public.whole()")),
    Case("1.8", "one unnamed text, xml or bytea argument takes the raw body", "POST /rpc/shout\nContent-Type: text/plain\n\nplain; {words}", 200, {},
         "PLAIN; {WORDS}"),
    Case("1.8", "one unnamed text, xml or bytea argument takes the raw body",
         "POST /rpc/bytes_of\nContent-Type: application/octet-stream\n\nüü", 200, {}, 4),
    Case("1.8", "one unnamed text, xml or bytea argument takes the raw body", "POST /rpc/add\nContent-Type: text/plain\n\nx", 404, {},
         _absent("add", "add with a single unnamed text parameter")),
    Case("1.8", "one unnamed text, xml or bytea argument takes the raw body", "POST /rpc/add\nContent-Type: text/xml\n\n<x/>", 404, {},
         _absent("add", "add with a single unnamed xml parameter")),
    Case("1.8", "one unnamed text, xml or bytea argument takes the raw body", "POST /rpc/quiet\nContent-Type: application/octet-stream\n\nx", 404,
         {}, _absent("quiet", "quiet with a single unnamed bytea parameter")),
)  # fmt: skip

RESULTS = (
    Case("1.8", "scalar: a bare value", "GET /rpc/add?a=1", 200, {}, b"11"),
    Case("1.8", "scalar: a bare value", 'POST /rpc/echo_json\n\n{"value": null}', 200, {}, b"null"),
    Case("1.8", "set of scalars: an array", "GET /rpc/numbers?up_to=3", 200, {"content-range": "0-2/*"}, [1, 2, 3]),
    Case("1.8", "set of scalars: an array", "GET /rpc/numbers?up_to=0", 200, {"content-range": "*/*"}, []),
    Case("1.8", "composite: one object", "GET /rpc/first_account", 200, {"content-range": "0-0/*"}, {"id": 1, "email": "ann@x", "name": "Ann"}),
    Case("1.8", "composite: one object", "GET /rpc/first_account?select=name", 200, {}, {"name": "Ann"}),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts",
         "GET /rpc/all_accounts?select=id,who:name&id=gt.1&order=id.desc", 200, {"content-range": "0-1/*"},
         [{"id": 3, "who": None}, {"id": 2, "who": "Bob"}]),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts",
         "GET /rpc/all_accounts?select=id&order=id\nRange: 1-1\nPrefer: count=exact", 206,
         {"content-range": "1-1/3", "preference-applied": "count=exact"}, [{"id": 2}]),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts",
         "POST /rpc/all_accounts?select=id&order=id&limit=1&offset=1\nPrefer: count=exact", 206, {"content-range": "1-1/3"}, [{"id": 2}]),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts",
         "GET /rpc/films_after?y=1970&select=title,directors(name)&order=year", 200, {},
         [{"title": "Jeanne", "directors": {"name": "Akerman"}}, {"title": "Vagabond", "directors": {"name": "Varda"}}]),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts",
         "GET /rpc/wide_accounts?low=2&label=not.is.null", 200, {}, [{"id": 2, "label": "Bob"}]),
    Case("1.8", "set or table: an array with filters, select, order, embeds, ranges, counts", "GET /rpc/one_column?order=n.desc", 200, {},
         [{"n": 2}, {"n": 1}]),
    Case("1.8", "void: 204", "POST /rpc/quiet", 204, {"content-type": None, "content-length": None, "content-range": "0-0/*"}, b""),
    Case("1.8", "void: 204", "GET /rpc/quiet", 204, {}, b""),
    Case("1.8", "record without select", "POST /rpc/some_record", 200, {}, {"n": 1, "word": "x"}),
    Case("1.8", "OUT arguments: an object", 'POST /rpc/both_ways\n\n{"a": 1}', 200, {}, {"a": 2, "b": "b"}),
    Case("1.8", "OUT arguments: an object", "POST /rpc/one_out", 200, {}, {"answer": 42}),
    Case("1.8", "overloads by argument names", "GET /rpc/choose?a=1", 200, {}, "one"),
    Case("1.8", "overloads by argument names", "GET /rpc/choose?a=1&b=2", 200, {}, "two"),
    Case("1.8", "several matches are 300 PGRST203", "GET /rpc/tie?a=1", 300, {},
         {"code": "PGRST203", "details": None,
          "message": "Could not choose the best candidate function between: public.tie(a => integer, b => integer), "
                     "public.tie(a => integer, c => text)",
          "hint": "Try renaming the parameters or the function itself in the database so function overloading can be resolved"}),
    Case("1.8", "no match is 404 PGRST202 with a hint", "GET /rpc/nothing_like_it", 404, {},
         _absent("nothing_like_it without parameters", "nothing_like_it without parameters")),
    Case("1.8", "no match is 404 PGRST202 with a hint", "GET /rpc/number?up_to=1", 404, {},
         _absent("number(up_to)", "number with parameter up_to", "Perhaps you meant to call the function public.numbers")),
    Case("1.8", "no match is 404 PGRST202 with a hint", 'POST /rpc/add\n\n{"a": 1, "c": 2}', 404, {},
         _absent("add(a, c)", f"add with parameters a, c{OR_JSON}", "Perhaps you meant to call the function public.add(a, b)")),
    Case("1.8", "no match is 404 PGRST202 with a hint", "GET /rpc/lockd", 404, {},
         _absent("lockd without parameters", "lockd without parameters")),
    Case("1.8", "no match is 404 PGRST202 with a hint", "GET /rpc/locked", 401, {"www-authenticate": "Bearer"},
         {"code": "42501", "message": "permission denied for function locked", "details": None, "hint": None}),
    Case("1.8", "no match is 404 PGRST202 with a hint", "GET /rpc/locked", 403, {"www-authenticate": None}, key="user"),
)  # fmt: skip

OPTIONS = (
    *(
        Case("1.8", "OPTIONS of a function", f"OPTIONS /rpc/{name}", 200,
             {"allow": allow, "content-length": "0", "access-control-allow-origin": "*"}, b"")
        for name, allow in (("add", "OPTIONS,GET,HEAD,POST"), ("all_accounts", "OPTIONS,GET,HEAD,POST"), ("add_account", "OPTIONS,POST"))
    ),
    Case("1.8", "OPTIONS of a function", "OPTIONS /rpc/no_such", 404),
    *(
        Case("1.8", "OPTIONS of a table", f"OPTIONS /{name}", 200, {"allow": allow, "access-control-allow-origin": "*"}, b"")
        for name, allow in (("accounts", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"), ("loose", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"),
                            ("screenings", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"))
    ),
    Case("1.8", "OPTIONS of a table", "OPTIONS /no_such", 404, {"proxy-status": "PostgREST; error=PGRST205"}),
    *(
        Case("1.8", "OPTIONS of a view", f"OPTIONS /{name}", 200, {"allow": allow}, b"")
        for name, allow in (("totals", "OPTIONS,GET,HEAD"), ("desk", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
                            ("read_desk", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"))
    ),
    Case("1.8", "OPTIONS of the root", "OPTIONS /", 200, {"allow": "OPTIONS,GET,HEAD", "access-control-allow-origin": "*"}, b""),
)  # fmt: skip


@pytest.mark.parametrize("case", [*ARGUMENTS, *RESULTS, *OPTIONS], ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


def test_a_call_runs_once(contract: Server) -> None:
    """1.8: a volatile function that returns rows is executed once, count and filters or not."""
    contract.sql(
        "create table if not exists calls (at timestamptz default clock_timestamp());"
        "drop policy if exists everybody on calls; create policy everybody on calls using (true) with check (true);"
        "create or replace function counted_call() returns table (n bigint) language sql as "
        "$$ insert into calls default values; select count(*) from calls $$"
    )
    answer = send(contract, "POST /rpc/counted_call?n=gt.0&order=n\nPrefer: count=exact")
    assert (answer.status, answer.headers["content-range"]) == (200, "0-0/1")
    assert contract.sql("select count(*) from calls") == [(1,)]

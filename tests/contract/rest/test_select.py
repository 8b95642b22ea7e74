"""Section 1.3: selected columns, computed fields, aggregates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.case import Case, check, install
from tests.support.server import Server, start_server


def get(sentence: str, path: str, body: object) -> Case:
    """A read that answers 200."""
    return Case("1.3", sentence, f"GET {path}", 200, {}, body)


def refused(sentence: str, path: str, code: str, message: str, details: object = None, hint: str | None = None) -> Case:
    """A request that is refused with these words."""
    return Case("1.3", sentence, f"GET {path}", 400, {}, {"code": code, "message": message, "details": details, "hint": hint})


AGGREGATES = "aggregate: sum, avg, min, max, count of a column"
GROUPS = "aggregate: other columns and embeds are the groups"
HOISTED = "aggregate: hoisted out of a to-one spread"
CASTS = "aggregate: casts before and after"

CASES = (
    get("*", "/actors?select=*&id=eq.1", [{"id": 1, "name": "Marchand"}]),
    get("*", "/actors?id=eq.1", [{"id": 1, "name": "Marchand"}]),
    get("*", "/actors?select=&id=eq.1", [{"id": 1, "name": "Marchand"}]),
    get("a column", "/actors?select=name&id=eq.1", [{"name": "Marchand"}]),
    get("a column", '/odd names?select="a.b",my column,dash-ed&id=eq.1', [{"a.b": 12, "my column": 11, "dash-ed": 14}]),
    get("alias:column", "/actors?select=who:name,id&id=eq.1", [{"who": "Marchand", "id": 1}]),
    get("alias:column", '/actors?select="the name":name&id=eq.1', [{"the name": "Marchand"}]),
    get("column::type", "/films?select=year::text,rating::int&id=eq.1", [{"year": "1962", "rating": 8}]),
    get("column::type", "/films?select=rating::double precision&id=eq.1", [{"rating": 7.8}]),
    refused("column::type", "/films?select=year::nothing", "42704", 'type "nothing" does not exist'),
    get("alias:data->a->>b::int", "/films?select=stars:data->stars->>0::int,t:data->mood->>tone::text&id=eq.1", [{"stars": 5, "t": "calm"}]),
    get("a JSON path is named by its last key", "/films?select=data->mood->>tone&id=eq.1", [{"tone": "calm"}]),
    get("a JSON path is named by its last key", "/films?select=data->stars->1&id=eq.1", [{"stars": 4}]),
    get("a JSON path is named by its last key", "/films?select=data->0,screen->width&id=eq.1", [{"data": None, "width": 16}]),
    get("computed field: selected", "/films?select=id,label&id=eq.1", [{"id": 1, "label": "Cleo (1962)"}]),
    get("computed field: selected", "/films?select=l:label::text&id=eq.4", [{"l": "Untitled (?)"}]),
    get("computed field: selected", "/directors?select=id,films(label)&id=eq.2", [{"id": 2, "films": [{"label": "Jeanne (1975)"}]}]),
    get("computed field: selected", "/rpc/films_after?y=1980&select=label", [{"label": "Vagabond (1985)"}]),
    get("computed field: filtered and ordered by", "/films?select=id&label=like.*19*&order=label.desc", [{"id": 2}, {"id": 3}, {"id": 1}]),
    get("computed field: filtered and ordered by", '/films?select=id&or=(label.eq."Cleo (1962)",id.eq.9)', [{"id": 1}]),
    get("computed field: never in *", "/films?select=*&id=eq.4",
        [{"id": 4, "title": "Untitled", "year": None, "rating": None, "director_id": None, "data": None, "tags": None, "shown": None,
          "words": None, "screen": None, "released": None}]),
    get(AGGREGATES, "/reviews?select=stars.sum(),stars.avg(),stars.min(),stars.max(),stars.count()",
        [{"sum": 14, "avg": 3.5, "min": 2, "max": 5, "count": 4}]),
    get(AGGREGATES, "/reviews?select=total:stars.sum()&film_id=eq.1", [{"total": 8}]),
    get("aggregate: count() alone", "/reviews?select=count()", [{"count": 4}]),
    get("aggregate: count() alone", "/reviews?select=n:count()&film_id=eq.1", [{"n": 2}]),
    get("aggregate: count() alone", "/reviews?select=film_id,count()&order=film_id",
        [{"film_id": 1, "count": 2}, {"film_id": 2, "count": 1}, {"film_id": 3, "count": 1}]),
    get(CASTS, "/films?select=s:data->>n::int.sum()::text", [{"s": "12"}]),
    get(CASTS, "/films?select=rating::int.sum()", [{"sum": 24}]),
    get(CASTS, "/films?select=count()::text", [{"count": "4"}]),
    get(GROUPS, "/reviews?select=film_id,stars.max(),stars.min()&order=film_id&limit=1", [{"film_id": 1, "max": 5, "min": 3}]),
    get(GROUPS, "/reviews?select=films(title),stars.sum()&film_id=eq.1",
        [{"films": {"title": "Cleo"}, "sum": 8}]),
    get(GROUPS, "/films?select=*,count()&id=eq.4",
        [{"id": 4, "title": "Untitled", "year": None, "rating": None, "director_id": None, "data": None, "tags": None, "shown": None,
          "words": None, "screen": None, "released": None, "count": 1}]),
    get(GROUPS, "/films?select=id,count(),reviews(stars)&id=eq.2", [{"id": 2, "count": 1, "reviews": [{"stars": 4}]}]),
    get("aggregate: the old form count", "/reviews?select=count", [{"count": 4}]),
    get("aggregate: the old form count", "/films?select=id,reviews(count)&order=id",
        [{"id": 1, "reviews": [{"count": 2}]}, {"id": 2, "reviews": [{"count": 1}]}, {"id": 3, "reviews": [{"count": 1}]},
         {"id": 4, "reviews": [{"count": 0}]}]),
    get("aggregate: inside an embed, for each parent", "/films?select=id,reviews(stars.sum())&order=id",
        [{"id": 1, "reviews": [{"sum": 8}]}, {"id": 2, "reviews": [{"sum": 4}]}, {"id": 3, "reviews": [{"sum": 2}]},
         {"id": 4, "reviews": [{"sum": None}]}]),
    get("aggregate: inside an embed, for each parent", "/directors?select=id,films(released,count())&id=eq.1",
        [{"id": 1, "films": [{"released": True, "count": 2}]}]),
    get(HOISTED, "/reviews?select=stars.sum(),...films(director_id,films:count())&order=films(director_id)",
        [{"sum": 12, "director_id": 1, "films": 3}, {"sum": 2, "director_id": 2, "films": 1}]),
    get(HOISTED, "/reviews?select=...films(year.max())", [{"max": 1985}]),
    get(HOISTED, "/reviews?select=...films(...directors(name,count()))&film_id=lt.3",
        [{"name": "Varda", "count": 3}]),
    get(HOISTED, "/films?select=...directors(n:count())", [{"n": 3}]),
    get(HOISTED, "/directors?select=id,films(...posters(count()))&id=eq.1", [{"id": 1, "films": [{"count": 2}]}]),
    refused("aggregate: in a to-many spread is 400 PGRST127", "/films?select=id,...reviews(stars.sum())", "PGRST127", "Feature not implemented",
            "Aggregates are not implemented for one-to-many or many-to-many spreads."),
    refused("aggregate: in a to-many spread is 400 PGRST127", "/directors?select=id,...films(...posters(count()))", "PGRST127",
            "Feature not implemented", "Aggregates are not implemented for one-to-many or many-to-many spreads."),
)  # fmt: skip

OFF = "aggregate: switched off is 400 PGRST123"
PLAIN = (
    refused(OFF, "/reviews?select=stars.sum()", "PGRST123", "Use of aggregate functions is not allowed"),
    refused(OFF, "/reviews?select=count()", "PGRST123", "Use of aggregate functions is not allowed"),
    refused(OFF, "/films?select=id,reviews(stars.max())", "PGRST123", "Use of aggregate functions is not allowed"),
    get("aggregate: the old form count", "/films?select=reviews(count)&id=eq.1", [{"reviews": [{"count": 2}]}]),
    refused("embed: the table's name where there is an alias still works, with a warning", "/directors?select=f:films(id)&films.id=eq.1",
            "PGRST108", "'films' is not an embedded resource in this request", "Target names are not allowed in filters if they have an alias",
            "Change 'films' to 'f' in filters, orders or limits."),
)  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server without aggregates and without table names where there is an alias."""
    running = start_server(env={"FLUXBASE_DATA_EMBED_TARGET_NAMES": "false"})
    try:
        install(running)
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_plain(plain: Server, case: Case) -> None:
    """The literal request has the literal answer where aggregates and table names are switched off."""
    check(plain, case)

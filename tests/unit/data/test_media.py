"""Choosing a representation (contract 1.7), without a database."""

from __future__ import annotations

import pytest

from fluxbase.data.compile_body import body_sql, explain_sql
from fluxbase.data.media import JSON, Handler, Offers, choose, parse_accept
from fluxbase.kernel.errors import NotAcceptable

NOTHING = Offers({}, {}, None, has_plans=False)
HTML = Handler("text/html", "public", "page", row_type=("public", "t"))


@pytest.mark.parametrize(
    ("accept", "names"),
    [
        ("a/b;q=0.1, c/d, e/f;q=0.5", ["c/d", "e/f", "a/b"]),
        ("*/*, a/b", ["a/b", "*/*"]),
        ("a/b;q=0, c/d", ["c/d"]),
        ("a/b;q=zero", ["a/b"]),
        ('a/b;for="x,y;z", c/d', ["a/b", "c/d"]),
        (" , ,", []),
        ('"', []),
    ],
)
def test_order_of_an_accept_header(accept: str, names: list[str]) -> None:
    """By quality, then the more specific, then as written; separators in quotes separate nothing."""
    assert [media.name for media in parse_accept(accept)] == names


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/*", "text/html;q=0.1, */*;q=0.01"])
def test_json_is_what_nobody_overrode(accept: str) -> None:
    """Without handlers everything general means JSON."""
    assert choose(accept, NOTHING, is_whole=True) == JSON


def test_a_handler_needs_whole_rows() -> None:
    """An aggregate over a relation's rows fits only rows with all their columns."""
    offers = Offers({"text/html": HTML}, {}, None, has_plans=False)
    assert choose("text/html", offers, is_whole=True).handler is HTML
    with pytest.raises(NotAcceptable):
        choose("text/html", offers, is_whole=False)


def test_own_handlers_come_before_general_ones() -> None:
    """A handler of the target, one for any row, then what is built in; a catch-all of the target beats all."""
    general = Handler("text/csv", "public", "any_csv")
    own = Handler("text/csv", "public", "own_csv", row_type=("public", "t"))
    every = Handler("*/*", "public", "every", is_binary=True, row_type=("public", "t"))
    assert choose("text/csv", Offers({"text/csv": own}, {"text/csv": general}, None, has_plans=False), is_whole=True).handler is own
    assert choose("text/csv", Offers({}, {"text/csv": general}, None, has_plans=False), is_whole=True).handler is general
    chosen = choose("text/csv", Offers({"text/csv": own, "*/*": every}, {}, None, has_plans=False), is_whole=True)
    assert (chosen.handler, chosen.content_type) == (every, b"application/octet-stream")


def test_plans_nest_one_representation() -> None:
    """A plan is of another representation, never of a plan, and only where plans are on."""
    plans = Offers({}, {}, None, has_plans=True)
    chosen = choose('application/vnd.pgrst.plan+json; for="text/csv"; options=wal|analyze|x', plans, is_whole=True)
    assert chosen.form == "csv"
    assert chosen.plan is not None
    assert explain_sql(chosen.plan) == "explain (format json, analyze, wal) "
    assert not chosen.is_object
    for accept, offers in (
        ("application/vnd.pgrst.plan", NOTHING),
        ('application/vnd.pgrst.plan; for="application/vnd.pgrst.plan"', plans),
        ('application/vnd.pgrst.plan; for="a/b"', plans),
    ):
        with pytest.raises(NotAcceptable):
            choose(accept, offers, is_whole=True)


def test_what_is_not_available_is_named() -> None:
    """The refusal lists what was asked for, best first."""
    with pytest.raises(NotAcceptable) as refused:
        choose("a/b;q=0.5;v=1, application/geo+json", NOTHING, is_whole=True)
    assert refused.value.message == "None of these media types are available: application/geo+json, a/b;v=1"


def test_geojson_takes_the_function_where_it_lives() -> None:
    """PostGIS may be in any schema; its function is called by its qualified name."""
    chosen = choose("application/geo+json", Offers({}, {}, "extensions", has_plans=False), is_whole=True)
    assert '"extensions"."st_asgeojson"(_t)' in body_sql(chosen)
    assert chosen.content_type == b"application/geo+json; charset=utf-8"

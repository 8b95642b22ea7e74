"""Hostile query strings are refused with a declared code in time that grows with their length, not faster (threat E43)."""

from __future__ import annotations

import pytest

from fluxbase.data.grammar import parse_query
from fluxbase.data.plan import plan_read
from fluxbase.data.shape import apply_range, shape_of
from fluxbase.kernel.errors import FluxbaseError
from tests.support.effort import Effort
from tests.unit.data.schema import BOUNDS, SNAPSHOT

N = 100_000

HOSTILE = {
    "a tree 10,000 deep": ("or=" + "(and" * 10_000 + "(id.eq.1" + ")" * 10_001, "PGRST100"),
    "a select 10,000 deep": ("select=" + "films(" * 10_000 + "id" + ")" * 10_000, "PGRST100"),
    "an operator of 100 kB": ("id=" + "a" * N + ".1", "PGRST100"),
    "negated for ever": ("id=" + "not." * N + "eq.1", "PGRST100"),
    "100,000 columns": ("select=" + "id," * N + "id", "PGRST100"),
    "100,000 spaces in a name": ("select=" + "a " * N + "!", "PGRST100"),
    "100,000 dashes in a name": ("select=" + "a-" * N, "PGRST100"),
    "an unclosed quote": ('id="' + "\\a" * N + "=eq.1", "PGRST100"),
    "an unclosed quote in a tree": ('or=(id.eq."' + "a" * N + ")", "PGRST100"),
    "an unclosed brace": ("or=(id.eq." + "{" * N + ")", "PGRST100"),
    "quotes in an unclosed brace": ("or=(id.eq.{" + '"",' * N + ")", "PGRST100"),
    "an unclosed quote in a list": ('id=in.("' + '"a' * N + ")", "PGRST100"),
    "100,000 elements of a list": ("id=in.(" + "1," * N + "1)", None),
    "100,000 filters": ("&".join(["id=eq.1"] * N), "PGRST100"),
    "100,000 leaves": ("or=(" + "id.eq.1," * N + "id.eq.1)", "PGRST100"),
    "a JSON path of 100,000 steps": ("data" + "-%3Ea" * N + "=eq.1", "PGRST100"),
    "an index beyond int": ("data-%3E" + "9" * 20 + "=eq.1", "PGRST100"),
    "an index of 100,000 digits": ("data-%3E" + "9" * N + "=eq.1", "PGRST100"),
    "100,000 order terms": ("order=" + "id," * N + "id", "PGRST100"),
    "100,000 modifiers": ("order=id" + ".asc" * N, "PGRST100"),
    "a path of 100,000 embeds": ("a." * N + "id=eq.1", "PGRST100"),
    "100,000 hints": ("select=films" + "!a" * N + "(id)", "PGRST100"),
    "a type of 100 kB": ("select=id::" + "a" * N, "PGRST100"),
    "a limit of 100,000 digits": ("limit=" + "9" * N, "PGRST100"),
    "a limit in other digits": ("limit=%D9%A3", "PGRST100"),
    "a superscript limit": ("limit=%C2%B2", "PGRST100"),
    "NUL": ("id=eq.%00", "PGRST100"),
    "invalid UTF-8": ("id=eq.%ff", "PGRST100"),
    "an overlong encoding": ("id=eq.%c0%80", "PGRST100"),
    "a lone surrogate": ("id=eq.%ed%a0%80", "PGRST100"),
    "a relation of 100 kB": ("select=" + "r" * N + "(id)", "PGRST200"),
    "a column of 100 kB": ("select=" + "c" * N, None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_query_is_refused_quickly(name: str) -> None:
    """The work grows with its length, not faster, and whatever refuses it is a declared 4xx."""
    query, code = HOSTILE[name]
    found: str | None = None
    with Effort() as effort:
        try:
            shape = shape_of(query)
            plan_read(SNAPSHOT, SNAPSHOT.relations["public", "directors"], parse_query(shape.pairs), "anon", BOUNDS)
        except FluxbaseError as error:
            found = error.pgrst
    assert found == code
    assert effort.calls < 500 + 20 * len(query)


@pytest.mark.parametrize("header", ["items=" + "9" * 100_000, "0-" + "9" * 100_000, "²-³", "٣-٤", "-5", "a-b", "0-1,4-5", "bytes=0-1"])
def test_malformed_range_is_ignored(header: str) -> None:
    """A Range header that is no item range changes nothing (RFC 9110 section 14.2)."""
    shape = shape_of("limit=3")
    apply_range(shape, header)
    assert (shape.limits, shape.offsets) == ({(): 3}, {})

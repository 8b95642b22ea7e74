"""The query language, generated: no request is answered by 5xx, no SQL has a name the catalogue lacks, parse∘render is identity."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings

from fluxbase.data.compile import compile_read
from fluxbase.data.grammar import parse_query
from fluxbase.data.media import JSON
from fluxbase.data.plan import plan_read
from fluxbase.data.shape import apply_range, canonical_query, fill, shape_of
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.web.errors import status_of
from tests.property import requests
from tests.unit.data.schema import BOUNDS, SNAPSHOT

EXAMPLES = 5000 if os.environ.get("FLUXBASE_TESTS_LONG") else 150
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NAMES = {name for relation in SNAPSHOT.relations.values() for name in (relation.name, relation.schema, *relation.columns)}
NAMES |= {each.name for found in SNAPSHOT.computed.values() for each in found.values()}
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
OUTPUT_NAME = re.compile(r' as "(?:[^"]|"")*"')


def is_refusal(error: FluxbaseError) -> bool:
    """Whether the answer is a 4xx, or 300 for an ambiguous name."""
    return 300 <= status_of(error, None) < 500


def compiled(query: str) -> tuple[str, list[str | bytes | None]]:
    """SQL and parameters of a request on films."""
    shape = shape_of(query)
    apply_range(shape, None)
    relation = SNAPSHOT.relations["public", "films"]
    statement = compile_read(plan_read(SNAPSHOT, relation, parse_query(shape.pairs), "anon", BOUNDS), JSON, count="exact")
    return statement.sql, fill(statement.slots, shape, max_rows=1000)


@SLOW
@given(requests.QUERIES)
def test_parse_of_render_is_identity(query: requests.Rendered) -> None:
    """A tree rendered as text and parsed again is the same tree."""
    assert parse_query(query.pairs) == query.tree


@SLOW
@given(requests.QUERIES)
def test_shape_and_parse_agree_on_values(query: requests.Rendered) -> None:
    """What the shape takes out as values is what the tree's slots refer to, in the same order."""
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.pairs)
    assert shape_of(text).values == parse_query(query.pairs).values


@SLOW
@given(requests.TEXTS)
def test_random_text_is_4xx_or_an_answer(text: str) -> None:
    """Any text is read, or refused with a declared error whose status is 4xx."""
    refusal: FluxbaseError | None = None
    try:
        compiled(text)
    except FluxbaseError as error:
        refusal = error
    assert refusal is None or is_refusal(refusal)


@SLOW
@given(requests.ON_FILMS)
def test_sql_names_only_what_the_catalogue_has(query: str) -> None:
    """Identifiers in SQL are the catalogue's; the request's own words are output names or parameters."""
    sql, refusal = "", None
    try:
        sql, _ = compiled(query)
    except FluxbaseError as error:
        refusal = error
    assert refusal is None or is_refusal(refusal)
    assert set(QUOTED.findall(OUTPUT_NAME.sub("", sql))) <= NAMES


@SLOW
@given(requests.ON_FILMS)
def test_equal_shapes_have_equal_statements(query: str) -> None:
    """The key decides the statement: canonical order of the same parameters gives the same values under the same key."""
    try:
        first, second = shape_of(query), shape_of(query)
    except FluxbaseError:
        return
    assert (first.key, first.values) == (second.key, second.values)
    hash(first.key)
    assert canonical_query(query, first).isascii()

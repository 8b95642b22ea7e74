"""JSON bodies: repeated keys and excessive depth are found whatever the strings contain."""

from __future__ import annotations

import json

import orjson
import pytest

from fluxbase.data.body import MAX_DEPTH, load_json, parse_rows
from fluxbase.kernel.errors import InvalidInput
from tests.support.effort import Effort


@pytest.mark.parametrize("text", ['[{"a":1,"a":2}]', '[{"a":{"b":1,"b":2}}]', '{"a" :1,"a":":"}', '{"x":[{"a":1,"\\u0061":2}]}'])
def test_a_repeated_key_is_refused(text: str) -> None:
    """The same key twice in one object is PGRST102 on every level, also when it is spelled with an escape."""
    with pytest.raises(InvalidInput, match="same key twice"):
        load_json(text.encode())


@pytest.mark.parametrize("text", ['{"a":"\\":"}', '{"a":{"a":{"a":":"}}}', '["[[[[{{{{"]', "1", '[{"a":1},{"a":1}]', '{"\\":":1}'])
def test_what_only_looks_repeated_is_taken(text: str) -> None:
    """Colons and brackets inside strings, and equal keys of different objects, are no reason to refuse."""
    assert load_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_ends_at_the_limit(opening: str, closing: str) -> None:
    """64 levels are taken, 65 are refused, of arrays and objects alike."""
    load_json((opening * MAX_DEPTH + "1" + closing * MAX_DEPTH).encode())
    with pytest.raises(InvalidInput, match="nested deeper"):
        load_json((opening * (MAX_DEPTH + 1) + "1" + closing * (MAX_DEPTH + 1)).encode())


@pytest.mark.parametrize(
    "text",
    ['id,name\n1,a"b\n', 'id,name\n1,"a"b\n', 'id,name\n1,"a\n', 'id,name\n1,"a""\n', 'id,"name\n1,2\n', "id,name\n1\n", "id,name\n1,2,3\n", "",
     "id,id\n1,2\n", "id\n\x00\n"],
)  # fmt: skip
def test_csv_that_is_none_is_refused(text: str) -> None:
    """Stray and open quotes, ragged lines, repeated names, NUL, nothing at all."""
    with pytest.raises(InvalidInput) as refused:
        parse_rows(text.encode(), "text/csv", needs_uniform=True)
    assert refused.value.pgrst == "PGRST102"


def test_csv_as_rfc_4180_has_it() -> None:
    """Quoted separators, doubled quotes, either line end; NULL is null and nothing is empty."""
    payload = parse_rows(b'id,name\r\n1,"a, ""b""\nc"\r\n\r\n2,NULL\r\n3,\r\n', "text/csv", needs_uniform=True)
    assert orjson.loads(payload.text) == [{"id": "1", "name": 'a, "b"\nc'}, {"id": "2", "name": None}, {"id": "3", "name": ""}]


def test_a_huge_csv_with_an_open_quote_is_refused_in_one_walk() -> None:
    """The check for stray quotes walks a megabyte once."""
    with Effort() as effort, pytest.raises(InvalidInput):
        parse_rows(b"a,b\n" + b'"x","y"\n' * 100_000 + b'"', "text/csv", needs_uniform=True)
    assert effort.calls < 5_000_000

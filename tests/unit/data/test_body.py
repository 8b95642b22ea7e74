"""JSON bodies: repeated keys and excessive depth are found whatever the strings contain."""

from __future__ import annotations

import json

import pytest

from fluxbase.data.body import MAX_DEPTH, load_json
from fluxbase.kernel.errors import InvalidInput


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

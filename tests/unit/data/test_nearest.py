"""Hints find the name that PostgREST's fuzzy search finds."""

from __future__ import annotations

import pytest

from fluxbase.data.nearest import LIST_SCORE, NAME_SCORE, nearest


@pytest.mark.parametrize(
    ("text", "names", "least", "found"),
    [
        ("film", ["films", "actors"], NAME_SCORE, "films"),
        ("Films", ["films"], NAME_SCORE, "films"),
        ("testt", ["test", "another"], NAME_SCORE, "test"),
        ("other", ["test", "noclosealternative"], NAME_SCORE, None),
        ("fi", ["films"], NAME_SCORE, None),
        ("account_", ["accounts", "account_types"], NAME_SCORE, "accounts"),
        ("xyz", [], NAME_SCORE, None),
        ("(val, param, name)", ["(name, param, val)", "(id)"], LIST_SCORE, "(name, param, val)"),
        ("(a)", ["(b)"], LIST_SCORE, None),
        ("directorss", ["directors", "roles"], LIST_SCORE, "directors"),
        ("a" * 300, ["a" * 299], LIST_SCORE, None),
    ],
)
def test_nearest(text: str, names: list[str], least: float, found: str | None) -> None:
    """The most alike name that reaches the score, else none."""
    assert nearest(text, names, least) == found

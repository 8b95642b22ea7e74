"""Order: ``a.desc.nullslast,rel(b)``."""

from __future__ import annotations

import re

from fluxbase.data.grammar.names import fail, scan_field
from fluxbase.data.grammar.terms import Order

_WHAT = "order"
_MODIFIERS = re.compile(r"(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?")
_NULLS = {None: "", "nullsfirst": " nulls first", "nullslast": " nulls last"}
MAX_TERMS = 1600


def parse_order(text: str) -> tuple[Order, ...]:
    """The terms in order; an empty text has none."""
    terms: list[Order] = []
    at = 0
    while text:
        if len(terms) >= MAX_TERMS:
            fail(_WHAT, text, at, f"at most {MAX_TERMS} terms")
        term, at = _scan_term(text, at)
        terms.append(term)
        if at >= len(text):
            break
        if text[at] != ",":
            fail(_WHAT, text, at, "asc, desc, nullsfirst or nullslast" if text[at] == "." else '","')
        at += 1
    return tuple(terms)


def _scan_term(text: str, at: int) -> tuple[Order, int]:
    while text.startswith(" ", at):
        at += 1
    field, at = scan_field(text, at, _WHAT)
    relation = None
    if text.startswith("(", at) and not field.path:
        relation = field.name
        field, at = scan_field(text, at + 1, _WHAT)
        if not text.startswith(")", at):
            fail(_WHAT, text, at, '")"')
        at += 1
    match = _MODIFIERS.match(text, at)
    if match is None:
        return Order(field, relation, "", ""), at
    return Order(field, relation, match[1] or "", _NULLS[match[2]]), match.end()

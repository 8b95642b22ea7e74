"""Filters: ``not.eq(any).value``."""

from __future__ import annotations

import re

from fluxbase.data.grammar.names import fail, unescape
from fluxbase.data.grammar.terms import FULL_TEXT, IS_VALUES, OPERATORS, QUANTIFIABLE, Field, Filter

MAX_FILTERS = 4096
"""Most values in one request; PostgreSQL's own limit is 65,535 parameters."""

_HEAD = re.compile(r"(not\.)?([a-z]++)(?:\(([^()]{0,63}+)\))?\.", re.ASCII)
# A quote ends an element only before a comma or the end: supabase-js quotes values without escaping quotes inside.
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.|"(?!,|$))*+)"', re.DOTALL)
_OPERATOR = "operator (eq, gt, ...)"


def split_head(value: str, at: int = 0) -> re.Match[str] | None:
    """``not.eq.`` of ``not.eq.5``, in groups (negation, operator, parentheses); None when no operator starts here."""
    match = _HEAD.match(value, at)
    return None if match is None or match[2] not in OPERATORS else match


def parse_filter(field: Field, text: str, values: list[str]) -> Filter:
    """The filter a parameter's value says. Raises PGRST100 when it starts with no operator."""
    head = split_head(text)
    if head is None:
        fail("filter", text, 0, f'"not" or {_OPERATOR}')
    return make_filter(field, head, text[head.end() :], values)


def make_filter(field: Field, head: re.Match[str], value: str, values: list[str]) -> Filter:
    """A filter of its parts; its value goes to the end of ``values``."""
    operator, inside = head[2], head[3]
    quantifier = language = None
    if inside is not None:
        if operator in FULL_TEXT and inside.replace("_", "").isalnum():
            language = inside
        elif operator in QUANTIFIABLE and inside in ("any", "all"):
            quantifier = inside
        else:
            fail("filter", head[0], head.start(3) - head.start() - 1, _OPERATOR)
    if operator == "is":
        constant = IS_VALUES.get(value.lower()) if len(value) < 16 else None
        if constant is None:
            fail("filter", head[0] + value, len(head[0]), "isVal: (null, not_null, true, false, unknown)")
        return Filter(field, operator, bool(head[1]), None, None, -1, constant)
    if len(values) >= MAX_FILTERS:
        fail("filter", head[0], 0, f"at most {MAX_FILTERS} filters")
    values.append(value_of(operator, value))
    return Filter(field, operator, bool(head[1]), quantifier, language, len(values) - 1)


def value_of(operator: str, value: str) -> str:
    """The parameter a filter's value is to PostgreSQL."""
    if operator == "in":
        return list_literal(value)
    return value.replace("*", "%") if operator in ("like", "ilike") else value


def list_literal(value: str) -> str:
    """``(a,"b,c")`` as an array constant of PostgreSQL."""
    if not (value.startswith("(") and value.endswith(")") and len(value) > 1):
        fail("filter", f"in.{value}", 3, '"("')
    text, at = value[1:-1], 0
    items: list[str] = []
    while text and at <= len(text):
        if text.startswith('"', at):
            match = _ELEMENT.match(text, at)
            if match is None:
                fail("filter", f"in.{value}", len(value) + 3, "a closing quote")
            item, at = unescape(match[1]), match.end()
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            item, at = text[at:end], end
        items.append('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"')
        at += 1
    return "{" + ",".join(items) + "}"

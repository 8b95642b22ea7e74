"""Select: ``a,b:c->>d::text,amount.sum(),rel!hint!inner(x),...spread(y)``."""

from __future__ import annotations

import re

from fluxbase.data.grammar.names import MAX_DEPTH, fail, scan_cast, scan_field, scan_name
from fluxbase.data.grammar.terms import AGGREGATES, Field, SelectColumn, SelectEmbed, SelectItem

MAX_ITEMS = 1600
"""PostgreSQL's own limit is 1,664 columns."""

_WHAT = "select parameter"
_SPACES = re.compile(r"[ \t\n]*+")
_AGGREGATE = re.compile(rf"\.({'|'.join(sorted(AGGREGATES))})\(\)")
_COUNT = "count()"
_JOINS = ("inner", "left")


def parse_select(text: str) -> tuple[SelectItem, ...]:
    """The selected items. An empty text selects nothing, which means every column."""
    if not text.strip():
        return ()
    items, at = _scan_items(text, 0, 0)
    if at != len(text):
        fail(_WHAT, text, at, '"," or end of input')
    return items


def _scan_items(text: str, at: int, depth: int) -> tuple[tuple[SelectItem, ...], int]:
    if depth > MAX_DEPTH:
        fail(_WHAT, text, at, f"at most {MAX_DEPTH} levels")
    items: list[SelectItem] = []
    while True:
        if len(items) >= MAX_ITEMS:
            fail(_WHAT, text, at, f"at most {MAX_ITEMS} columns")
        item, at = _scan_item(text, _skip(text, at), depth)
        items.append(item)
        at = _skip(text, at)
        if not text.startswith(",", at):
            return tuple(items), at
        at += 1


def _skip(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return at if match is None else match.end()


def _scan_item(text: str, at: int, depth: int) -> tuple[SelectItem, int]:
    if text.startswith("*", at):
        return SelectColumn(Field("*"), None, None), at + 1
    if text.startswith("...", at):
        return _scan_relation(text, at + 3, depth, alias=None, is_spread=True)
    if text.startswith(_COUNT, at):
        return _scan_count(text, at, None)
    start, alias = at, None
    field, at = scan_field(text, at, _WHAT)
    if text.startswith(":", at) and not text.startswith("::", at):
        if field.path:
            fail(_WHAT, text, at, "a plain name as the alias")
        alias, start = field.name, _skip(text, at + 1)
        if text.startswith(_COUNT, start):
            return _scan_count(text, start, alias)
        field, at = scan_field(text, start, _WHAT)
    if not field.path and text.startswith(("!", "("), at):
        return _scan_relation(text, start, depth, alias=alias, is_spread=False)
    cast, at = scan_cast(text, at, _WHAT)
    match = _AGGREGATE.match(text, at)
    if match is None:
        return SelectColumn(field, alias, cast), at
    aggregate_cast, at = scan_cast(text, match.end(), _WHAT)
    return SelectColumn(field, alias, cast, match[1], aggregate_cast), at


def _scan_count(text: str, at: int, alias: str | None) -> tuple[SelectColumn, int]:
    cast, at = scan_cast(text, at + len(_COUNT), _WHAT)
    return SelectColumn(None, alias, None, "count", cast), at


def _scan_relation(text: str, at: int, depth: int, *, alias: str | None, is_spread: bool) -> tuple[SelectEmbed, int]:
    target, at = scan_name(text, at, _WHAT)
    hint = join = None
    while text.startswith("!", at):
        start = at + 1
        word, at = scan_name(text, start, _WHAT)
        if word in _JOINS and join is None:
            join = word
        elif word not in _JOINS and hint is None:
            hint = word
        else:
            fail(_WHAT, text, start, "one hint and one of inner and left")
    if not text.startswith("(", at):
        fail(_WHAT, text, at, '"("')
    items: tuple[SelectItem, ...] = ()
    at = _skip(text, at + 1)
    if not text.startswith(")", at):
        items, at = _scan_items(text, at, depth + 1)
        if not text.startswith(")", at):
            fail(_WHAT, text, at, '"," or ")"')
    return SelectEmbed(target, alias, hint, join, is_spread, items), at + 1

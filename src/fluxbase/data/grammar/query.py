"""The whole query string: which parameter is what."""

from __future__ import annotations

from fluxbase.data.grammar.filters import parse_filter, split_head
from fluxbase.data.grammar.names import MAX_DEPTH, fail, parse_names, parse_number, scan_field, scan_path
from fluxbase.data.grammar.orders import parse_order
from fluxbase.data.grammar.selects import parse_select
from fluxbase.data.grammar.terms import Field, Part, Path, Query
from fluxbase.data.grammar.trees import parse_tree

_WHOLE = frozenset({"select", "columns", "on_conflict"})
_OF_NODE = frozenset({"order", "limit", "offset", "and", "or"})


def path_of(name: str) -> tuple[Path, str]:
    """``child.grand.order`` → (("child", "grand"), "order"); for a filter the word is empty and the path is not read."""
    if name in _WHOLE:
        return (), name
    before, dot, last = name.rpartition(".")
    if last not in _OF_NODE:
        return (), ""
    return (scan_path(before, "tree path") if dot else ()), last


def parse_query(pairs: list[tuple[str, str]], *, is_rpc_get: bool = False) -> Query:
    """The whole query string. ``is_rpc_get``: what does not read as a filter is a function argument."""
    query = Query()
    for name, value in pairs:
        path, word = path_of(name)
        if word in _WHOLE:
            _set_whole(query, word, value)
        elif word == "and" or word == "or":
            is_negated = bool(path) and path[-1] == "not"
            part = query.parts.setdefault(path[:-1] if is_negated else path, Part())
            part.filters.append(parse_tree(word, value, query.values, is_negated=is_negated))
        elif word:
            _set_of_node(query.parts.setdefault(path, Part()), word, value)
        elif is_rpc_get and "." not in name and split_head(value) is None:
            query.arguments.append((name, value))
        else:
            node, field = parse_field_path(name)
            query.parts.setdefault(node, Part()).filters.append(parse_filter(field, value, query.values))
    return query


def _set_whole(query: Query, word: str, value: str) -> None:
    if word == "select":
        if not query.has_select:
            query.select, query.has_select = parse_select(value), True
    elif word == "columns":
        query.columns = parse_names(value, "columns parameter")
    else:
        query.on_conflict = parse_names(value, "on_conflict parameter")


def _set_of_node(part: Part, word: str, value: str) -> None:
    if word == "order":
        part.order = parse_order(value)
    elif word == "limit":
        part.limit = parse_number("limit", value)
    else:
        part.offset = parse_number("offset", value)


def parse_field_path(name: str) -> tuple[Path, Field]:
    """``child.grand.col`` → (("child", "grand"), col)."""
    path: list[str] = []
    at = 0
    while True:
        field, at = scan_field(name, at, "tree path")
        if at >= len(name):
            return tuple(path), field
        if name[at] != "." or field.path or len(path) >= MAX_DEPTH:
            fail("tree path", name, at, "delimiter (.)")
        path.append(field.name)
        at += 1

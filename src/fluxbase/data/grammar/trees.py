"""Logic trees: ``(a.eq.1,or(b.gt.2,not.and(…)))``."""

from __future__ import annotations

import re

from fluxbase.data.grammar.filters import make_filter, split_head
from fluxbase.data.grammar.names import MAX_DEPTH, fail, scan_field, scan_quoted
from fluxbase.data.grammar.terms import Filter, Logic

_WHAT = "logic tree"
_BRANCH = re.compile(r"(not\.)?(and|or)\(")
_BARE = re.compile(r"[^,)]*+")
_BRACKET = {opening: re.compile(rf'["{re.escape(opening + closing)}]') for opening, closing in ("()", "{}")}


def parse_tree(operator: str, text: str, values: list[str], *, is_negated: bool = False) -> Logic:
    """The tree of ``and=`` or ``or=``. Deeper than ``MAX_DEPTH`` is refused before descending."""
    node, at = _scan_tree(operator, text, 0, values, is_negated=is_negated, depth=1)
    if at != len(text):
        fail(_WHAT, text, at, "end of input")
    return node


def _scan_tree(operator: str, text: str, at: int, values: list[str], *, is_negated: bool, depth: int) -> tuple[Logic, int]:
    if not text.startswith("(", at):
        fail(_WHAT, text, at, '"("')
    if depth > MAX_DEPTH:
        fail(_WHAT, text, at, f"at most {MAX_DEPTH} levels")
    at = _skip_spaces(text, at + 1)
    children: list[Filter | Logic] = []
    while True:
        branch = _BRANCH.match(text, at)
        if branch is not None:
            child, at = _scan_tree(branch[2], text, branch.end() - 1, values, is_negated=bool(branch[1]), depth=depth + 1)
        else:
            child, at = _scan_leaf(text, at, values)
        children.append(child)
        at = _skip_spaces(text, at)
        if text.startswith(")", at):
            return Logic(operator, is_negated, tuple(children)), at + 1
        if not text.startswith(",", at):
            fail(_WHAT, text, at, '"," or ")"')
        at = _skip_spaces(text, at + 1)


def _skip_spaces(text: str, at: int) -> int:
    while text.startswith(" ", at):
        at += 1
    return at


def _scan_leaf(text: str, at: int, values: list[str]) -> tuple[Filter, int]:
    field, at = scan_field(text, at, _WHAT)
    if not text.startswith(".", at):
        fail(_WHAT, text, at, "delimiter (.)")
    head = split_head(text, at + 1)
    if head is None:
        fail(_WHAT, text, at + 1, '"not" or operator (eq, gt, ...)')
    value, at = _scan_value(text, head.end(), head[2])
    return make_filter(field, head, value, values), at


def _scan_value(text: str, at: int, operator: str) -> tuple[str, int]:
    if text.startswith('"', at):
        return scan_quoted(text, at, _WHAT)
    if text.startswith("(", at) and operator == "in":
        return _scan_bracketed(text, at, "(")
    if text.startswith("{", at):
        return _scan_bracketed(text, at, "{")
    match = _BARE.match(text, at)
    return ("", at) if match is None else (match[0], match.end())


def _scan_bracketed(text: str, at: int, opening: str) -> tuple[str, int]:
    """From a bracket to its partner; quoted text inside does not count."""
    bracket, end, depth = _BRACKET[opening], at, 0
    while True:
        match = bracket.search(text, end)
        if match is None:
            fail(_WHAT, text, len(text), "a closing bracket")
        if match[0] == '"':
            _, end = scan_quoted(text, match.start(), _WHAT)
            continue
        depth += 1 if match[0] == opening else -1
        end = match.end()
        if depth == 0:
            return text[at:end], end

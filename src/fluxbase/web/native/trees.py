"""Logic trees of the native dialect: ``(a.eq.1,or(b.nin.(1,2),c.st_within.{"type":…}))``. Pure.

One pass over the text; nesting is bounded before anything recurses (threat E43).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fluxbase.data.grammar import MAX_DEPTH, Logic
from fluxbase.web.native.operators import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.grammar import Condition

    Leaf = Callable[[str, str], Condition]

_BRANCH = re.compile(r"(not\.)?(and|or)\(")
_COLUMN = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^.,()"])+)\.')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_STRETCH = re.compile(r'[^,()\[\]{}"]+')
_HEAD = re.compile(r"(?:not\.)?[a-z_0-9]+(?:\(\w{1,63}\))?\.")


def parse_tree(operator: str, text: str, leaf: Leaf, *, is_negated: bool = False) -> Logic:
    """The tree of ``or=`` or ``and=``; ``leaf`` makes a condition of column and ``op.value``. Raises InvalidInput."""
    if not text.startswith("("):
        refuse(f"{operator} takes conditions in parentheses.", f"{operator}=(a.eq.1,b.gt.2)", "bad_tree")
    depth = deepest = 0
    for bracket in re.findall(r"[()]", text):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        refuse(f"The conditions are nested deeper than {MAX_DEPTH}.", code="tree_too_deep")
    node, at = _branch(operator, text, 1, leaf, is_negated=is_negated)
    if at != len(text):
        refuse("There is text behind the closing parenthesis.", code="bad_tree")
    return node


def _branch(operator: str, text: str, at: int, leaf: Leaf, *, is_negated: bool) -> tuple[Logic, int]:
    children: list[Condition] = []
    while True:
        match = _BRANCH.match(text, at)
        if match is not None:
            child, at = _branch(match[2], text, match.end(), leaf, is_negated=match[1] is not None)
            children.append(child)
        else:
            at = _leaf(text, at, leaf, children)
        if text.startswith(")", at):
            return Logic(operator, is_negated, tuple(children)), at + 1
        if not text.startswith(",", at):
            refuse("A comma or a closing parenthesis is expected.", code="bad_tree")
        at += 1


def _leaf(text: str, at: int, leaf: Leaf, children: list[Condition]) -> int:
    column = _COLUMN.match(text, at)
    head = None if column is None else _HEAD.match(text, column.end())
    if column is None or head is None:
        refuse("A condition is column.operator.value.", code="bad_tree")
    value, at = _value(text, head.end())
    children.append(leaf(column[1], head[0] + value))
    return at


def _value(text: str, at: int) -> tuple[str, int]:
    """Up to a comma or closing parenthesis outside of brackets; a quoted value is unquoted."""
    whole = _QUOTED.match(text, at)
    if whole is not None and text[whole.end() : whole.end() + 1] in (",", ")"):
        return re.sub(r"\\(.)", r"\1", whole[1], flags=re.DOTALL), whole.end()
    if whole is None and text.startswith('"', at):
        refuse("A quote is not closed.", code="bad_tree")
    start, depth = at, 0
    while at < len(text):
        char = text[at]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif char == "," and depth == 0:
            break
        elif char == '"' and depth:
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                refuse("A quote is not closed.", code="bad_tree")
            at = quoted.end()
            continue
        elif (stretch := _STRETCH.match(text, at)) is not None:
            at = stretch.end()
            continue
        at += 1
    return text[start:at], at

"""The query string: filters, logic trees, select, order. Pure; errors are PGRST100.

Depth is bounded before anything recurses, so a 10,000-deep tree costs one pass over its text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from fluxbase.kernel.errors import InvalidInput

OPERATORS = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike", "match": "~", "imatch": "~*",
    "in": "in", "is": "is", "isdistinct": "is distinct from", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-", "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
QUANTIFIABLE = frozenset({"eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"})
FULL_TEXT = frozenset({"fts", "plfts", "phfts", "wfts"})
IS_VALUES = {"null": "null", "not_null": "not null", "true": "true", "false": "false", "unknown": "unknown"}
AGGREGATES = frozenset({"sum", "avg", "min", "max", "count"})
RESERVED = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
MAX_DEPTH = 64
MAX_NAME = 4096

_HEAD = re.compile(r"(not\.)?([a-z]+)(?:\(([^()]{0,63})\))?\.", re.ASCII)
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s.,:()"!>\-][^.,:()"!>]*?)(?=[.,:()"!]|->|$)|(\*)')
_ARROW = re.compile(r"(->>?)(?:(-?\d+)(?=->|[.,:()]|$)|([^.,:()\->][^.,:()]*?)(?=->|[.,:()]|$))")


def fail(what: str, text: str, details: str | None = None) -> NoReturn:
    """A parse error in PostgREST's words."""
    shown = text if len(text) <= 200 else text[:200] + "…"
    raise InvalidInput(f'"failed to parse {what} ({shown})" (line 1, column 1)', pgrst="PGRST100", details=details)


@dataclass(frozen=True, slots=True)
class Field:
    """A column with a JSON path: ``data->a->>b`` is ``("data", (("->", "a"), ("->>", "b")))``; integers are indexes."""

    name: str
    path: tuple[tuple[str, str | int], ...] = ()

    @property
    def key(self) -> str:
        """The member's name in the answer: the last named step, else the column."""
        for _, step in reversed(self.path):
            if isinstance(step, str):
                return step
        return self.name


@dataclass(frozen=True, slots=True)
class Filter:
    """``field op value``; ``slot`` is the value's place in the request's list of values."""

    field: Field
    operator: str
    is_negated: bool
    quantifier: str | None
    language: str | None
    slot: int
    constant: str | None = None
    """The keyword of ``is``, which is part of the statement."""


@dataclass(frozen=True, slots=True)
class Logic:
    """``and``/``or`` over filters and trees."""

    operator: str
    is_negated: bool
    children: tuple[Filter | Logic, ...]


@dataclass(frozen=True, slots=True)
class SelectColumn:
    """A selected column or aggregate."""

    field: Field | None
    alias: str | None
    cast: str | None
    aggregate: str | None = None
    aggregate_cast: str | None = None


@dataclass(frozen=True, slots=True)
class SelectEmbed:
    """A selected relation."""

    target: str
    alias: str | None
    hint: str | None
    join: str | None
    is_spread: bool
    items: tuple[SelectItem, ...]


SelectItem = SelectColumn | SelectEmbed


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ``order``; ``relation`` for an order by a to-one embed."""

    field: Field
    relation: str | None
    direction: str
    nulls: str


@dataclass(slots=True)
class Part:
    """What applies to one node: the root, or an embed by its path."""

    filters: list[Filter | Logic] = field(default_factory=list["Filter | Logic"])
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None


@dataclass(slots=True)
class Query:
    """A parsed query string."""

    select: tuple[SelectItem, ...] = ()
    has_select: bool = False
    parts: dict[tuple[str, ...], Part] = field(default_factory=dict[tuple[str, ...], Part])
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    values: list[str] = field(default_factory=list[str])
    arguments: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """For GET rpc: parameters that are no filters."""


def decode_pairs(query: str) -> list[tuple[str, str]]:
    """Name and value pairs, percent-decoded as UTF-8. Raises PGRST100 for other bytes and for NUL."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text and text.isascii():
        return text
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError:
        fail("query string", "", "the query string is not valid UTF-8")
    if "\0" in decoded:
        fail("query string", "", "the query string has a NUL character")
    return decoded


def split_head(value: str) -> tuple[str, str] | None:
    """``("not.eq.", "5")`` of ``not.eq.5``; None when the value starts with no operator."""
    match = _HEAD.match(value)
    return None if match is None or match[2] not in OPERATORS else (match[0], value[match.end() :])


def parse_query(pairs: list[tuple[str, str]], *, is_rpc_get: bool = False) -> Query:
    """The whole query string. ``is_rpc_get``: what does not read as a filter is a function argument."""
    query = Query()
    for name, value in pairs:
        path, last = _split_path(name)
        if last in ("select", "columns", "on_conflict") and not path:
            if last == "select":
                query.select, query.has_select = parse_select(value), True
            elif last == "columns":
                query.columns = _names(value)
            else:
                query.on_conflict = _names(value)
            continue
        if last in ("order", "limit", "offset", "and", "or") or (last in ("and", "or") and path):
            is_negated = bool(path) and path[-1] == "not" and last in ("and", "or")
            part = query.parts.setdefault(path[:-1] if is_negated else path, Part())
            if last == "order":
                part.order = parse_order(value)
            elif last == "limit":
                part.limit = parse_number("limit", value)
            elif last == "offset":
                part.offset = parse_number("offset", value)
            else:
                part.filters.append(parse_tree(last, value, query.values, is_negated=is_negated))
            continue
        head = split_head(value)
        if is_rpc_get and head is None:
            query.arguments.append((name, value))
            continue
        if head is None:
            fail("filter", value, "an operator is expected, for example eq.5")
        node, field_ = parse_field_path(name)
        query.parts.setdefault(node, Part()).filters.append(_filter(field_, head[0], head[1], query.values))
    return query


def _split_path(name: str) -> tuple[tuple[str, ...], str]:
    if '"' in name or "." not in name:
        return (), name
    *path, last = name.split(".")
    return tuple(path), last


def parse_number(what: str, value: str) -> int:
    """A limit or offset. Raises PGRST100 for no integer, PGRST103 for a negative one."""
    digits = value.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        fail(f"{what} parameter", value, "an integer is expected")
    number = int(value)
    if number < 0:
        if what == "limit":
            raise InvalidInput(
                "Requested range not satisfiable", pgrst="PGRST103", details="Limit should be greater than or equal to zero.", status=416
            )
        raise InvalidInput(
            "Requested range not satisfiable", pgrst="PGRST103", details="Offset should be greater than or equal to zero.", status=416
        )
    return number


def _names(value: str) -> tuple[str, ...]:
    names: list[str] = []
    at = 0
    while at < len(value):
        name, at = _name(value, at, "columns")
        names.append(name)
        if at < len(value):
            if value[at] != ",":
                fail("columns parameter", value)
            at += 1
    return tuple(names)


def _name(text: str, at: int, what: str) -> tuple[str, int]:
    match = _NAME.match(text, at)
    if match is None or match.end() - at > MAX_NAME:
        fail(f"{what} parameter", text, "a name is expected")
    if match[1] is not None:
        return re.sub(r"\\(.)", r"\1", match[1]), match.end()
    return (match[2] or match[3]).strip(), match.end()


def _field(text: str, at: int, what: str) -> tuple[Field, int]:
    name, at = _name(text, at, what)
    steps: list[tuple[str, str | int]] = []
    while at < len(text) and text.startswith("->", at):
        match = _ARROW.match(text, at)
        if match is None or len(steps) >= MAX_DEPTH:
            fail(f"{what} parameter", text, "a JSON path is expected")
        steps.append((match[1], int(match[2]) if match[2] is not None else match[3].strip('"')))
        at = match.end()
    for _, step in steps:
        if isinstance(step, int) and not -(2**31) <= step < 2**31:
            fail(f"{what} parameter", text, "the index is out of range")
    return Field(name, tuple(steps)), at


def parse_field_path(name: str) -> tuple[tuple[str, ...], Field]:
    """``child.grand.col`` → (("child", "grand"), col)."""
    path: list[str] = []
    at = 0
    while True:
        field_, at = _field(name, at, "tree path")
        if at >= len(name):
            return tuple(path), field_
        if name[at] != "." or field_.path or len(path) >= MAX_DEPTH:
            fail("tree path", name)
        path.append(field_.name)
        at += 1


def _filter(field_: Field, head: str, value: str, values: list[str]) -> Filter:
    match = _HEAD.match(head)
    if match is None:
        fail("filter", head)
    is_negated, operator, inside = bool(match[1]), match[2], match[3]
    quantifier = language = constant = None
    if inside is not None:
        if operator in FULL_TEXT and re.fullmatch(r"\w+", inside):
            language = inside
        elif operator in QUANTIFIABLE and inside in ("any", "all"):
            quantifier = inside
        else:
            fail("filter", head + value, "unexpected parentheses after the operator")
    if operator == "is":
        constant = IS_VALUES.get(value.lower())
        if constant is None:
            fail("filter", f"is.{value}", "is takes null, not_null, true, false or unknown")
        return Filter(field_, operator, is_negated, None, None, -1, constant)
    if operator == "in":
        value = list_literal(value)
    elif operator in ("like", "ilike"):
        value = value.replace("*", "%")
    values.append(value)
    return Filter(field_, operator, is_negated, quantifier, language, len(values) - 1)


# A quote ends an element only before a comma or the end: supabase-js quotes values without escaping quotes inside.
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.|"(?!,|$))*)"', re.DOTALL)


def list_literal(value: str) -> str:
    """``(a,"b,c")`` as an array constant of PostgreSQL."""
    if not (value.startswith("(") and value.endswith(")")):
        fail("filter", f"in.{value}", "a list in parentheses is expected")
    items: list[str] = []
    text, at = value[1:-1], 0
    while text and at <= len(text):
        if at < len(text) and text[at] == '"':
            match = _ELEMENT.match(text, at)
            if match is None:
                fail("filter", f"in.{value[:200]}", "an unclosed quote")
            item, at = re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), match.end()
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            item, at = text[at:end], end
        items.append(item)
        at += 1
    return "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "}"


def _quoted(text: str, at: int) -> tuple[str, int]:
    match = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
    if match is None:
        fail("logic tree", text, "an unclosed quote")
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), match.end()


def parse_tree(operator: str, text: str, values: list[str], *, is_negated: bool = False) -> Logic:
    """``(a.eq.1,or(b.gt.2,not.and(…)))``. Depth over 64 is refused before descending."""
    depth = deepest = 0
    for char in text:
        if char == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif char == ")":
            depth -= 1
    if deepest > MAX_DEPTH:
        fail("logic tree", text[:60], f"nested deeper than {MAX_DEPTH}")
    node, at = _tree(operator, text, 0, values, is_negated=is_negated)
    if at != len(text):
        fail("logic tree", text)
    return node


_TREE_HEAD = re.compile(r"(not\.)?(and|or)\(")


def _tree(operator: str, text: str, at: int, values: list[str], *, is_negated: bool) -> tuple[Logic, int]:
    if at >= len(text) or text[at] != "(":
        fail("logic tree", text, "an opening parenthesis is expected")
    at += 1
    children: list[Filter | Logic] = []
    while True:
        match = _TREE_HEAD.match(text, at)
        if match is not None:
            child, at = _tree(match[2], text, match.end() - 1, values, is_negated=bool(match[1]))
            children.append(child)
        else:
            leaf, at = _leaf(text, at, values)
            children.append(leaf)
        if at >= len(text):
            fail("logic tree", text, "a closing parenthesis is expected")
        if text[at] == ")":
            return Logic(operator, is_negated, tuple(children)), at + 1
        if text[at] != ",":
            fail("logic tree", text)
        at += 1


def _leaf(text: str, at: int, values: list[str]) -> tuple[Filter, int]:
    field_, at = _field(text, at, "logic tree")
    if at >= len(text) or text[at] != ".":
        fail("logic tree", text, "an operator is expected")
    match = _HEAD.match(text, at + 1)
    if match is None or match[2] not in OPERATORS:
        fail("logic tree", text[:200], "an operator is expected")
    at = match.end()
    value, at = _tree_value(text, at, match[2])
    return _filter(field_, match[0], value, values), at


def _tree_value(text: str, at: int, operator: str) -> tuple[str, int]:
    if at < len(text) and text[at] == '"':
        return _quoted(text, at)
    if at < len(text) and text[at] == "(" and operator == "in":
        return _balanced(text, at, "(", ")")
    if at < len(text) and text[at] == "{":
        return _balanced(text, at, "{", "}")
    end = at
    while end < len(text) and text[end] not in ",)":
        end += 1
    return text[at:end], end


def _balanced(text: str, at: int, opening: str, closing: str) -> tuple[str, int]:
    end, depth = at, 0
    while end < len(text):
        char = text[end]
        if char == '"':
            _, end = _quoted(text, end)
            continue
        depth += (char == opening) - (char == closing)
        end += 1
        if depth == 0:
            return text[at:end], end
    fail("logic tree", text, f"a closing {closing} is expected")


def parse_order(text: str) -> tuple[Order, ...]:
    """``a.desc.nullslast,rel(b)``."""
    terms: list[Order] = []
    at = 0
    while True:
        field_, at = _field(text, at, "order")
        relation = None
        if at < len(text) and text[at] == "(" and not field_.path:
            relation = field_.name
            field_, at = _field(text, at + 1, "order")
            if at >= len(text) or text[at] != ")":
                fail("order", text)
            at += 1
        direction = nulls = ""
        end = text.find(",", at)
        end = len(text) if end < 0 else end
        for word in text[at:end].split(".")[1:] if text[at:end] else ():
            if word in ("asc", "desc") and not direction and not nulls:
                direction = word
            elif word in ("nullsfirst", "nullslast") and not nulls:
                nulls = " nulls first" if word == "nullsfirst" else " nulls last"
            else:
                fail("order", text, "asc, desc, nullsfirst or nullslast is expected")
        if end > at and text[at] != ".":
            fail("order", text)
        terms.append(Order(field_, relation, direction, nulls))
        if end >= len(text):
            return tuple(terms)
        at = end + 1


def parse_select(text: str) -> tuple[SelectItem, ...]:
    """``a,b:c->>d::text,rel!hint!inner(x),...spread(y)``. An empty text selects nothing (the default is every column)."""
    if not text.strip():
        return ()
    depth = deepest = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        fail("select parameter", text[:60], f"nested deeper than {MAX_DEPTH}")
    items, at = _items(text, 0)
    if at != len(text):
        fail("select parameter", text)
    return items


def _items(text: str, at: int) -> tuple[tuple[SelectItem, ...], int]:
    items: list[SelectItem] = []
    while True:
        while at < len(text) and text[at] == " ":
            at += 1
        item, at = _item(text, at)
        items.append(item)
        while at < len(text) and text[at] == " ":
            at += 1
        if at >= len(text) or text[at] != ",":
            return tuple(items), at
        at += 1


def _item(text: str, at: int) -> tuple[SelectItem, int]:
    is_spread = text.startswith("...", at)
    if is_spread:
        at += 3
    if text.startswith("count()", at):
        return _column_tail(text, at + 7, None, None, "count")
    field_, at = _field(text, at, "select")
    alias = None
    if at < len(text) and text[at] == ":" and not text.startswith("::", at):
        if field_.path or is_spread:
            fail("select parameter", text, "an alias is a plain name")
        alias = field_.name
        at += 1
        if text.startswith("count()", at):
            return _column_tail(text, at + 7, None, alias, "count")
        field_, at = _field(text, at, "select")
    modifiers: list[str] = []
    while at < len(text) and text[at] == "!":
        word, at = _name(text, at + 1, "select")
        modifiers.append(word)
    if at < len(text) and text[at] == "(" and not field_.path:
        return _embed(text, at, field_.name, alias, modifiers, is_spread=is_spread)
    if modifiers or is_spread:
        fail("select parameter", text, "a relation with parentheses is expected")
    return _column_tail(text, at, field_, alias, None)


def _embed(text: str, at: int, target: str, alias: str | None, modifiers: list[str], *, is_spread: bool) -> tuple[SelectEmbed, int]:
    joins = [word for word in modifiers if word in ("inner", "left")]
    hints = [word for word in modifiers if word not in ("inner", "left")]
    if len(joins) > 1 or len(hints) > 1:
        fail("select parameter", text)
    at += 1
    items: tuple[SelectItem, ...] = ()
    if at < len(text) and text[at] == ")":
        at += 1
    else:
        items, at = _items(text, at)
        if at >= len(text) or text[at] != ")":
            fail("select parameter", text, "a closing parenthesis is expected")
        at += 1
    return SelectEmbed(target, alias, hints[0] if hints else None, joins[0] if joins else None, is_spread, items), at


def _column_tail(text: str, at: int, field_: Field | None, alias: str | None, aggregate: str | None) -> tuple[SelectColumn, int]:
    cast = aggregate_cast = None
    if aggregate is None:
        cast, at = _cast(text, at)
        if at < len(text) and text[at] == ".":
            match = re.compile(r"\.(sum|avg|min|max|count)\(\)").match(text, at)
            if match is None:
                fail("select parameter", text)
            aggregate, at = match[1], match.end()
    if aggregate is not None:
        aggregate_cast, at = _cast(text, at)
    return SelectColumn(field_, alias, cast, aggregate, aggregate_cast), at


_CAST = re.compile(r"::([A-Za-z_][A-Za-z0-9_ ]*(?:\[\])?)")


def _cast(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("::", at):
        return None, at
    match = _CAST.match(text, at)
    if match is None or len(match[1]) > 63:
        fail("select parameter", text[:200], "a type name is expected after ::")
    return match[1].strip(), match.end()

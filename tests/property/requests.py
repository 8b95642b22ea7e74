"""Generated requests: trees of the grammar with their text, and text that only looks like it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from hypothesis import strategies as st

from fluxbase.data.grammar import Field, Filter, Logic, Order, Part, Query, SelectColumn, SelectEmbed
from fluxbase.data.grammar.filters import value_of
from fluxbase.data.grammar.terms import AGGREGATES, FULL_TEXT, IS_VALUES, OPERATORS, QUANTIFIABLE

_LETTERS = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",))
_WORDS = ("select", "columns", "on_conflict", "order", "limit", "offset", "and", "or", "not", "count", "inner", "left", "*")
NAME = st.text(_LETTERS, min_size=1, max_size=8).filter(lambda text: text not in _WORDS)
VALUE = st.text(_LETTERS, max_size=12)


@dataclass
class Rendered:
    """A tree and the parameters that say it."""

    tree: Query
    pairs: list[tuple[str, str]]


def name_text(name: str) -> str:
    """A name as it is always understood: quoted."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def field_text(field: Field) -> str:
    """A field with its path."""
    steps = (f"{arrow}{step if isinstance(step, int) else name_text(step)}" for arrow, step in field.path)
    return name_text(field.name) + "".join(steps)


STEP = st.tuples(st.sampled_from(["->", "->>"]), st.one_of(st.integers(-99, 99), NAME))
FIELD = st.builds(Field, NAME, st.lists(STEP, max_size=3).map(tuple))


@st.composite
def filters(draw: st.DrawFn, values: list[str], *, in_tree: bool) -> tuple[Filter, str, str]:
    """A filter with the text of its field and of its operator and value."""
    field, operator, is_negated = draw(FIELD), draw(st.sampled_from(sorted(OPERATORS))), draw(st.booleans())
    head = ("not." if is_negated else "") + operator
    quantifier = language = None
    if operator in QUANTIFIABLE and draw(st.booleans()):
        quantifier = draw(st.sampled_from(["any", "all"]))
        head += f"({quantifier})"
    if operator in FULL_TEXT and draw(st.booleans()):
        language = "english"
        head += "(english)"
    if operator == "is":
        word = draw(st.sampled_from(sorted(IS_VALUES)))
        return Filter(field, operator, is_negated, None, None, -1, IS_VALUES[word]), field_text(field), f"{head}.{word}"
    if operator == "in":
        value = "(" + ",".join(name_text(item) for item in draw(st.lists(VALUE, max_size=3))) + ")"
        text = value
    else:
        value = draw(VALUE)
        text = name_text(value) if in_tree else value
    values.append(value_of(operator, value))
    return Filter(field, operator, is_negated, quantifier, language, len(values) - 1), field_text(field), f"{head}.{text}"


@st.composite
def trees(draw: st.DrawFn, values: list[str], depth: int = 0) -> tuple[Logic, str, str]:
    """A logic tree with the text of its operator and of its parentheses."""
    operator, is_negated = draw(st.sampled_from(["and", "or"])), draw(st.booleans())
    children: list[Filter | Logic] = []
    texts: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        if depth < 3 and draw(st.integers(0, 3)) == 0:
            node, head, text = draw(trees(values, depth + 1))
            children.append(node)
            texts.append(head + text)
        else:
            leaf, name, text = draw(filters(values, in_tree=True))
            children.append(leaf)
            texts.append(f"{name}.{text}")
    return Logic(operator, is_negated, tuple(children)), ("not." if is_negated else "") + operator, f"({','.join(texts)})"


@st.composite
def orders(draw: st.DrawFn) -> tuple[Order, str]:
    """A term of order with its text."""
    field, relation = draw(FIELD), draw(st.one_of(st.none(), NAME))
    direction, nulls = draw(st.sampled_from(["", "asc", "desc"])), draw(st.sampled_from(["", "first", "last"]))
    text = field_text(field) if relation is None else f"{name_text(relation)}({field_text(field)})"
    text += (f".{direction}" if direction else "") + (f".nulls{nulls}" if nulls else "")
    return Order(field, relation, direction, f" nulls {nulls}" if nulls else ""), text


@st.composite
def items(draw: st.DrawFn, depth: int = 0) -> tuple[SelectColumn | SelectEmbed, str]:
    """A selected item with its text."""
    alias = draw(st.one_of(st.none(), NAME))
    shown = "" if alias is None else f"{name_text(alias)}:"
    if depth < 3 and draw(st.integers(0, 2)) == 0:
        target, hint = draw(NAME), draw(st.one_of(st.none(), NAME))
        join, is_spread = draw(st.sampled_from([None, "inner", "left"])), draw(st.booleans())
        inside = draw(st.lists(items(depth + 1), max_size=3))
        text = ("..." if is_spread else shown) + name_text(target) + (f"!{name_text(hint)}" if hint else "") + (f"!{join}" if join else "")
        return (
            SelectEmbed(target, None if is_spread else alias, hint, join, is_spread, tuple(item for item, _ in inside)),
            f"{text}({','.join(each for _, each in inside)})",
        )
    if draw(st.integers(0, 4)) == 0:
        return SelectColumn(None, alias, None, "count"), f"{shown}count()"
    field, cast = draw(FIELD), draw(st.sampled_from([None, "text", "int", "double precision"]))
    aggregate = draw(st.sampled_from([None, *sorted(AGGREGATES)]))
    after = draw(st.sampled_from([None, "text"])) if aggregate else None
    text = (
        shown
        + field_text(field)
        + (f"::{cast}" if cast else "")
        + (f".{aggregate}()" if aggregate else "")
        + (f"::{after}" if after else "")
    )
    return SelectColumn(field, alias, cast, aggregate, after), text


@st.composite
def queries(draw: st.DrawFn) -> Rendered:
    """A whole query."""
    tree = Query()
    pairs: list[tuple[str, str]] = []
    selected = draw(st.lists(items(), max_size=4))
    if selected:
        tree.select, tree.has_select = tuple(item for item, _ in selected), True
        pairs.append(("select", ",".join(text for _, text in selected)))
    for path in draw(st.lists(st.lists(NAME, max_size=2).map(tuple), max_size=3, unique=True)):
        part, before = Part(), "".join(f"{name_text(step)}." for step in path)
        for _ in range(draw(st.integers(0, 2))):
            leaf, name, text = draw(filters(tree.values, in_tree=False))
            part.filters.append(leaf)
            pairs.append((before + name, text))
        if draw(st.booleans()):
            node, head, text = draw(trees(tree.values))
            part.filters.append(node)
            pairs.append((before + head, text))
        terms = draw(st.lists(orders(), max_size=2))
        if terms:
            part.order = tuple(term for term, _ in terms)
            pairs.append((before + "order", ",".join(text for _, text in terms)))
        if draw(st.booleans()):
            part.limit = draw(st.integers(0, 10**6))
            pairs.append((before + "limit", str(part.limit)))
        if part != Part():
            tree.parts[path] = part
    return Rendered(tree, pairs)


QUERIES = queries()

_PIECES = st.sampled_from(
    ["id", "title", "data", "films", "directors", "reviews", "actors", "label", "secret", "select", "order", "limit", "or", "and", "not",
     "eq", "in", "is", "null", "fts", "any", "(", ")", "{", "}", ",", ".", ":", "::", "!", "...", "->", "->>", "=", "&", '"', "\\", "*", "1",
     "-1", "text", "count()", "sum()", "inner", "%00", "%ff", "%", "+", "'", ";", "--", "$1", "é"]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(_PIECES, max_size=40).map("".join), st.text(st.characters(max_codepoint=255, exclude_characters="#"), max_size=60)
)  # fmt: skip

_COLUMN = st.sampled_from(
    ["id", "title", "year", "label", "data->a->>b", "tags->0", "secret", "*", '"id"', "nope", "count()", "year.max()", "year::text"]
)


def _select(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return st.lists(_COLUMN, min_size=1, max_size=3).map(",".join)
    relation = st.sampled_from(
        ["directors", "reviews", "actors", "d:directors", "...directors", "...reviews", "posters", "films", "hidden", "maker"]
    )
    embed = st.builds(
        lambda name, join, inside: f"{name}{join}({inside})", relation, st.sampled_from(["", "!inner", "!left"]), _select(depth - 1)
    )
    return st.lists(st.one_of(_COLUMN, embed), min_size=1, max_size=3).map(",".join)


_PARAMETER = st.one_of(
    st.builds(lambda text: f"select={quote(text)}", _select(2)),
    st.builds(lambda path, name, op, value: f"{path}{quote(name)}={quote(op + value)}",
              st.sampled_from(["", "directors.", "reviews.", "d.", "directors.films."]), _COLUMN,
              st.sampled_from(["eq.", "not.eq.", "in.", "is.", "like(any).", "fts(english).", "cs."]), st.one_of(VALUE, st.just("null"), st.just("(1,2)"))),
    st.sampled_from(["directors=is.null", "reviews=not.is.null", "or=(id.eq.1,directors.is.null)", "order=directors(name).desc,id", "order=label",
                     "reviews.order=stars&reviews.limit=1", "limit=1&offset=2", "order=reviews(id)"]),
)  # fmt: skip
ON_FILMS = st.lists(_PARAMETER, min_size=1, max_size=5).map("&".join)

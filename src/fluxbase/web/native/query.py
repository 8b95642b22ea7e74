"""The native query language → the engine's query (contract-native 2.5). Pure.

One reader for both forms, the query string and the body of ``POST …/query``: each hands its pieces to ``QueryReader``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from fluxbase.data.distance import VECTOR_OPERATORS, DistanceOrder
from fluxbase.data.grammar import AGGREGATES, Field, Order, Part, Query, SelectColumn, SelectEmbed, decode_pairs, parse_field_path
from fluxbase.data.grammar import parse_order as parse_plain_order
from fluxbase.data.grammar import parse_select as parse_engine_select
from fluxbase.data.request import Parsed
from fluxbase.data.shape import Shape
from fluxbase.kernel.ids import ANON, SERVICE_ROLE
from fluxbase.web.native.cursor import apply_cursor
from fluxbase.web.native.operators import OPERATORS, condition, refuse, vector_text
from fluxbase.web.native.trees import parse_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.data.grammar import Condition, SelectItem
    from fluxbase.data.snapshot import Column, Relation

MAX_CONDITIONS = 1000
MAX_COLUMNS = 1000
MAX_WINDOW = 10_000
"""``offset`` plus ``limit``, except for the service role: deep pages cost as much as all before them."""
MAX_DIGITS = 18
COUNTS = frozenset({"exact", "planned", "estimated"})
_HEAD = re.compile(r"(not\.)?([a-z_0-9]+)(?:\((\w{1,63})\))?\.", re.ASCII)
_VECTOR_TERM = re.compile(
    r"(?P<column>[^.,]+)\.(?P<operator>vec_[a-z0-9]+)\.(?P<vector>\[[^\]]*\])(?:\.(?P<direction>asc|desc))?(?:\.(?P<nulls>nullsfirst|nullslast))?"
)

parse_select = lru_cache(1024)(parse_engine_select)
parse_path = lru_cache(4096)(parse_field_path)
parse_order = lru_cache(1024)(parse_plain_order)


@dataclass(slots=True)
class Asked:
    """What a request asks for beside the engine's query."""

    parsed: Parsed
    has_filter: bool
    count: str | None
    ignored: list[str]
    cursor: str | None = None
    cursor_column: str | None = None
    limit: int | None = None
    offset: int = 0


@dataclass(slots=True)
class QueryReader:
    """Collects the pieces; ``finish`` checks what concerns several of them."""

    relation: Relation
    role: str
    query: Query = field(default_factory=Query)
    values: list[str] = field(default_factory=list[str])
    conditions: int = 0
    order: list[Order | DistanceOrder] = field(default_factory=list[Order | DistanceOrder])
    limit: int | None = None
    offset: int | None = None
    count: str | None = None
    group_by: tuple[Field, ...] | None = None
    truncate: int | None = None
    cursor: str | None = None
    cursor_column: str | None = None
    ignored: list[str] = field(default_factory=list[str])
    visible: Mapping[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        shown = self.relation.visible(self.role)
        self.visible = {name: column for name, column in self.relation.columns.items() if name in shown}

    def select(self, text: str) -> None:
        """``select=``: columns, ``*``, embeds, and aggregates by their SQL names."""
        items = parse_select(text)
        if len(items) > MAX_COLUMNS:
            refuse(f"More than {MAX_COLUMNS} selected columns.", code="too_many_columns")
        self.query.select, self.query.has_select = with_aggregates(items), True

    def filter(self, column: str, operator: str, value: object, *, is_negated: bool = False, language: str | None = None) -> None:
        """One condition on a column, or on an embed's column by its path."""
        path, field_ = parse_path(column)
        self.query.parts.setdefault(path, Part()).filters.append(
            self._condition(field_, operator, value, is_negated=is_negated, language=language, is_root=not path)
        )

    def tree(self, operator: str, text: str, *, is_negated: bool = False) -> None:
        """``or=`` and ``and=``."""
        self.query.parts.setdefault((), Part()).filters.append(parse_tree(operator, text, self._leaf, is_negated=is_negated))

    def order_by(self, text: str) -> None:
        """``order=``: plain terms and vector terms."""
        if "vec_" not in text:
            self.order += parse_order(text)
            return
        for term in _split(text):
            match = _VECTOR_TERM.fullmatch(term)
            if match is None:
                self.order += parse_order(term)
            else:
                nulls = f" nulls {match['nulls'][5:]}" if match["nulls"] else ""
                self.order_by_distance(match["column"], match["operator"], match["vector"], match["direction"] or "", nulls)

    def order_by_distance(self, column: str, operator: str, vector: object, direction: str, nulls: str) -> None:
        """Nearest first (or last)."""
        if operator not in VECTOR_OPERATORS:
            refuse(f"There is no vector operator {operator[:40]}.", f"Operators: {', '.join(VECTOR_OPERATORS)}.")
        path, field_ = parse_path(column)
        if path:
            refuse("An order by distance is one of the table's own columns.")
        self.values.append(vector_text(vector))
        self.order.append(DistanceOrder(field_, operator, len(self.values) - 1, direction, nulls))

    def order_by_column(self, column: str, direction: str, nulls: str) -> None:
        """One plain term, in pieces."""
        path, field_ = parse_path(column)
        if path:
            refuse("An order names a column of the table itself.")
        self.order.append(Order(field_, None, direction, nulls))

    def group(self, columns: list[str]) -> None:
        """``group_by=``."""
        paths = [parse_path(column.strip()) for column in columns]
        if not paths or any(path for path, _ in paths):
            refuse("group_by names columns of the table itself.")
        self.group_by = tuple(field_ for _, field_ in paths)

    def count_conditions(self, more: int) -> None:
        """Refuse a request with too many conditions (threat E43)."""
        self.conditions += more
        if self.conditions > MAX_CONDITIONS:
            refuse(f"More than {MAX_CONDITIONS} conditions in one request.", code="too_many_filters")

    def _condition(
        self, field_: Field, operator: str, value: object, *, is_negated: bool, language: str | None = None, is_root: bool = True
    ) -> Condition:
        self.count_conditions(1)
        column = self.visible.get(field_.name) if is_root and not field_.path else None
        return condition(field_, operator, value, is_negated=is_negated, values=self.values, column=column, language=language)

    def _leaf(self, column: str, text: str) -> Condition:
        path, field_ = parse_path(column)
        head = _HEAD.match(text)
        if path or head is None:
            refuse("A condition in a tree is column.operator.value.", code="bad_tree")
        return self._condition(field_, head[2], text[head.end() :], is_negated=head[1] is not None, language=head[3])

    def finish(self) -> Asked:
        """The whole. Raises InvalidInput for pieces that do not go together."""
        self.query.shows_geojson = True
        part = self.query.parts.setdefault((), Part())
        part.order = tuple(self.order)
        if self.group_by is not None:
            self.query.select, self.query.is_grouped = _grouped(self.query, self.group_by), True
        if self.truncate is not None:
            self.values.append(str(self.truncate))
            self.query.truncate_slot = len(self.values) - 1
        self._window()
        has_filter = any(each.filters for each in self.query.parts.values())
        shape = Shape((), [], self.values, {}, {}, [])
        if self.limit is not None:
            shape.limits[()] = self.limit
        if self.offset is not None:
            shape.offsets[()] = self.offset
        key = [(path, tuple(each.filters)) for path, each in self.query.parts.items()]
        shape.key = (
            "native", self.query.select, self.query.has_select, self.query.is_grouped, self.query.truncate_slot, self.query.on_conflict,
            part.order, *key,
        )  # fmt: skip
        parsed = Parsed(shape, self.query, may_aggregate=self.role != ANON or _only_counts(self.query.select), unites_keys=True)
        return Asked(parsed, has_filter, self.count, self.ignored, self.cursor, self.cursor_column, self.limit, self.offset or 0)

    def _window(self) -> None:
        if self.role == SERVICE_ROLE:
            return
        offset = self.offset or 0
        if offset + (self.limit or 0) > MAX_WINDOW and (self.limit is not None or offset > MAX_WINDOW):
            refuse(
                f"offset and limit together are at most {MAX_WINDOW}.", "Use cursor and cursor_column for deeper pages.", "window_too_deep"
            )
        if self.limit is None and offset:
            self.limit = MAX_WINDOW - offset


def read_query_string(text: str, relation: Relation, role: str) -> Asked:
    """The query string of a table. Raises InvalidInput."""
    reader = QueryReader(relation, role)
    pairs = decode_pairs(text)
    for name, value in pairs:
        if name == "select":
            reader.select(value)
    embeds = {item.alias or item.target for item in reader.query.select if isinstance(item, SelectEmbed)}
    for name, value in pairs:
        if name != "select":
            _parameter(reader, name, value, embeds)
    if reader.cursor is not None or reader.cursor_column is not None:
        apply_cursor(reader)
    return reader.finish()


def _parameter(reader: QueryReader, name: str, value: str, embeds: set[str]) -> None:
    match name:
        case "or" | "and":
            reader.tree(name, value)
        case "not.or" | "not.and":
            reader.tree(name[4:], value, is_negated=True)
        case "order":
            reader.order_by(value)
        case "limit":
            reader.limit = number("limit", value)
        case "offset":
            reader.offset = number("offset", value)
        case "count":
            reader.count = count_of(value)
        case "group_by":
            reader.group(value.split(","))
        case "truncate":
            reader.truncate = number("truncate", value)
        case "cursor":
            reader.cursor = value
        case "cursor_column":
            reader.cursor_column = value
        case "on_conflict":
            reader.query.on_conflict = tuple(part.strip() for part in value.split(",") if part.strip())
        case _:
            _column_parameter(reader, name, value, embeds)


def _column_parameter(reader: QueryReader, name: str, value: str, embeds: set[str]) -> None:
    """``<column>=<op>.<value>``, or the old form ``<column>.<op>=<value>``; an unknown name without any dot is ignored."""
    head = _HEAD.match(value)
    column, dot, operator = name.rpartition(".")
    if dot and operator in OPERATORS and not (head is not None and column.partition(".")[0] in embeds):
        is_negated = column.endswith(".not")
        reader.filter(column.removesuffix(".not"), operator, value, is_negated=is_negated)
    elif head is not None:
        reader.filter(name, head[2], value[head.end() :], is_negated=head[1] is not None, language=head[3])
    elif "." in name or "." in value or name in reader.visible:
        refuse(f"The parameter {name[:63]} is no filter.", "A filter is column=operator.value, for example id=eq.5.")
    else:
        reader.ignored.append(name)


def parameter(query_string: bytes, name: str) -> str | None:
    """The last value of a parameter, None when it is absent."""
    return dict(decode_pairs(query_string.decode("latin-1"))).get(name)


def number(name: str, value: object) -> int:
    """A whole number that is not negative."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        refuse(f"{name} is a whole number, zero or more.", code="bad_number")
    return int(text)


def count_of(value: object) -> str:
    """``exact``, ``planned`` or ``estimated``."""
    if not isinstance(value, str) or value not in COUNTS:
        refuse("count is exact, planned or estimated.", code="bad_count")
    return value


@lru_cache(1024)
def with_aggregates(items: tuple[SelectItem, ...]) -> tuple[SelectItem, ...]:
    """``count(*)``, ``sum(c)`` … as aggregates named ``count``, ``sum_c`` …; a second count is ``count_c``."""
    found: list[SelectItem] = []
    names: set[str] = set()
    for item in items:
        if isinstance(item, SelectEmbed) and item.target in AGGREGATES and item.hint is None and item.join is None and not item.is_spread:
            aggregate = _aggregate(item, names)
            names.add(aggregate.alias or "")
            found.append(aggregate)
        else:
            found.append(item)
    return tuple(found)


def _aggregate(item: SelectEmbed, names: set[str]) -> SelectColumn:
    inside = item.items[0] if len(item.items) == 1 else None
    if not isinstance(inside, SelectColumn) or inside.field is None or inside.alias or inside.aggregate:
        refuse(f"{item.target}() takes one column.", "For example sum(price) or count(*).", "bad_aggregate")
    if inside.field.name == "*":
        if item.target != "count":
            refuse(f"{item.target}() takes a column, only count() takes *.", code="bad_aggregate")
        return SelectColumn(None, item.alias or "count", None, "count")
    is_first_count = item.target == "count" and "count" not in names
    name = "count" if is_first_count else f"{item.target}_{inside.field.key}"
    return SelectColumn(inside.field, item.alias or name, inside.cast, item.target)


def _only_counts(items: tuple[SelectItem, ...]) -> bool:
    """``count(*)`` alone costs what ``count=exact`` costs, so everybody may ask for it."""
    return all(isinstance(item, SelectColumn) and item.aggregate == "count" and item.field is None for item in items)


def _grouped(query: Query, group_by: tuple[Field, ...]) -> tuple[SelectItem, ...]:
    """The select of a grouped read: the grouping columns, those not named first, and aggregates; ``*`` means no more than that."""
    items = [item for item in query.select if not (isinstance(item, SelectColumn) and item.field == Field("*") and item.aggregate is None)]
    shown: set[Field] = set()
    for item in items:
        if not isinstance(item, SelectColumn):
            refuse("A grouped read embeds nothing.", code="bad_group")
        if item.aggregate is None and item.field is not None:
            if item.field not in group_by:
                refuse(f"The column {item.field.name[:63]} must be in group_by or inside an aggregate.", code="bad_group")
            shown.add(item.field)
    query.has_select = True
    missing = dict.fromkeys(field_ for field_ in group_by if field_ not in shown)
    return (*(SelectColumn(field_, None, None) for field_ in missing), *items)


def _split(text: str) -> list[str]:
    """The terms of an order: cut at commas that are not inside a vector's brackets."""
    terms: list[str] = []
    start = depth = 0
    for at, char in enumerate(text):
        if char == "," and depth == 0:
            terms.append(text[start:at])
            start = at + 1
        else:
            depth += (char == "[") - (char == "]")
    return [*terms, text[start:]]

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# A value is any JSON; each kind is checked where it is used.
"""One condition of the native dialect: column, operator and value → the engine's condition (contract-native 2.5). Pure.

A value is the text of a query string or any JSON of a ``…/query`` body.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn, TypeVar

import orjson

from fluxbase.data.distance import SPATIAL_DISTANCES, SPATIAL_FUNCTIONS, VECTOR_OPERATORS, Nearness
from fluxbase.data.grammar import Filter, Logic, list_literal
from fluxbase.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.data.grammar import Condition, Field
    from fluxbase.data.snapshot import Column

COMPARISONS = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "sl", "sr", "nxr", "nxl", "adj"})
LISTS = {"in": False, "nin": True}
CONSTANTS = {"is": False, "isnot": True}
CONTAINERS = frozenset({"cs", "cd", "ov"})
FULL_TEXT = {"fts": "plfts", "plfts": "phfts", "wfts": "wfts"}
"""Native name → engine's: plainto, phraseto and websearch."""
OPERATORS = frozenset(
    {*COMPARISONS, *LISTS, *CONSTANTS, *CONTAINERS, *FULL_TEXT, *SPATIAL_FUNCTIONS, *SPATIAL_DISTANCES, *VECTOR_OPERATORS, "between"}
)
_IS_VALUES = {"null": "null", "true": "true", "false": "false"}
_GEOMETRIES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"})
MAX_DIMENSIONS = 16_000
J = TypeVar("J", list[object], dict[str, object])


def refuse(message: str, hint: str | None = None, code: str = "bad_filter") -> NoReturn:
    """400 in the dialect's words."""
    raise InvalidInput(message, code=code, hint=hint)


def condition(
    field: Field, operator: str, value: object, *, is_negated: bool, values: list[str], column: Column | None, language: str | None = None
) -> Condition:
    """The engine's condition; its values are appended to ``values``. ``column`` is None for a column the caller cannot see.

    Raises InvalidInput for an unknown operator and for a value that the operator does not take.
    """

    def slot(text: str) -> int:
        values.append(text)
        return len(values) - 1

    if language is not None and operator not in FULL_TEXT:
        refuse(f"The operator {operator} takes nothing in parentheses.")
    if operator in COMPARISONS:
        return Filter(field, operator, is_negated, None, None, slot(plain_text(value)))
    if operator in LISTS:
        return Filter(field, "in", is_negated is not LISTS[operator], None, None, slot(list_text(value)))
    if operator in CONSTANTS:
        constant = _IS_VALUES.get(plain_text(value).lower())
        if constant is None:
            refuse(f"{operator} takes null, true or false.")
        return Filter(field, "is", is_negated is not CONSTANTS[operator], None, None, -1, constant)
    if operator in CONTAINERS:
        return Filter(field, operator, is_negated, None, None, slot(container_text(value, column)))
    if operator in FULL_TEXT:
        return Filter(field, FULL_TEXT[operator], is_negated, None, language, slot(plain_text(value)))
    if operator == "between":
        low, high = _pair(value)
        return between(field, low, high, is_negated=is_negated, values=values)
    if operator in SPATIAL_FUNCTIONS:
        return Nearness(field, operator, is_negated, slot(geojson_text(value)))
    if operator in SPATIAL_DISTANCES:
        limit, other = _limit_and_operand(operator, value)
        return Nearness(field, operator, is_negated, slot(geojson_text(other)), slot(limit))
    if operator in VECTOR_OPERATORS:
        limit, other = _limit_and_operand(operator, value)
        return Nearness(field, operator, is_negated, slot(vector_text(other)), slot(limit))
    refuse(f"There is no operator {operator[:40]}.", f"Operators: {', '.join(sorted(OPERATORS))}.", "unknown_operator")


def between(field: Field, low: object, high: object, *, is_negated: bool, values: list[str]) -> Logic:
    """``low <= column <= high``, or outside of it."""
    values += [plain_text(low), plain_text(high)]
    first = Filter(field, "lt" if is_negated else "gte", False, None, None, len(values) - 2)
    second = Filter(field, "gt" if is_negated else "lte", False, None, None, len(values) - 1)
    return Logic("or" if is_negated else "and", False, (first, second))


def plain_text(value: object) -> str:
    """A value as PostgreSQL's text: words for null and booleans, array constants for lists, JSON for objects."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return array_text(value)
    return orjson.dumps(value).decode()


def array_text(items: Sequence[object]) -> str:
    """An array constant of PostgreSQL, nested for nested lists."""
    shown: list[str] = []
    for item in items:
        if item is None:
            shown.append("NULL")
        elif isinstance(item, list):
            shown.append(array_text(item))
        else:
            shown.append('"' + plain_text(item).replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(shown) + "}"


def list_text(value: object) -> str:
    """``(a,b)``, ``["a","b"]`` or a JSON list as an array constant."""
    if isinstance(value, str) and value.startswith("["):
        value = _json(value, list, "a JSON array")
    if isinstance(value, list):
        if any(isinstance(item, list | dict) for item in value):
            refuse("The elements of a list are plain values.")
        return array_text(value)
    if not isinstance(value, str) or not value.startswith("("):
        refuse("in and nin take a list.", 'Write (a,b) or ["a","b"].')
    return list_literal(value)


def container_text(value: object, column: Column | None) -> str:
    """The operand of ``cs``, ``cd`` and ``ov``, written for the column: a list becomes an array or a JSON array."""
    is_json = column is not None and column.type_name in ("json", "jsonb")
    is_array = column is not None and column.category == "A"
    if isinstance(value, str):
        if value.startswith("(") and (is_json or is_array):
            text = list_literal(value)
            return text if is_array else _json_list(value)
        if value.startswith("[") and is_array:
            return array_text(_json(value, list, "a JSON array"))
        return value
    return orjson.dumps(value).decode() if is_json else plain_text(value)


def _json_list(value: str) -> str:
    """``(1,a)`` as ``[1,"a"]``: what reads as JSON is JSON."""
    items: list[object] = []
    for item in value[1:-1].split(",") if value != "()" else ():
        try:
            items.append(orjson.loads(item))
        except orjson.JSONDecodeError:
            items.append(item)
    return orjson.dumps(items).decode()


def vector_text(value: object) -> str:
    """``[0.1,0.2]``. Raises InvalidInput for anything but a list of numbers."""
    items = _json(value, list, "a vector like [0.1,0.2]") if isinstance(value, str) else value
    if not isinstance(items, list) or not 0 < len(items) <= MAX_DIMENSIONS:
        refuse("A vector is a list of numbers.")
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in items):
        refuse("A vector is a list of numbers.")
    return orjson.dumps(items).decode()


def geojson_text(value: object) -> str:
    """A GeoJSON geometry (RFC 7946). Raises InvalidInput for another object."""
    shape = _json(value, dict, "a GeoJSON geometry") if isinstance(value, str) else value
    if not is_geometry(shape):
        refuse("A GeoJSON geometry has a known type and coordinates.", code="bad_geojson")
    return orjson.dumps(shape).decode()


def is_geometry(value: object) -> bool:
    """Whether a JSON value is a geometry by its members."""
    if not isinstance(value, dict) or value.get("type") not in _GEOMETRIES:
        return False
    return isinstance(value.get("geometries" if value["type"] == "GeometryCollection" else "coordinates"), list)


def _limit_and_operand(operator: str, value: object) -> tuple[str, object]:
    """``100,{…}`` or ``[100, {…}]``: the greatest distance, then the other operand."""
    if isinstance(value, str):
        text, comma, other = value.partition(",")
        pair: list[object] = [text, other] if comma else []
    else:
        pair = value if isinstance(value, list) and len(value) == 2 else []
    if not pair:
        refuse(f"{operator} takes the greatest distance and a value: {operator}.<distance>,<value>.", "To sort by distance use order.")
    try:
        limit = float(plain_text(pair[0]))
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        refuse(f"The distance of {operator} is a number.")
    return repr(limit), pair[1]


def _pair(value: object) -> tuple[object, object]:
    if isinstance(value, str):
        text = value[1:-1] if value.startswith("(") and value.endswith(")") else value
        items: list[object] = list(_json(value, list, "two values")) if value.startswith("[") else list(text.split(","))
    else:
        items = value if isinstance(value, list) else []
    if len(items) != 2:
        refuse("between takes two values: between.(low,high).")
    return items[0], items[1]


def _json(text: str, kind: type[J], what: str) -> J:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, kind):
        refuse(f"{what[0].upper()}{what[1:]} is expected.")
    return value

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# The members of a JSON body have no types; each is checked where it is read.
"""The body of ``POST …/query`` (contract-native 2.5): the same reader as for the query string. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.data.body import load_json
from fluxbase.data.grammar import Part
from fluxbase.kernel.errors import InvalidInput, TooLarge
from fluxbase.web.native.operators import between, refuse
from fluxbase.web.native.query import MAX_CONDITIONS, Asked, QueryReader, count_of, number, parse_path

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation

MAX_BODY_BYTES = 1_048_576
_NULLS = {"first": " nulls first", "last": " nulls last", "nullsfirst": " nulls first", "nullslast": " nulls last"}


def json_object(body: bytes) -> dict[str, Any]:
    """A body that must be a JSON object. Raises InvalidInput."""
    value = load_json(body)
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.", code="bad_body")
    return value


def read_query_body(body: bytes, relation: Relation, role: str) -> Asked:
    """All members of the body. Raises InvalidInput for members of the wrong type, TooLarge for a body over 1 MiB."""
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The body of a query is at most {MAX_BODY_BYTES} bytes.", code="body_too_large")
    wanted = json_object(body)
    reader = QueryReader(relation, role)
    if wanted.get("select") is not None:
        reader.select(_text("select", wanted["select"]))
    for item in _objects(wanted, "filters"):
        _filter(reader, item)
    for name, operator in (("orFilters", "or"), ("andFilters", "and")):
        for text in _list(wanted, name):
            shown = _text(name, text)
            reader.tree(operator, shown if shown.startswith("(") else f"({shown})")
    for item in _objects(wanted, "betweenFilters"):
        _between(reader, item)
    for item in _objects(wanted, "order"):
        _order(reader, item)
    for name in ("limit", "offset", "truncate"):
        if wanted.get(name) is not None:
            setattr(reader, name, number(name, wanted[name]))
    if wanted.get("count") is not None:
        reader.count = count_of(wanted["count"])
    groups = _list(wanted, "groupBy")
    if groups:
        reader.group([_text("groupBy", item) for item in groups])
    return reader.finish()


def _filter(reader: QueryReader, item: dict[str, Any]) -> None:
    operator = _text("operator", item.get("operator"))
    reader.filter(_text("column", item.get("column")), operator.removeprefix("not."), item.get("value"), is_negated=operator[:4] == "not.")


def _between(reader: QueryReader, item: dict[str, Any]) -> None:
    if "min" not in item or "max" not in item:
        refuse("A between filter has column, min and max.", code="bad_query_body")
    path, field = parse_path(_text("column", item.get("column")))
    reader.count_conditions(2)
    condition = between(field, item["min"], item["max"], is_negated=item.get("negated") is True, values=reader.values)
    reader.query.parts.setdefault(path, Part()).filters.append(condition)


def _order(reader: QueryReader, item: dict[str, Any]) -> None:
    column, direction, nulls = item.get("column"), item.get("direction"), item.get("nulls")
    if direction not in (None, "asc", "desc") or (nulls is not None and nulls not in _NULLS):
        refuse("An order has direction asc or desc, and nulls first or last.", code="bad_query_body")
    shown_nulls = "" if nulls is None else _NULLS[nulls]
    if item.get("vectorOp") is not None:
        operator = _text("vectorOp", item["vectorOp"])
        reader.order_by_distance(_text("column", column), operator, item.get("vectorValue"), direction or "", shown_nulls)
        return
    reader.order_by_column(_text("column", column), direction or "", shown_nulls)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        refuse(f"{name} must be a string.", code="bad_query_body")
    return value


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(f"{name} must be a list.", code="bad_query_body")
    if len(value) > MAX_CONDITIONS:
        refuse(f"{name} has more than {MAX_CONDITIONS} members.", code="too_many_filters")
    return value


def _objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = _list(body, name)
    if not all(isinstance(item, dict) for item in value):
        refuse(f"{name} must be a list of objects.", code="bad_query_body")
    return value

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# A cursor is JSON from outside; each member is checked where it is read.
"""Keyset pages: ``cursor_column`` and ``cursor`` (contract-native 2.5). Pure.

A page is ordered by one column, ties by the primary key. The answer's ``X-Next-Cursor`` is base64url of
``{"c": column, "v": last value, "k": last key}``; base64 of a bare value is read too. A cursor is only a filter: whatever
it holds, policies decide which rows exist. Rows whose cursor column is null stand on no page.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.data.grammar import Field, Filter, Logic, Order, Part
from fluxbase.data.plan import unknown_column
from fluxbase.web.native.operators import plain_text, refuse

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation
    from fluxbase.web.native.query import QueryReader

MAX_CURSOR = 4096


def key_of(relation: Relation, column: str) -> str | None:
    """The column that decides between rows of the same cursor value; None when there are none."""
    if (column,) in relation.uniques:
        return None
    if len(relation.primary_key) != 1:
        refuse("cursor_column must be unique, or the table needs a primary key of one column.", code="bad_cursor")
    return relation.primary_key[0]


def apply_cursor(reader: QueryReader) -> None:
    """Order and filter of the page that the reader asks for. Raises InvalidInput, also for a column the caller cannot see."""
    relation = reader.relation
    column = reader.cursor_column or (relation.primary_key[0] if len(relation.primary_key) == 1 else "")
    if column not in reader.visible:
        unknown_column(relation.name, column[:63])
    reader.cursor_column = column
    key = key_of(relation, column)
    direction = "asc"
    if reader.order:
        first = reader.order[0]
        if len(reader.order) > 1 or not isinstance(first, Order) or first.field != Field(column):
            refuse("A page by cursor is ordered by cursor_column alone.", code="bad_cursor")
        direction = first.direction or "asc"
    reader.order = [Order(Field(column), None, direction, "")]
    if key is not None:
        reader.order.append(Order(Field(key), None, "asc", ""))
    part = reader.query.parts.setdefault((), Part())
    part.filters.append(Filter(Field(column), "is", is_negated=True, quantifier=None, language=None, slot=-1, constant="null"))
    if reader.cursor is not None:
        after = "gt" if direction == "asc" else "lt"
        part.filters.append(_behind(column, key, after, decode_cursor(reader.cursor, column), reader.values))


def _behind(column: str, key: str | None, after: str, last: tuple[str, str | None], values: list[str]) -> Filter | Logic:
    def compare(name: str, operator: str, value: str) -> Filter:
        values.append(value)
        return Filter(Field(name), operator, is_negated=False, quantifier=None, language=None, slot=len(values) - 1)

    further = compare(column, after, last[0])
    if key is None or last[1] is None:
        return further
    tie = Logic("and", is_negated=False, children=(compare(column, "eq", last[0]), compare(key, "gt", last[1])))
    return Logic("or", is_negated=False, children=(further, tie))


def decode_cursor(text: str, column: str) -> tuple[str, str | None]:
    """Last value and last key. Raises InvalidInput."""
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError  # noqa: TRY301 - one answer for every malformed cursor
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        refuse("The cursor is malformed.", "Use the X-Next-Cursor of the page before.", "bad_cursor")
    try:
        value: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw, None
    if not isinstance(value, dict):
        return plain_text(value), None
    if value.get("c") != column or "v" not in value:
        refuse("The cursor belongs to another cursor_column.", code="bad_cursor")
    return plain_text(value["v"]), None if value.get("k") is None else plain_text(value["k"])


def next_cursor(body: bytes, relation: Relation, column: str) -> bytes | None:
    """The cursor behind the last row of a page; None when the row does not show what it takes."""
    rows = orjson.loads(body)
    last: dict[str, Any] = rows[-1] if rows else {}
    key = key_of(relation, column)
    if last.get(column) is None or (key is not None and last.get(key) is None):
        return None
    return base64.urlsafe_b64encode(orjson.dumps({"c": column, "v": last[column], "k": None if key is None else last[key]})).rstrip(b"=")

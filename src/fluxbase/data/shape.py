"""The shape of a request apart from its values: the key under which its statement is remembered. Pure.

A known shape costs this pass and one dictionary look-up; everything else is remembered with the statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fluxbase.data.grammar import decode_pairs, list_literal, parse_number, parse_tree, split_head
from fluxbase.kernel.errors import RangeNotSatisfiable

if TYPE_CHECKING:
    from fluxbase.data.compile import Slot

Path = tuple[str, ...]
_TEXTS = frozenset({"select", "order", "columns", "on_conflict"})


@dataclass(slots=True)
class Shape:
    """What of a request decides the statement, and what fills it."""

    key: tuple[object, ...]
    pairs: list[tuple[str, str]]
    values: list[str]
    limits: dict[Path, int]
    offsets: dict[Path, int]
    arguments: list[tuple[str, str]]


@lru_cache(maxsize=4096)
def _operator(head: str) -> str:
    return head.removeprefix("not.").partition(".")[0].partition("(")[0]


@lru_cache(maxsize=4096)
def _last(name: str) -> tuple[Path, str]:
    if '"' in name or "." not in name:
        return (), name
    *path, last = name.split(".")
    return tuple(path), last


def shape_of(query: str, *, is_rpc_get: bool = False) -> Shape:
    """Split a query string into key and values. Raises PGRST100 and PGRST103 as the grammar does."""
    pairs = decode_pairs(query)
    key: list[object] = []
    shape = Shape((), pairs, [], {}, {}, [])
    values = shape.values
    for name, value in pairs:
        path, last = _last(name)
        if last in _TEXTS:
            key.append((name, value))
        elif last == "limit" or last == "offset":
            (shape.limits if last == "limit" else shape.offsets)[path] = parse_number(last, value)
            key.append(name)
        elif last == "and" or last == "or":
            key.append((name, value))
            parse_tree(last, value, values)
        else:
            head = split_head(value)
            if head is None:
                if is_rpc_get:
                    shape.arguments.append((name, value))
                key.append((name, None if is_rpc_get else value))
                continue
            operator = _operator(head[0])
            if operator == "is":
                key.append((name, value))
                continue
            key.append((name, head[0]))
            if operator == "in":
                values.append(list_literal(head[1]))
            elif operator == "like" or operator == "ilike":
                values.append(head[1].replace("*", "%"))
            else:
                values.append(head[1])
    shape.key = tuple(key)
    return shape


def apply_range(shape: Shape, range_header: str | None) -> None:
    """Intersect ``Range: 0-9`` with limit and offset. Malformed ones are ignored, a reversed one is PGRST103."""
    if not range_header:
        return
    text = range_header.removeprefix("items=")
    low, dash, high = text.partition("-")
    if not dash or not low.isdigit() or (high and not high.isdigit()) or len(text) > 40:
        return
    first = int(low)
    if high and int(high) < first:
        raise RangeNotSatisfiable(
            "Requested range not satisfiable",
            pgrst="PGRST103",
            details="The lower boundary must be lower than or equal to the upper boundary in the Range header.",
        )
    start = max(first, shape.offsets.get((), 0))
    limits = [int(high) - start + 1] if high else []
    if () in shape.limits:
        limits.append(shape.limits[()])
    shape.offsets[()] = start
    if limits:
        shape.limits[()] = max(0, min(limits))


def fill(slots: tuple[Slot, ...], shape: Shape, *, max_rows: int, body: bytes = b"") -> list[bytes | str | None]:
    """The statement's parameters for this request."""
    filled: list[bytes | str | None] = []
    for kind, what in slots:
        if kind == "value":
            filled.append(shape.values[what])  # type: ignore[index]
        elif kind == "text":
            filled.append(what)  # type: ignore[arg-type]
        elif kind == "limit":
            wanted = shape.limits.get(what)  # type: ignore[arg-type]
            filled.append(str(max_rows if wanted is None else min(wanted, max_rows)))
        elif kind == "offset":
            filled.append(str(shape.offsets[what]))  # type: ignore[index]
        elif kind == "body":
            filled.append(body)
        else:
            filled.append(shape.arguments[what][1])  # type: ignore[index]
    return filled

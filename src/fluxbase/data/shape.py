"""The shape of a request apart from its values: the key under which its statement is remembered. Pure.

A known shape costs this pass and one dictionary look-up; everything else is remembered with the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from fluxbase.data.grammar import Path, decode_pairs, parse_number, parse_query, parse_tree, path_of, split_head
from fluxbase.data.grammar.filters import value_of
from fluxbase.kernel.errors import RangeNotSatisfiable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.compile import Slot
    from fluxbase.data.grammar import Query
    from fluxbase.data.request import DataRequest

_RANGE = re.compile(r"(?:items=)?(\d{1,18})-(\d{0,18})", re.ASCII)
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*+")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*+")
_CANONICAL = re.compile(r"[A-Za-z0-9._~-]++=[A-Za-z0-9._~-]*+(?:&[A-Za-z0-9._~-]++=[A-Za-z0-9._~-]*+)*+")


@dataclass(slots=True)
class Shape:
    """What of a request decides the statement, and what fills it."""

    key: tuple[object, ...]
    pairs: list[tuple[str, str]]
    values: list[str] = field(default_factory=list[str])
    limits: dict[Path, int] = field(default_factory=dict[Path, int])
    offsets: dict[Path, int] = field(default_factory=dict[Path, int])
    arguments: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def shape_of(query: str, *, is_rpc_get: bool = False) -> Shape:
    """Split a query string into key and values. Raises PGRST100 and PGRST103 as the grammar does."""
    pairs = decode_pairs(query)
    key: list[object] = []
    shape = Shape((), pairs)
    values = shape.values
    for name, value in pairs:
        path, word = path_of(name)
        if not word:
            head = split_head(value)
            if head is None:
                is_argument = is_rpc_get and "." not in name
                if is_argument:
                    shape.arguments.append((name, value))
                key.append((name, None if is_argument else value))
            elif head[2] == "is":
                key.append((name, value))
            else:
                key.append((name, head[0]))
                values.append(value_of(head[2], value[head.end() :]))
        elif word == "limit" or word == "offset":
            (shape.limits if word == "limit" else shape.offsets)[path] = parse_number(word, value)
            key.append(name)
        elif word == "and" or word == "or":
            key.append((name, parse_tree(word, value, values)))
        else:
            key.append((name, value))
    shape.key = tuple(key)
    return shape


def parse_request(request: DataRequest) -> tuple[Shape, Callable[[], Query]]:
    """Shape and query of a table request, whichever dialect wrote it. Each call gives a query of its own: compiling one uses it up."""
    parsed = request.parsed
    if parsed is not None:
        return parsed.shape, lambda: _copy(parsed.query)
    shape = shape_of(request.query)
    return shape, lambda: parse_query(shape.pairs)


def _copy(query: Query) -> Query:
    return replace(query, parts={path: replace(part, filters=[*part.filters]) for path, part in query.parts.items()})


def apply_range(shape: Shape, range_header: str | None) -> None:
    """Intersect ``Range: 0-9`` with limit and offset. A malformed one is ignored.

    Raises PGRST103 for a reversed one and for one that has no row in common with limit and offset.
    """
    match = _RANGE.fullmatch(range_header) if range_header else None
    if match is None:
        return
    first, last = int(match[1]), int(match[2]) if match[2] else None
    if last is not None and last < first:
        raise _unsatisfiable("The lower boundary must be lower than or equal to the upper boundary in the Range header.")
    offset, limit = shape.offsets.get((), 0), shape.limits.get(())
    if limit is not None:
        last = offset + limit - 1 if last is None else min(last, offset + limit - 1)
    start = max(first, offset)
    if last is not None and last < start and limit != 0:
        raise _unsatisfiable("The Range header has no row in common with limit and offset.")
    shape.offsets[()] = start
    if last is not None:
        shape.limits[()] = max(0, last - start + 1)


def _unsatisfiable(details: str) -> RangeNotSatisfiable:
    return RangeNotSatisfiable("Requested range not satisfiable", pgrst="PGRST103", details=details)


def canonical_query(query: str, shape: Shape) -> str:
    """The parameters sorted by name and encoded in one way: requests that mean the same have the same Content-Location."""
    if _CANONICAL.fullmatch(query):
        return "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("=")[0]))
    pairs = sorted(shape.pairs, key=lambda pair: pair[0])
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)


def encoded_path(path: str) -> str:
    """A path as a URL has it."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path)


def _encoded(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


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
        elif kind == "rows":
            filled.append(str(max_rows + 1))
        elif kind == "body":
            filled.append(body)
        else:
            filled.append(shape.arguments[what][1])  # type: ignore[index]
    return filled

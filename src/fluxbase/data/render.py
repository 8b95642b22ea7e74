# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""From the statement's one row to status, headers and body (contract 1.4, 1.5, 1.7). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from fluxbase.data.request import DataReply
from fluxbase.kernel.errors import Internal, NotAcceptable, RangeNotSatisfiable

if TYPE_CHECKING:
    from fluxbase.data.media import Representation

Headers = list[tuple[bytes, bytes]]
Row = tuple[bytes | None, ...]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""Headers that say where an answer ends are not SQL's to decide."""


def body_of(media: Representation, row: Row) -> bytes:
    """The body as PostgreSQL made it."""
    body = row[0] or b""
    return bytes.fromhex(body.decode("ascii")) if media.handler is not None and media.handler.is_binary else body


def not_single(rows: int) -> NotAcceptable:
    """Not exactly one row where one object was demanded."""
    return NotAcceptable("Cannot coerce the result to a single JSON object", pgrst="PGRST116", details=f"The result contains {rows} rows")


def content_range(offset: int, rows: int, total: int | None) -> bytes:
    """``0-9/57``, ``*/57`` without rows."""
    shown = "*" if total is None else str(total)
    return (f"{offset}-{offset + rows - 1}/{shown}" if rows else f"*/{shown}").encode()


def range_status(offset: int, rows: int, total: int | None) -> int:
    """200 or 206. Raises PGRST103 when the offset is behind the last row."""
    if total is None:
        return 200
    if offset > 0 and offset > total:
        raise RangeNotSatisfiable(
            "Requested range not satisfiable", pgrst="PGRST103",
            details=f"An offset of {offset} was requested, but there are only {total} rows.",
            headers=(("content-range", f"*/{total}"),),
        )  # fmt: skip
    return 206 if rows < total else 200


def finished(status: int, headers: Headers, body: bytes, row: Row) -> DataReply:
    """The reply, with what ``response.headers`` and ``response.status`` say. Raises PGRST111 or PGRST112 when they are malformed."""
    raw_headers, raw_status = row[3], row[4]
    if raw_status:
        status = _status(raw_status)
    if raw_headers:
        given = _headers(raw_headers)
        names = {name for name, _ in given}
        headers = [pair for pair in headers if pair[0] not in names] + given
    if status in (204, 304):  # they have no body, whatever the function thinks (RFC 9110)
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        body = b""
    return DataReply(status, headers, body, int(row[1] or b"0"))


def _status(raw: bytes) -> int:
    if not raw.isdigit() or not 200 <= int(raw) <= 599:
        raise Internal("response.status guc must be a valid status code", pgrst="PGRST112")
    return int(raw)


def _headers(raw: bytes) -> Headers:
    found: Headers = []
    try:
        items = orjson.loads(raw)
        if not isinstance(items, list):
            raise TypeError  # noqa: TRY301 - one answer for every malformed form
        for item in items:
            ((name, value),) = item.items()
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError  # noqa: TRY301 - one answer for every malformed form
            pair = name.lower().encode("ascii"), value.encode("latin-1")
            if pair[0] not in _FRAMING:
                found.append(pair)
    except (ValueError, AttributeError, TypeError):
        raise Internal(
            "response.headers guc must be a JSON array composed of objects with a single key and a string value", pgrst="PGRST111"
        ) from None
    return found


def location(table: str, body: bytes) -> bytes | None:
    """``/table?id=eq.1`` of a single inserted row, from its key as ``[[name, value], …]``."""
    pairs = orjson.loads(body or b"null")
    if not pairs:
        return None
    query = "&".join(f"{quote(name, safe='')}={'is.null' if value is None else 'eq.' + quote(value, safe='')}" for name, value in pairs)
    return f"/{quote(table)}?{query}".encode()

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""From the statement's one row to status, headers and body (contract 1.4, 1.5, 1.7). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from fluxbase.kernel.errors import Internal, NotAcceptable, RangeNotSatisfiable

if TYPE_CHECKING:
    from fluxbase.data.compile import Media

Headers = list[tuple[bytes, bytes]]
Row = tuple[bytes | None, ...]

CONTENT_TYPES: dict[Media, bytes] = {
    "json": b"application/json; charset=utf-8",
    "object": b"application/vnd.pgrst.object+json; charset=utf-8",
    "csv": b"text/csv; charset=utf-8",
    "stripped": b"application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
    "stripped_object": b"application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
}


def choose_media(accept: str) -> Media:
    """The representation for an Accept header, honouring q. Raises PGRST107."""
    if not accept or accept == "*/*" or accept == "application/json":
        return "json"
    offers: list[tuple[float, int, str]] = []
    for index, part in enumerate(accept.split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        stripped = "nulls=stripped" in parameters
        offers.append((-quality, index, name + (";stripped" if stripped else "")))
    for _, _, name in sorted(offers):
        match name:
            case "*/*" | "application/*" | "application/json" | "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array":
                return "json"
            case "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object":
                return "object"
            case "application/vnd.pgrst.object+json;stripped" | "application/vnd.pgrst.object;stripped":
                return "stripped_object"
            case "application/vnd.pgrst.array+json;stripped" | "application/vnd.pgrst.array;stripped":
                return "stripped"
            case "text/csv":
                return "csv"
            case _:
                continue
    raise NotAcceptable(f"None of these media types are available: {accept}", pgrst="PGRST107", code="media_type")


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


def with_overrides(status: int, headers: Headers, row: Row) -> int:
    """Apply ``response.headers`` and ``response.status``. Raises PGRST111 or PGRST112 when they are malformed."""
    raw_headers, raw_status = row[3], row[4]
    if raw_headers:
        try:
            for item in orjson.loads(raw_headers):
                ((name, value),) = item.items()
                lower = name.lower().encode("ascii")
                encoded = value.encode("latin-1")
                if any(char in lower + encoded for char in (b"\r", b"\n", b"\0")):
                    raise ValueError  # noqa: TRY301 - one answer for every malformed form
                headers[:] = [pair for pair in headers if pair[0] != lower]
                headers.append((lower, encoded))
        except (ValueError, AttributeError, TypeError, UnicodeError):
            raise Internal(
                "response.headers guc must be a JSON array composed of objects with a single key and a string value", pgrst="PGRST111"
            ) from None
    if raw_status:
        if not raw_status.isdigit() or not 100 <= int(raw_status) <= 599:
            raise Internal("response.status guc must be a valid status code", pgrst="PGRST112")
        return int(raw_status)
    return status


def location(table: str, key: tuple[str, ...], body: bytes) -> bytes | None:
    """``/table?id=eq.1`` of a single inserted row."""
    rows = orjson.loads(body) if body.startswith(b"[") else []
    if len(rows) != 1 or len(rows[0]) != len(key):
        return None
    pairs = "&".join(f"{quote(name)}=eq.{quote(str(value), safe='')}" for name, value in zip(key, rows[0], strict=True))
    return f"/{quote(table)}?{pairs}".encode()

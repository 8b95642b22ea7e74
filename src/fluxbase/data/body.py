# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""Request bodies: JSON, CSV, form. What reaches PostgreSQL is one JSON text, its keys known and uniform.

Refused with PGRST102: invalid JSON or UTF-8, repeated keys, rows of different keys, NUL (PostgreSQL has no such text),
nesting over 64.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from fluxbase.data.grammar import decode_pairs
from fluxbase.kernel.errors import InvalidInput

MAX_DEPTH = 64
_KEY = re.compile(rb'"\s*:')


@dataclass(frozen=True, slots=True)
class Payload:
    """Rows as one JSON array text, with their common keys in order of appearance."""

    text: bytes
    keys: tuple[str, ...]
    rows: int
    is_object: bool


def refuse(message: str) -> NoReturn:
    """PGRST102."""
    raise InvalidInput(message, pgrst="PGRST102", code="bad_body")


def parse_rows(body: bytes, content_type: str, *, needs_uniform: bool, unites_keys: bool = False) -> Payload:
    """The rows of a write. ``unites_keys``: rows may differ, their keys together name the columns."""
    media = content_type.split(";", 1)[0].strip().lower()
    if media in ("", "application/json", "application/vnd.pgrst.object+json", "application/vnd.pgrst.array+json"):
        return _json_rows(body, needs_uniform=needs_uniform and not unites_keys, unites_keys=unites_keys)
    if media == "text/csv":
        return _csv_rows(body)
    if media != "application/x-www-form-urlencoded":
        refuse_type(media)
    fields = dict(decode_pairs(text_of(body)))
    return Payload(orjson.dumps([fields]), tuple(fields), 1, is_object=True)


def is_raw(media: str) -> bool:
    """Whether a body of this type is one value, for a function with one unnamed argument."""
    return media in ("text/plain", "text/xml", "application/octet-stream")


def refuse_type(media: str) -> NoReturn:
    """A body of a type that nothing here reads."""
    refuse(f"Content-Type not acceptable: {media[:100]}")


def load_json(body: bytes) -> Any:
    """Parsed JSON without repeated keys, NUL and excessive depth."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse("Empty or invalid json")
    keys, is_too_deep = _measure(value)
    if is_too_deep:
        refuse(f"JSON nested deeper than {MAX_DEPTH}")
    if b"\\u0000" in body and "\0" in _all_text(value):
        raise InvalidInput("unsupported Unicode escape sequence", sqlstate="22P05", code="nul_in_json")
    if not _has_unique_keys(body, keys):
        refuse("A JSON object has the same key twice")
    return value


def _measure(value: Any) -> tuple[int, bool]:
    """Number of keys on all levels, and whether there are more than MAX_DEPTH levels."""
    keys = depth = 0
    level: list[Any] = [value]
    while level := [each for each in level if type(each) is dict or type(each) is list]:
        depth += 1
        if depth > MAX_DEPTH:
            return keys, True
        below: list[Any] = []
        for each in level:
            if type(each) is dict:
                keys += len(each)
                below += each.values()
            else:
                below += each
        level = below
    return keys, False


def _all_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "\0")


def _has_unique_keys(body: bytes, keys: int) -> bool:
    """Every key has a colon behind its closing quote: when there are no more such places than keys, none repeats."""
    if body.count(b":") == keys or len(_KEY.findall(body)) == keys:
        return True
    try:
        json.loads(body, object_pairs_hook=_unique)
    except KeyError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyError
    return found


def _json_rows(body: bytes, *, needs_uniform: bool, unites_keys: bool) -> Payload:
    value = load_json(body)
    if isinstance(value, dict):
        return Payload(b"[" + body + b"]", tuple(value), 1, is_object=True)
    if not isinstance(value, list):
        refuse("Empty or invalid json")
    if not all(isinstance(row, dict) for row in value):
        refuse("All object keys must match")
    if needs_uniform and value:
        wanted = value[0].keys()
        if any(row.keys() != wanted for row in value):
            refuse("All object keys must match")
    keys = tuple(value[0]) if value else ()
    if unites_keys and any(row.keys() != value[0].keys() for row in value):
        keys = tuple(dict.fromkeys(key for row in value for key in row))
    return Payload(body, keys, len(value), is_object=False)


_STRAY_QUOTE = re.compile(r'(?:(?:[^",\r\n]*+|"(?:[^"]|"")*+")(?:,|\r\n|\r|\n|\Z))*+\Z')
"""RFC 4180: a quote opens a field or is doubled inside one; Python's reader takes it for a character elsewhere."""
csv.field_size_limit(2**31 - 1)  # the body has its own limit


def _csv_rows(body: bytes) -> Payload:
    text = text_of(body)
    if '"' in text and _STRAY_QUOTE.match(text) is None:
        refuse("Invalid CSV: a quote stands where none may")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error:
        refuse("Invalid CSV")
    if not lines:
        refuse("Empty or invalid csv")
    header, *rows = lines
    if any(len(row) != len(header) for row in rows) or len(set(header)) != len(header):
        refuse("All lines must have same number of fields")
    values = [{name: None if cell == "NULL" else cell for name, cell in zip(header, row, strict=True)} for row in rows]
    return Payload(orjson.dumps(values), tuple(header) if rows else (), len(rows), is_object=False)


def text_of(body: bytes) -> str:
    """The body as text. Raises PGRST102 for what PostgreSQL cannot hold."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        refuse("The body is not valid UTF-8")
    if "\0" in text:
        refuse("The body has a NUL character")
    return text

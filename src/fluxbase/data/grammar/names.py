"""Names, quoted values, JSON paths and numbers: what every part of the language is made of.

A scanner takes the text and a position and gives what it read with the position behind it. Expressions are possessive:
none of them can backtrack.
"""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from fluxbase.data.grammar.terms import Field, Path
from fluxbase.kernel.errors import InvalidInput

MAX_DEPTH = 64
"""Deepest nesting of trees, embeds and JSON paths."""
MAX_SHOWN = 200

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PLAIN = re.compile(r"[\w$ ]++(?:-(?!>)[\w$ ]++)*+")
_KEY = re.compile(r"[^(\-:.,>)]++(?:-(?!>)[^(\-:.,>)]++)*+")
_INDEX = re.compile(r"(-?\d++)(?=->|[.,:)]|$)", re.ASCII)
_CAST = re.compile(r"::([A-Za-z_][\w ]{0,62}(?:\[\])?)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def fail(what: str, text: str, at: int = 0, expecting: str = "") -> NoReturn:
    """PGRST100: what could not be read, where, and what was expected there."""
    shown = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    met = f'unexpected "{text[at]}"' if at < len(text) else "unexpected end of input"
    raise InvalidInput(
        f'"failed to parse {what} ({shown})" (line 1, column {at + 1})', pgrst="PGRST100",
        details=f"{met} expecting {expecting}" if expecting else met,
    )  # fmt: skip


def decode_pairs(query: str) -> list[tuple[str, str]]:
    """Name and value pairs, percent-decoded as UTF-8. Raises PGRST100 for other bytes and for NUL."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text and text.isascii():
        return text
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise InvalidInput('"failed to parse query string" (line 1, column 1)', pgrst="PGRST100", details="not valid UTF-8") from None
    if "\0" in decoded:
        raise InvalidInput('"failed to parse query string" (line 1, column 1)', pgrst="PGRST100", details="a NUL character")
    return decoded


def scan_quoted(text: str, at: int, what: str) -> tuple[str, int]:
    """``"a\\"b"`` from the opening quote."""
    match = _QUOTED.match(text, at)
    if match is None:
        fail(what, text, len(text), "a closing quote")
    return unescape(match[1]), match.end()


def unescape(text: str) -> str:
    """Without the backslashes of a quoted value."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def scan_name(text: str, at: int, what: str) -> tuple[str, int]:
    """A quoted name, or letters, digits, ``_ $ -`` and inner spaces."""
    if text.startswith('"', at):
        name, end = scan_quoted(text, at, what)
    else:
        match = _PLAIN.match(text, at)
        if match is None:
            fail(what, text, at, "a name")
        name, end = match[0].strip(" "), match.end()
    if not name:
        fail(what, text, at, "a name")
    return name, end


def scan_field(text: str, at: int, what: str) -> tuple[Field, int]:
    """A name with its JSON path."""
    name, at = scan_name(text, at, what)
    if not text.startswith("->", at):
        return Field(name), at
    steps: list[tuple[str, str | int]] = []
    while text.startswith("->", at):
        if len(steps) >= MAX_DEPTH:
            fail(what, text, at, f"at most {MAX_DEPTH} steps of a JSON path")
        arrow = "->>" if text.startswith("->>", at) else "->"
        step, at = _scan_step(text, at + len(arrow), what)
        steps.append((arrow, step))
    return Field(name, tuple(steps)), at


def _scan_step(text: str, at: int, what: str) -> tuple[str | int, int]:
    if text.startswith('"', at):
        return scan_quoted(text, at, what)
    index = _INDEX.match(text, at)
    if index is not None and len(index[1]) <= 11 and -(2**31) <= int(index[1]) < 2**31:
        return int(index[1]), index.end()
    key = _KEY.match(text, at)
    if key is None or index is not None or not key[0].strip(" "):
        fail(what, text, at, "a key or an index")
    return key[0].strip(" "), key.end()


def scan_cast(text: str, at: int, what: str) -> tuple[str | None, int]:
    """``::type``, if there is one."""
    if not text.startswith("::", at):
        return None, at
    match = _CAST.match(text, at)
    if match is None:
        fail(what, text, at + 2, "a type")
    return match[1].strip(" "), match.end()


def scan_path(name: str, what: str) -> Path:
    """``child.grand`` → ("child", "grand"); the empty text is the root."""
    path: list[str] = []
    at = 0
    while at < len(name):
        step, at = scan_name(name, at, what)
        path.append(step)
        if at < len(name):
            if name[at] != "." or len(path) >= MAX_DEPTH or at + 1 == len(name):
                fail(what, name, at, "delimiter (.)")
            at += 1
    return tuple(path)


def parse_names(text: str, what: str) -> tuple[str, ...]:
    """``a,"b c"``."""
    names: list[str] = []
    at = 0
    while at < len(text):
        name, at = scan_name(text, at, what)
        names.append(name)
        if at < len(text):
            if text[at] != "," or at + 1 == len(text):
                fail(what, text, at, '","')
            at += 1
    return tuple(names)


def parse_number(what: str, value: str) -> int:
    """A limit or offset. Raises PGRST100 for no integer, PGRST103 for a negative one."""
    digits = value.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        fail(f"{what} parameter", value, 0, "an integer")
    number = int(value)
    if number < 0:
        raise InvalidInput(
            "Requested range not satisfiable", pgrst="PGRST103", status=416,
            details=f"{what.capitalize()} should be greater than or equal to zero.",
        )  # fmt: skip
    return number

"""The one place that quotes. Identifiers come from the catalogue, values are parameters (DESIGN invariant 7)."""

from __future__ import annotations

from fluxbase.kernel.errors import InvalidInput

MAX_IDENTIFIER_BYTES = 63


def quote_ident(name: str) -> str:
    """An identifier in double quotes. NUL, emptiness and over-long names are refused, never repaired."""
    if not name or "\0" in name or len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise InvalidInput("Not an identifier.", code="bad_identifier")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A string constant; for constants of our own only (NUL refused)."""
    if "\0" in text:
        raise InvalidInput("A NUL character is not text.", code="bad_text")
    if "\\" in text:
        return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"


def qualified(schema: str, name: str) -> str:
    """``"schema"."name"``."""
    return f"{quote_ident(schema)}.{quote_ident(name)}"


def array_literal(items: tuple[str, ...] | list[str]) -> str:
    """A PostgreSQL array constant of texts, as the text form of a parameter."""
    return "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "}"

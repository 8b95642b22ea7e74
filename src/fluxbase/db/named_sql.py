"""Reads ``src/fluxbase/sql/<area>.sql``: several statements in one file, each under a line ``-- name: <name>``."""

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def _area(area: str) -> dict[str, str]:
    text = (files("fluxbase") / "sql" / f"{area}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body.strip().rstrip(";")
    return found


def named_sql(area: str, name: str) -> LiteralString:
    """The statement ``name`` of ``sql/<area>.sql``. A file of the package, so as constant as a literal."""
    return cast("LiteralString", _area(area)[name])

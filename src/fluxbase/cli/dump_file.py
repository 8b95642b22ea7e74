"""A dump in plain SQL, made safe to hand to psql (threat F58: a hostile dump runs programs through psql's own commands).

The file is read by psql in restricted mode under a key that the dump cannot know: there psql refuses each of its own
commands, wherever in a line it stands. The check here only gives the earlier and clearer refusal.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

_COPY = re.compile(rb"COPY .* FROM stdin;\s*$")
_RESTRICT = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+\s*$")
_PREAMBLE = re.compile(rb"\s*$|--|SET |SELECT pg_catalog\.set_config|CREATE SCHEMA |\\restrict ")


class DumpFileError(Exception):
    """The file is no dump in plain SQL; the message names the line."""


def safe_lines(path: Path) -> Iterator[bytes]:
    """The lines for psql. Raises DumpFileError at a line that is a psql command.

    A schema that exists is kept, and a setting that only newer servers know is left out: both stand in the dump's head.
    """
    yield b"\\restrict " + secrets.token_hex(24).encode() + b"\n"
    is_copying, is_preamble = False, True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if is_copying:
                is_copying = line.rstrip(b"\r\n") != b"\\."
                yield line
                continue
            if _RESTRICT.match(line):
                continue  # ours is in force; its key ends with psql
            if line.startswith(b"\\"):
                raise DumpFileError(f"{path}, line {number}: a psql command; a dump must be plain SQL, as fluxbase db dump writes it")
            is_copying = _COPY.match(line) is not None
            is_preamble = is_preamble and _PREAMBLE.match(line) is not None
            if is_preamble and line.startswith(b"SET transaction_timeout"):
                continue
            if is_preamble and line.startswith(b"CREATE SCHEMA "):
                line = line.replace(b"CREATE SCHEMA ", b"CREATE SCHEMA IF NOT EXISTS ", 1)
            yield line

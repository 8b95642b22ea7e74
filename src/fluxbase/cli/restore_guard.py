"""What a dump is wrapped in: one transaction that it cannot end itself, and a look at what it made before that is kept (threat F58).

A dump runs as ``fluxbase_owner``, who is no superuser and owns none of the system's objects, so most of what a hostile one tries
PostgreSQL refuses. What it would not refuse is looked for in the catalogue at the end, in the same transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from fluxbase.db.named_sql import named_sql


def new_token() -> str:
    """What no dump can name."""
    return secrets.token_hex(12)


def guarded(lines: Iterable[bytes], token: str, *, is_trusted: bool) -> Iterator[bytes]:
    """The lines of a dump between those of the guard. ``is_trusted``: it may open what the checks of ``open`` would refuse.

    The last row that psql prints is the token, when the transaction was committed as a whole.
    """
    yield _section("before", token)
    yield from lines
    yield b"\n;\n"  # whatever the last line left open
    for name in ("after", *(() if is_trusted else ("open",)), "commit"):
        yield _section(name, token)


def _section(name: str, token: str) -> bytes:
    text = named_sql("restore", name).replace("{token}", token)
    return f"{text};\n".encode()

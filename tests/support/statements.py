"""Which statements the server sends for one request, read from PostgreSQL's own log."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

from tests.support.server import Server

_STATEMENT = re.compile(r"LOG:\s+(?:execute [^:]*|statement): (.*(?:\n\t.*)*)")
_BACKGROUND = re.compile(
    r"update platform\.mails|from platform\.mails|platform\.blocks|platform\.switches|audit\.entries|^select 1$|from platform\.tenants where is_default|pg_auth_members|set_config\('request\.|select id::text, slug|^(?:begin|commit|rollback)\b",
    re.IGNORECASE,
)
"""The sender's and other watchers' own (a mail that is sent is sent later, whoever asked), and the pipeline's, before the body is read."""


def statements_of(server: Server, ask: Callable[[], object]) -> list[str]:
    """Each statement that ran while ``ask`` did, in order, without the background's."""
    server.root_sql("alter system set log_statement = 'all'")
    server.root_sql("select pg_reload_conf()")
    begin, end = f"begin-{uuid.uuid4().hex}", f"end-{uuid.uuid4().hex}"
    try:
        _until_logged(server, begin)
        ask()
        _until_logged(server, end)
        text = _log(server)
    finally:
        server.root_sql("alter system reset log_statement")
        server.root_sql("select pg_reload_conf()")
    between = text.rpartition(begin)[2].partition(end)[0]
    found = [" ".join(match[1].split()) for match in _STATEMENT.finditer(between)]
    return [line for line in found if not _BACKGROUND.search(line) and "begin-" not in line and "end-" not in line]


def _until_logged(server: Server, mark: str) -> None:
    ends_at = time.monotonic() + 20
    while mark not in _log(server):
        assert time.monotonic() < ends_at, "PostgreSQL does not log statements"
        server.root_sql(f"select '{mark}'")
        time.sleep(0.05)


def _log(server: Server) -> str:
    return (server.data_dir / "log" / "postgres.log").read_text(errors="replace")

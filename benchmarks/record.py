"""Find out what the shipped program sends to PostgreSQL for each case: from PostgreSQL's own log, so that the peers run
the very same statements whatever the compiler does today."""

from __future__ import annotations

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from tests.support.server import Server

ROLE = "authenticated"
IDENTITY = re.compile(r"\d{13}\.[0-9a-f]{64}")
NOT_MEASURED = re.compile(r"\s*(begin|commit|rollback|reset|set|unlisten|close|discard|deallocate|show)\b", re.IGNORECASE)
SIGN = """
create schema bench_private;
create function bench_private.sign(role text, claims text) returns text language sql volatile as $$
  select expiry || '.' || encode(sha256('\\x{outer}'::bytea || sha256('\\x{inner}'::bytea || convert_to(
    current_database() || E'\\n' || role || E'\\n' || pg_backend_pid() || E'\\n' || expiry || E'\\n' || claims, 'UTF8'))), 'hex')
  from (select floor(extract(epoch from clock_timestamp()) * 1000 + 9000)::bigint::text as expiry) e
$$;
grant usage on schema bench_private to authenticated;
grant execute on function bench_private.sign(text, text) to authenticated;
"""
LOG_ON = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "bench_log",
    "log_statement": "all",
    "log_parameter_max_length": "-1",
}
"""Given on the command line, as the program gives its own: ALTER SYSTEM would not win over those."""


def install_signer(server: Server) -> None:
    """A function that signs like the server does, for the peers; its key is the database's own."""
    key = bytes(server.root_sql("select key from fluxbase.identity_key")[0][0]).ljust(64, b"\0")
    inner, outer = (bytes(b ^ pad for b in key).hex() for pad in (0x36, 0x5C))
    server.root_sql(SIGN.format(inner=inner, outer=outer))


def parameters(detail: str) -> list[str | None]:
    """``Parameters: $1 = 'a', $2 = NULL`` as a list."""
    found = re.findall(r"\$\d+ = (NULL|'(?:[^']|'')*')", detail)
    return [None if v == "NULL" else v[1:-1].replace("''", "'") for v in found]


def entries(folder: Path) -> list[dict[str, Any]]:
    """Executed statements in the log of the client role's connections."""
    lines = [json.loads(line) for path in sorted(folder.glob("*.json")) for line in path.read_text().splitlines()]
    return [e for e in lines if ROLE in e.get("user", "") and str(e.get("message", "")).startswith("execute ")]


def record(server: Server, token: str, prefix: str) -> dict[str, Any]:
    """Send each case twice and keep what the second one executed."""
    folder = Path(server.root_sql("show data_directory")[0][0]) / "bench_log"
    recorded: dict[str, Any] = {}
    for case in CASES:
        headers = {"content-type": "application/json"} | ({"prefer": case.prefer} if case.prefer else {})
        for _ in range(2):
            before = len(entries(folder))
            answer = server.request(case.method, prefix + case.path, key=token, headers=headers, content=case.body)
            if answer.status_code >= 300:
                raise RuntimeError(f"{case.name}: {answer.status_code} {answer.text[:300]}")
            time.sleep(0.3)
        statements = [{"sql": e["message"].split(": ", 1)[1], "params": parameters(e.get("detail", ""))} for e in entries(folder)[before:]]
        measured = [s for s in statements if not NOT_MEASURED.match(s["sql"])][:2]
        claims = ""
        for statement in measured:
            for index, value in enumerate(statement["params"]):
                if value and IDENTITY.fullmatch(value):
                    statement["params"][index] = "@identity"
                elif value and value.startswith("{") and '"sub"' in value:
                    claims = value
        if len(measured) != 2 or not claims:
            raise RuntimeError(f"{case.name}: expected settings and statement, found {[s['sql'][:80] for s in statements]}")
        recorded[case.name] = {"statements": measured, "claims": claims, "role": ROLE, "bytes": len(answer.content)}
    return recorded


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """The figures of a run, for comparing runs."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

"""Rules for the .sql files: what LiteralString cannot see inside PL/pgSQL."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "src" / "fluxbase" / "sql"

# Reviewed: the text that is executed is made of regclass names of the catalogue, which PostgreSQL quotes itself.
REVIEWED_EXECUTES = {
    "execute format('alter table %s enable row level security, force row level security', found.name);",
    "execute format('alter view %s set (security_invoker = true)', found.name);",
    "execute item.statement;",
}


def without_comments(path: Path) -> str:
    """The file's SQL."""
    return re.sub(r"--[^\n]*", "", path.read_text())


def test_dynamic_execute_is_reviewed() -> None:
    """Each EXECUTE of built text uses %I and %L, or stands in the reviewed list of this file."""
    found: list[str] = []
    for path in sorted(SQL.rglob("*.sql")):
        for line in without_comments(path).splitlines():
            statement = line.strip()
            if not re.match(r"execute\s+(?!function|procedure|on\b)", statement, re.IGNORECASE) or statement in REVIEWED_EXECUTES:
                continue
            if "%s" in statement or ("format(" not in statement and not re.match(r"execute\s+'[^']*';", statement, re.IGNORECASE)):
                found.append(f"{path.relative_to(ROOT)}: {statement}")
    assert found == [], "use format() with %I and %L, or have the line reviewed and add it to REVIEWED_EXECUTES"


def test_definer_functions_pin_their_search_path() -> None:
    """Each SECURITY DEFINER function starts with pg_catalog and ends with pg_temp in its search_path (threat F51)."""
    found: list[str] = []
    for path in sorted((SQL / "migrations").glob("*.sql")):
        for head in re.findall(r"create (?:or replace )?function (.*?)\bas \$", without_comments(path), re.DOTALL | re.IGNORECASE):
            if "security definer" in head.lower() and not re.search(r"set search_path = pg_catalog,.*pg_temp", head, re.IGNORECASE):
                found.append(f"{path.name}: {head.split('(')[0]}")
    assert found == []


def test_migrations_are_numbered_without_gaps() -> None:
    """System migrations are NNNN_name.sql, each number once, none left out."""
    names = sorted(p.name for p in (SQL / "migrations").glob("*.sql"))
    assert [int(n[:4]) for n in names] == list(range(1, len(names) + 1))

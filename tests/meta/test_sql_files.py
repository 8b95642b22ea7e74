"""Rules for the .sql files: what LiteralString cannot see inside PL/pgSQL."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "src" / "fluxbase" / "sql"

# Reviewed: target.name is format('%I.%I') or a regprocedure of the catalogue; item.statement is made of regclass and regprocedure.
REVIEWED_EXECUTES = re.compile(r"execute format\('[^']*%s[^']*', target\.name(, client)?\);|execute item\.statement;")


def without_comments(path: Path) -> str:
    """The file's SQL."""
    return re.sub(r"--[^\n]*", "", path.read_text())


def test_dynamic_execute_is_reviewed() -> None:
    """Each EXECUTE of built text uses %I and %L, or stands in the reviewed list of this file."""
    found: list[str] = []
    for path in sorted(SQL.rglob("*.sql")):
        for line in without_comments(path).splitlines():
            statement = line.strip()
            if not re.match(r"execute\s+(?!function|procedure|on\b)", statement, re.IGNORECASE) or REVIEWED_EXECUTES.fullmatch(statement):
                continue
            if "%s" in statement or ("format(" not in statement and not re.match(r"execute\s+'[^']*';", statement, re.IGNORECASE)):
                found.append(f"{path.relative_to(ROOT)}: {statement}")
    assert found == [], "use format() with %I and %L, or have the line reviewed and add it to REVIEWED_EXECUTES"


def test_definer_functions_pin_their_search_path() -> None:
    """Each SECURITY DEFINER function starts with pg_catalog and ends with pg_temp in its search_path (threat F51)."""
    found: list[str] = []
    for path in sorted((SQL / "migrations").glob("*.sql")):
        heads = re.findall(r"create (?:or replace )?function (.*?)\bas \$", without_comments(path), re.DOTALL | re.IGNORECASE)
        definers = [head for head in heads if "security definer" in head.lower()]
        pinned = re.compile(r"set search_path = pg_catalog,.*pg_temp", re.IGNORECASE)
        found += [f"{path.name}: {head.split('(')[0]}" for head in definers if not pinned.search(head)]
    assert found == []


def test_migrations_are_numbered_without_gaps() -> None:
    """System migrations are NNNN_name.sql, each number once, none left out."""
    names = sorted(p.name for p in (SQL / "migrations").glob("*.sql"))
    assert [int(n[:4]) for n in names] == list(range(1, len(names) + 1))

"""One statement by one login, and what PostgreSQL said to it: how the proof looks at the logins of tenants from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Attempt:
    """Rows, or a refusal."""

    rows: tuple[tuple[Any, ...], ...] = ()
    refusal: str = ""
    """SQLSTATE, or ``connection`` when the login was not let in; empty: it went through."""


def attempt(conninfo: str, *statements: str) -> Attempt:
    """Log in, run the statements, roll everything back. The answer is the last one's. Blocking."""
    try:
        connection = psycopg.connect(conninfo, connect_timeout=5)
    except psycopg.OperationalError:
        return Attempt(refusal="connection")
    try:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        return Attempt(tuple(rows))
    except psycopg.Error as error:
        return Attempt(refusal=error.sqlstate or "connection")
    finally:
        connection.close()

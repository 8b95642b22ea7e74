"""Everything that stands in a database, so that a test can say what something left behind."""

from __future__ import annotations

from collections import Counter

from tests.support.server import Server
from tests.support.tenant import cluster_sql

_TABLES = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by 1"""


def rows_of(server: Server, database: str) -> dict[str, Counter[str]]:
    """Table → its rows as text, without who changed them last and when."""
    tables = [str(name) for (name,) in cluster_sql(server, database, _TABLES)]
    return {
        name: Counter(
            str(row)
            for (row,) in cluster_sql(server, database, f"select (to_jsonb(t) - '{{updated_at,updated_by}}'::text[])::text from {name} t")
        )
        for name in tables
    }


def left_behind(before: dict[str, Counter[str]], after: dict[str, Counter[str]]) -> dict[str, list[str]]:
    """Table → rows that were not there before, or are gone or changed since."""
    changes = {
        table: [*(f"+ {row}" for row in rows - before.get(table, Counter())), *(f"- {row}" for row in before.get(table, Counter()) - rows)]
        for table, rows in after.items()
    }
    return {table: rows for table, rows in changes.items() if rows}

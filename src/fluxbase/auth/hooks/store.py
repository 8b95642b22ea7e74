"""The SQL that calls a hook in the tenant's database; it runs as the caller's role, never as the server."""

from __future__ import annotations

from fluxbase.db.sql import quote_ident


def call_of(schema: str, function: str) -> str:
    """``select schema.function($1::jsonb)`` as text; both names come from the configuration."""
    return f"select {quote_ident(schema)}.{quote_ident(function)}($1::jsonb)::text"

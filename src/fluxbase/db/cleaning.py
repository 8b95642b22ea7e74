"""What a pooled session runs between two requests (DESIGN invariant 4; threat F56)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.db.sql import quote_ident

if TYPE_CHECKING:
    from fluxbase.db.connection import Batch

_PREPARED = "fluxbase.has_prepared_statements()"
_PEER_PREPARED = "exists (select from pg_catalog.pg_prepared_statements where from_sql)"


def cleaning(role: str, has_prepared: str = _PREPARED) -> Batch:
    """What takes every trace of a user's SQL out of a session (threat F56). TEMP is revoked, and discarded all the same.

    When SQL has prepared statements of its own the answer is true, and everything is deallocated before the next use.
    """
    return (
        ("reset all", ()),
        (f"set role {quote_ident(role)}", ()),
        (f"select pg_advisory_unlock_all(), {has_prepared}", ()),
        ("unlisten *", ()),
        ("close all", ()),
        ("discard sequences", ()),
        ("discard temp", ()),
    )


def peer_cleaning(role: str) -> Batch:
    """The same in a database where nothing of ours is installed."""
    return cleaning(role, _PEER_PREPARED)

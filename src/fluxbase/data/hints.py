"""The one place where hints are chosen: what a client is told it may have meant.

A hint names only what the caller's role may use (threats E41, E44).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fluxbase.data.snapshot import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fluxbase.data.snapshot import Relation, Snapshot

_MOST = 2000
"""Nobody is searched for among more names than this."""


def hint_relation(snapshot: Snapshot, schema: str, name: str, role: str) -> str | None:
    """For a relation that is not there."""
    usable = [r.name for (s, _), r in snapshot.relations.items() if s == schema and r.privileges.get(role, NOTHING).any]
    close = _closest(name, usable)
    return None if close is None else f"Perhaps you meant the table '{schema}.{close}'"


def hint_relationship(snapshot: Snapshot, parent: Relation, target: str, role: str) -> str | None:
    """For a relationship that is not there; none when the name is right and only the hint of the request is wrong."""
    oids = {key.target for key in snapshot.from_source.get(parent.oid, ())} | {key.source for key in snapshot.to_target.get(parent.oid, ())}
    near = [snapshot.by_oid[oid] for oid in oids]
    usable = sorted(r.name for r in near if r.schema == parent.schema and r.privileges.get(role, NOTHING).select)
    close = None if target in usable else _closest(target, usable)
    return None if close is None else f"Perhaps you meant '{close}' instead of '{target}'."


def _closest(name: str, usable: Iterable[str]) -> str | None:
    names = list(usable)
    close = get_close_matches(name[:64], names, n=1, cutoff=0.6) if len(names) <= _MOST else []
    return close[0] if close else None

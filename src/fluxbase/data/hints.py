"""The one place where hints are chosen: what a client is told it may have meant.

A hint names only what the caller's role may use (threats E41, E44).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.nearest import LIST_SCORE, NAME_SCORE, nearest
from fluxbase.data.snapshot import NOTHING

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation, Snapshot


def hint_relation(snapshot: Snapshot, schema: str, name: str, role: str) -> str | None:
    """For a relation that is not there."""
    usable = [r.name for (s, _), r in snapshot.relations.items() if s == schema and r.privileges.get(role, NOTHING).any]
    close = nearest(name, usable, NAME_SCORE)
    return None if close is None else f"Perhaps you meant the table '{schema}.{close}'"


def hint_relationship(snapshot: Snapshot, parent: Relation, target: str, role: str) -> str | None:
    """For a relationship that is not there: a near name among what the parent leads to, or, when it leads nowhere, a near parent."""
    names = _related(snapshot, parent, role)
    if names:
        close = None if target in names else nearest(target, names, LIST_SCORE)
        return None if close is None else f"Perhaps you meant '{close}' instead of '{target}'."
    parents = [r.name for (s, _), r in snapshot.relations.items() if s == parent.schema and r is not parent and _related(snapshot, r, role)]
    close = nearest(parent.name, parents, LIST_SCORE)
    return None if close is None else f"Perhaps you meant '{close}' instead of '{parent.name}'."


def _related(snapshot: Snapshot, parent: Relation, role: str) -> list[str]:
    """Relations of the same schema at the other end of the parent's foreign keys that the role may read."""
    oids = {key.target for key in snapshot.from_source.get(parent.oid, ())} | {key.source for key in snapshot.to_target.get(parent.oid, ())}
    near = [snapshot.by_oid[oid] for oid in oids]
    return sorted(r.name for r in near if r.schema == parent.schema and r.privileges.get(role, NOTHING).select)

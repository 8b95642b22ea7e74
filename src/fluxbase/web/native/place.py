"""What a path under ``/api/v1/tables`` means: schema and table first, else a table of the default schema and what follows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.data.plan import find_relation
from fluxbase.kernel.errors import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation, Snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """A relation, and the segment behind it: a row's id, ``query``, ``bulk`` or ``export``."""

    relation: Relation
    tail: str | None = None


def locate(snapshot: Snapshot, segments: tuple[str, ...], role: str) -> Place:
    """Raises NotFound, the same for a schema that is not exposed and a table that is not there."""
    default = snapshot.schemas[0]
    first = snapshot.schema_named(segments[0]) or segments[0]
    if len(segments) == 1:
        return Place(find_relation(snapshot, default, first, role))
    second = segments[1]
    if len(segments) == 3:
        if first not in snapshot.schemas:
            raise NotFound(f"Could not find the table '{first[:63]}.{second[:63]}' in the schema cache", code="unknown_table")
        return Place(find_relation(snapshot, first, second, role), segments[2])
    if (first, second) in snapshot.relations:
        return Place(snapshot.relations[first, second])
    if (default, first) in snapshot.relations or first not in snapshot.schemas:
        return Place(find_relation(snapshot, default, first, role), second)
    return Place(find_relation(snapshot, first, second, role))


def refuse_view(relation: Relation) -> None:
    """Raise 405 for anything but a table: this dialect writes tables only."""
    if relation.kind not in "rp":
        raise MethodNotAllowed(
            "A view is read only here.", code="view_written", hint="Write the table itself.", headers=(("allow", "GET, HEAD"),)
        )

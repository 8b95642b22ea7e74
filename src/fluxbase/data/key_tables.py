"""What a key that is limited to some tables may see of a schema (docs/keys.md). Pure.

Planning looks tables up in the snapshot; a limited key plans on one that has only its tables, so that another table is
neither named, embedded, filtered by nor hinted at: it is answered like one that does not exist (threat E41).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import Forbidden

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation, Snapshot
    from fluxbase.kernel.principal import Principal


def limited(snapshot: Snapshot, tables: frozenset[tuple[str, str]]) -> Snapshot:
    """The schema as the key may know it; kept with the snapshot it was made of."""
    key = ("tables", tables)
    found: Snapshot | None = snapshot.plans.get(key)
    if found is None:
        named = {name for name, _ in tables}
        shown = {name for name, verb in tables if verb == "select"}
        relations = {place: relation for place, relation in snapshot.relations.items() if _name(relation) in named}
        seen = {relation.oid for relation in relations.values() if _name(relation) in shown}
        found = replace(
            snapshot,
            relations=relations,
            by_oid={relation.oid: relation for relation in relations.values()},
            computed={},
            from_source={oid: [each for each in keys if each.target in seen] for oid, keys in snapshot.from_source.items() if oid in seen},
            to_target={oid: [each for each in keys if each.source in seen] for oid, keys in snapshot.to_target.items() if oid in seen},
            plans={},
        )
        snapshot.plans[key] = found
    return found


def check_verb(principal: Principal, relation: Relation, *verbs: str) -> None:
    """Raises Forbidden unless the key may do all of this to the table."""
    tables = principal.tables
    if tables is not None and not all((_name(relation), verb) in tables for verb in verbs):
        raise Forbidden("The key may not do this to this table.", code="key_table")


def check_scope(principal: Principal, scope: str) -> None:
    """Raises Forbidden for a key without the scope: what a route cannot tell from its path is checked where it is known."""
    if principal.scopes is not None and scope not in principal.scopes and "*" not in principal.scopes:
        raise Forbidden("The key has not the scope for this.", code="scope_missing", details={"scope": scope})


def _name(relation: Relation) -> str:
    return f"{relation.schema}.{relation.name}"

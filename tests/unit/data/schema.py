"""A snapshot as the catalogue would give it, for the pure parts: films of directors, with reviews, actors and posters."""

from __future__ import annotations

from fluxbase.data.catalog import Computed, ForeignKey
from fluxbase.data.plan import Bounds
from fluxbase.data.snapshot import Column, Privileges, Relation, Snapshot

BOUNDS = Bounds(8, 32, has_aggregates=True, max_rows=1000)


def relation(oid: int, name: str, columns: dict[str, str], *, key: tuple[str, ...] = ("id",), hidden: tuple[str, ...] = ()) -> Relation:
    """A table that anon may read, but for the hidden columns."""
    seen = frozenset(columns) - set(hidden)
    rights = {"anon": Privileges(seen, has_table_select=not hidden, insert=False, update=False, delete=False)} if name != "hidden" else {}
    made = {column: Column(column, type_, "", type_) for column, type_ in columns.items()}
    return Relation(oid, "public", name, "r", made, key, (key,), 0, rights)


RELATIONS = [
    relation(1, "directors", {"id": "int4", "name": "text"}),
    relation(2, "films", {"id": "int4", "title": "text", "year": "int4", "director_id": "int4", "data": "jsonb", "tags": "_text", "secret": "text"},
             hidden=("secret",)),
    relation(3, "actors", {"id": "int4", "name": "text"}),
    relation(4, "castings", {"film_id": "int4", "actor_id": "int4"}, key=("film_id", "actor_id")),
    relation(5, "reviews", {"id": "int4", "film_id": "int4", "stars": "int4"}),
    relation(6, "posters", {"film_id": "int4", "artist": "text"}, key=("film_id",)),
    relation(7, "hidden", {"id": "int4", "film_id": "int4"}),
]  # fmt: skip
KEYS = [
    ForeignKey("films_director_id_fkey", 2, 1, ("director_id",), ("id",)),
    ForeignKey("castings_film_id_fkey", 4, 2, ("film_id",), ("id",)),
    ForeignKey("castings_actor_id_fkey", 4, 3, ("actor_id",), ("id",)),
    ForeignKey("reviews_film_id_fkey", 5, 2, ("film_id",), ("id",)),
    ForeignKey("posters_film_id_fkey", 6, 2, ("film_id",), ("id",), is_unique=True),
    ForeignKey("hidden_film_id_fkey", 7, 2, ("film_id",), ("id",)),
]
EVERYBODY = frozenset({"anon"})
COMPUTED = {
    2: {
        "label": Computed("public", "label", 0, is_set=False, is_to_one=True, roles=EVERYBODY),
        "maker": Computed("public", "maker", 1, is_set=True, is_to_one=True, roles=EVERYBODY),
        "private": Computed("public", "private", 0, is_set=False, is_to_one=True, roles=frozenset()),
    }
}


def snapshot() -> Snapshot:
    """The schema, fresh."""
    made = Snapshot(
        1, "f", ("public",), {(each.schema, each.name): each for each in RELATIONS}, {each.oid: each for each in RELATIONS}, {},
        {"text": "text", "int": "integer", "double precision": "double precision"}, COMPUTED,
    )  # fmt: skip
    for key in KEYS:
        made.from_source.setdefault(key.source, []).append(key)
        made.to_target.setdefault(key.target, []).append(key)
    return made


SNAPSHOT = snapshot()

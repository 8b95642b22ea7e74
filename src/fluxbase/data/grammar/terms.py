"""What a query string consists of: the nodes of the tree, and the words of the language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from fluxbase.data.distance import DistanceOrder, Nearness

OPERATORS = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike", "match": "~", "imatch": "~*",
    "in": "in", "is": "is", "isdistinct": "is distinct from", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-", "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
QUANTIFIABLE = frozenset({"eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"})
FULL_TEXT = frozenset({"fts", "plfts", "phfts", "wfts"})
IS_VALUES = {"null": "null", "not_null": "not null", "true": "true", "false": "false", "unknown": "unknown"}
AGGREGATES = frozenset({"sum", "avg", "min", "max", "count"})

Path = tuple[str, ...]
"""Names of the embeds from the root to a node; the root is ``()``."""


class Field(NamedTuple):
    """A column with a JSON path: ``data->a->>b`` is ``("data", (("->", "a"), ("->>", "b")))``; integers are indexes."""

    name: str
    path: tuple[tuple[str, str | int], ...] = ()

    @property
    def key(self) -> str:
        """The member's name in the answer: the last named step, else the column."""
        for _, step in reversed(self.path):
            if isinstance(step, str):
                return step
        return self.name


class Filter(NamedTuple):
    """``field op value``; ``slot`` is the value's place in the request's list of values."""

    field: Field
    operator: str
    is_negated: bool
    quantifier: str | None
    language: str | None
    slot: int
    constant: str | None = None
    """The keyword of ``is``, which is part of the statement."""


class Logic(NamedTuple):
    """``and``/``or`` over filters and trees."""

    operator: str
    is_negated: bool
    children: tuple[Condition, ...]


Condition = Filter | Logic | Nearness


@dataclass(frozen=True, slots=True)
class SelectColumn:
    """A selected column or aggregate; without a field it is ``count()``."""

    field: Field | None
    alias: str | None
    cast: str | None
    aggregate: str | None = None
    aggregate_cast: str | None = None

    @property
    def name(self) -> str:
        """The member's name in the answer."""
        return self.alias or self.aggregate or (self.field.key if self.field else "count")


@dataclass(frozen=True, slots=True)
class SelectEmbed:
    """A selected relation."""

    target: str
    alias: str | None
    hint: str | None
    join: str | None
    is_spread: bool
    items: tuple[SelectItem, ...]


SelectItem = SelectColumn | SelectEmbed


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ``order``; ``relation`` for an order by a to-one embed."""

    field: Field
    relation: str | None
    direction: str
    nulls: str


@dataclass(slots=True)
class Part:
    """What applies to one node: the root, or an embed by its path. ``limit`` and ``offset`` are not None when asked for."""

    filters: list[Condition] = field(default_factory=list[Condition])
    order: tuple[Order | DistanceOrder, ...] = ()
    limit: int | None = None
    offset: int | None = None


@dataclass(slots=True)
class Query:
    """A parsed query string."""

    select: tuple[SelectItem, ...] = ()
    has_select: bool = False
    parts: dict[Path, Part] = field(default_factory=dict[Path, Part])
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    values: list[str] = field(default_factory=list[str])
    arguments: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """For GET rpc: parameters that are no filters."""
    is_grouped: bool = False
    """Group by the plain columns even when nothing is aggregated."""
    truncate_slot: int | None = None
    """The value that texts are shortened to."""
    shows_geojson: bool = False
    """Geometries leave as GeoJSON of RFC 7946, without the reference system that PostGIS' own cast adds."""

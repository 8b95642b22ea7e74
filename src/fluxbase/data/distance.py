"""Vectors and geometries: conditions and orders that a dialect may put into a query beside the plain operators. Pure.

Operators are named here and nowhere else, so no text of a request becomes SQL. The functions and operators are those of
pgvector and PostGIS, found on the request's search path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.data.grammar import Field

VECTOR_OPERATORS = {"vec_l2": "<->", "vec_cos": "<=>", "vec_ip": "<#>"}
"""Distance operators of pgvector; ``<#>`` is the negative inner product."""
GEOMETRY_TYPES = frozenset({"geometry", "geography"})
SPATIAL_FUNCTIONS = frozenset({"st_intersects", "st_contains", "st_within", "st_touches", "st_crosses", "st_overlaps"})
SPATIAL_DISTANCES = {"st_dwithin": "st_dwithin({left}, {right}, {limit})", "st_distance": "st_distance({left}, {right}) <= {limit}"}
"""``st_dwithin`` uses an index; both mean: at most this far."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """A condition on a vector or geometry column; ``slot`` is the other operand, ``limit_slot`` the greatest distance."""

    field: Field
    operator: str
    is_negated: bool
    slot: int
    limit_slot: int | None = None
    constant: None = None


@dataclass(frozen=True, slots=True)
class DistanceOrder:
    """One term of an order: nearest to a vector first."""

    field: Field
    operator: str
    slot: int
    direction: str
    nulls: str
    relation: None = None


def nearness_sql(item: Nearness, left: str, type_name: str, value: str, limit: str | None) -> str:
    """The condition. ``value`` and ``limit`` are placeholders of parameters, ``type_name`` is the column's type."""
    if item.operator in VECTOR_OPERATORS:
        text = f"({left} {VECTOR_OPERATORS[item.operator]} {value}) <= {limit}::float8"
    else:
        shape = f"st_geomfromgeojson({value}::text)" + ("::geography" if type_name == "geography" else "")
        if item.operator in SPATIAL_DISTANCES:
            text = SPATIAL_DISTANCES[item.operator].format(left=left, right=shape, limit=f"{limit}::float8")
        else:
            text = f"{_spatial_function(item.operator)}({left}, {shape})"
    return f"not ({text})" if item.is_negated else text


def _spatial_function(name: str) -> str:
    if name not in SPATIAL_FUNCTIONS:
        raise ValueError(name)  # a dialect made a condition that is not in the table above
    return name

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# A body is JSON from outside; each member is checked where it is read.
"""GeoJSON in written rows (contract-native 2.5). PostGIS reads and writes it; here only what is not a geometry is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.body import load_json
from fluxbase.data.distance import GEOMETRY_TYPES
from fluxbase.kernel.errors import InvalidInput
from fluxbase.web.native.operators import is_geometry

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation


def has_geometry(relation: Relation) -> bool:
    """Whether any column is of a PostGIS type."""
    return any(column.type_name in GEOMETRY_TYPES for column in relation.columns.values())


def check_rows(body: bytes, relation: Relation) -> None:
    """Raise InvalidInput for an object in a geometry column that has no coordinates."""
    value = load_json(body) if body.strip() else None
    rows = value if isinstance(value, list) else [value]
    names = [name for name, column in relation.columns.items() if column.type_name in GEOMETRY_TYPES]
    for row in rows:
        if isinstance(row, dict) and any(isinstance(row.get(name), dict) and not is_geometry(row[name]) for name in names):
            raise InvalidInput("A GeoJSON geometry has a known type and coordinates.", code="bad_geojson")

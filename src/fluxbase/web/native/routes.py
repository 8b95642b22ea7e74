"""The native surface on one screen (contract-native 1.3, 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.web.routing import Route, route

if TYPE_CHECKING:
    from fluxbase.web.native.tables import NativeTables

_COLLECTION = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_ROW = ("GET", "HEAD", "PUT", "PATCH", "DELETE")


def native_routes(tables: NativeTables, *, body_limit_bytes: int) -> list[Route]:
    """``/api/v1/tables`` and ``/api/v1/rpc``. Two segments are schema and table, or table and id (tables.py decides)."""
    return [
        route(
            "/api/v1/tables/{}", _COLLECTION, tables.collection, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="tables.collection", is_data_plane=True,
        ),
        route(
            "/api/v1/tables/{}/{}", (*_COLLECTION, "PUT"), tables.collection_or_row, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="tables.collection_or_row", is_data_plane=True,
        ),
        route(
            "/api/v1/tables/{}/{}/{}", _ROW, tables.row, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="tables.row", is_data_plane=True,
        ),
        route(
            "/api/v1/rpc/{}/{}", ("POST",), tables.rpc, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="rpc.call", is_data_plane=True,
        ),
    ]  # fmt: skip

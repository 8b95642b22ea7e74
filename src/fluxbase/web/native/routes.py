"""The native surface on one screen (contract-native 1.3, 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.web.routing import ROWS, Route, route

if TYPE_CHECKING:
    from fluxbase.web.native.rpc import NativeRpc
    from fluxbase.web.native.tables import NativeTables

_TABLE = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_QUERY = {**ROWS, "POST": "tables:rows:read"}
"""``…/query`` reads what its body asks for; that a POST which writes needs ``tables:write`` is checked in data/write.py."""


def native_routes(tables: NativeTables, rpc: NativeRpc, *, body_limit_bytes: int) -> list[Route]:
    """``/api/v1/tables`` and ``/api/v1/rpc``. What two or three segments mean is decided in ``place.py``."""
    found = [
        route(
            "/api/v1/tables", ("GET", "HEAD"), tables.tables, access=Access.CREDENTIAL, limit=DATA_PLANE,
            name="tables.list", is_data_plane=True, permission="tables:rows:read",
        )
    ]  # fmt: skip
    found += [
        route(
            f"/api/v1/tables{segments}", methods, tables.resource, access=Access.CREDENTIAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name=name, is_data_plane=True, permission=permission,
        )
        for segments, methods, name, permission in (
            ("/{}", _TABLE, "tables.collection", ROWS),
            ("/{}/{}", (*_TABLE, "PUT"), "tables.collection_or_row", _QUERY),
            ("/{}/{}/{}", (*_TABLE, "PUT"), "tables.row", _QUERY),
        )
    ]  # fmt: skip
    found += [
        route(
            f"/api/v1/rpc{segments}", methods, handler, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name=name, is_data_plane=True, permission=f"rpc:functions:{action}",
        )
        for segments, methods, handler, name, action in (
            ("/procedures", ("GET", "HEAD"), rpc.procedures, "rpc.procedures", "read"),
            ("/executions/{}", ("GET", "HEAD"), rpc.execution, "rpc.execution", "read"),
            ("/executions/{}/logs", ("GET", "HEAD"), rpc.logs, "rpc.logs", "read"),
            ("/{}/{}", ("POST",), rpc.call, "rpc.call", "execute"),
        )
    ]  # fmt: skip
    return found

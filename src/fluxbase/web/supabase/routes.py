"""The Supabase-compatible surface on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.web.routing import ANY_METHOD, ROWS, Route, route

if TYPE_CHECKING:
    from fluxbase.web.supabase.rest import RestSurface


def rest_routes(rest: RestSurface, *, body_limit_bytes: int) -> list[Route]:
    """``/rest/v1``; its root is in ``web/documents/surface.py``."""
    return [
        route(
            "/rest/v1/{}", ANY_METHOD, rest.table, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="rest.table", is_data_plane=True, permission=ROWS,
        ),
        route(
            "/rest/v1/rpc/{}", ANY_METHOD, rest.rpc, access=Access.OPTIONAL, limit=DATA_PLANE,
            body_limit_bytes=body_limit_bytes, name="rest.rpc", is_data_plane=True, permission="rpc:functions:execute",
        ),
    ]  # fmt: skip

"""RouteMatch: method and path → route, before any work is done. OPTIONS on the data plane goes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.web.context import KEY
from fluxbase.web.routing import WEBSOCKET

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.routing import RouteTable


class RouteMatch:
    """Sets ``context.route`` and ``context.path_parameters``; unknown paths end here, and handshakes on paths without sockets."""

    def __init__(self, app: App, table: RouteTable) -> None:
        self._app = app
        self._table = table

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        context.route, context.path_parameters = self._table.match(scope.get("method", WEBSOCKET), context.path)
        return self._app(scope, receive, send)

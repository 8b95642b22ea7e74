"""AccessLog: one line and one set of counters a request, after the answer. Query values are never logged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send


class AccessSink(Protocol):
    """Where a finished request is reported."""

    def finished(self, method: str, context: RequestContext, duration_seconds: float) -> None:
        """Called once a request, whatever its end."""
        ...


class AccessLog:
    """Reports every http request to the sink."""

    def __init__(self, app: App, sink: AccessSink) -> None:
        self._app = app
        self._sink = sink

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            context: RequestContext = scope[KEY]
            self._sink.finished(scope.get("method", "GET"), context, time.monotonic() - context.started)

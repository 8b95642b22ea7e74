"""/rest/v1: tables, views and functions in PostgREST's wire shapes (contract-supabase section 1).

Translates only: every rule is in ``fluxbase.data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.kernel.errors import Unauthenticated
from fluxbase.web.context import context_of
from fluxbase.web.data_plane import CREDENTIAL_HEADERS, data_request, open_to_all, send_reply

if TYPE_CHECKING:
    from fluxbase.data.service import DataService
    from fluxbase.web.context import Receive, Scope, Send


class RestSurface:
    """The handlers of the REST dialect."""

    vary = b"Accept, Prefer, Range, Authorization, apikey"
    hidden_headers = CREDENTIAL_HEADERS

    def __init__(self, service: DataService) -> None:
        self._service = service

    async def table(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/rest/v1/{table}``."""
        await self._handle(scope, receive, send, is_rpc=False)

    async def rpc(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/rest/v1/rpc/{function}``."""
        await self._handle(scope, receive, send, is_rpc=True)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, *, is_rpc: bool) -> None:
        context = context_of(scope)
        if context.principal is None:
            raise Unauthenticated("No credential was checked for this request.")
        request = await data_request(scope, receive, context.path_parameters[0], is_rpc=is_rpc, hidden_headers=self.hidden_headers)
        reply = await self._service.handle(context.principal, request)
        reply.headers.append((b"vary", self.vary))
        if request.method == "OPTIONS":
            reply.headers += open_to_all(context)
        await send_reply(reply, scope, send)

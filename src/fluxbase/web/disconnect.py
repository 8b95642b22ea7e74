"""A client that went away has no use for its answer: its statement is cancelled, its connection is free for others.

Looking costs a task, so it starts only for a request that already runs for a while and whose body was read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from fluxbase.web.context import App, Message, Receive, Scope, Send

PATIENCE_SECONDS = 0.25


async def until_gone(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a handler; when the client leaves meanwhile, cancel it. Raises InvalidInput (499) then, which nobody reads."""
    watch = _Watch(receive, has_body=scope["method"] not in {"GET", "HEAD"})
    try:
        await app(scope, watch.receive, send)
    except asyncio.CancelledError:
        if not watch.is_gone:
            raise
        raise InvalidInput("The client went away.", code="client_disconnected", status=499) from None
    finally:
        watch.end()


class _Watch:
    __slots__ = ("_is_read", "_loop", "_owner", "_receive", "_task", "_timer", "is_gone")

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self._is_read = not has_body
        self._loop = asyncio.get_running_loop()
        self._owner: asyncio.Task[Any] | None = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._look)
        self.is_gone = False

    async def receive(self) -> Message:
        """The handler's own: notes the end of the body, behind which only the disconnect can come."""
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        return message

    def _look(self) -> None:
        if self._is_read:
            self._task = self._loop.create_task(self._wait())
        else:
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._look)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._owner is not None:
            self._owner.cancel()

    def end(self) -> None:
        """Stop looking."""
        self._timer.cancel()
        if self._task is not None and not self.is_gone:
            self._task.cancel()

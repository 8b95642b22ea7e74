"""A client that went away has no use for its answer: its statement is cancelled, its connection is free for others.

Looking costs a task, so it starts only for a request that already runs for a while and whose body was read. Which ones do, one
timer for all requests finds out: a timer each would cost every request more than most of them take to read their answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from fluxbase.web.context import App, Message, Receive, Scope, Send

PATIENCE_SECONDS = 0.25
"""A request is looked after when it is still there one to two times this after it began."""


async def until_gone(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a handler; when the client leaves meanwhile, cancel it. Raises InvalidInput (499) then, which nobody reads."""
    watch = _Watch(receive, has_body=scope["method"] not in {"GET", "HEAD"})
    rounds = _rounds()
    rounds.begin(watch)
    try:
        await app(scope, watch.receive, send)
    except asyncio.CancelledError:
        if not watch.is_gone:
            raise
        raise InvalidInput("The client went away.", code="client_disconnected", status=499) from None
    finally:
        del rounds.watches[watch]
        watch.end()


class _Watch:
    __slots__ = ("_is_read", "_is_seen", "_owner", "_receive", "_task", "is_gone")

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self._is_read = not has_body
        self._is_seen = False
        self._owner: asyncio.Task[Any] | None = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self.is_gone = False

    async def receive(self) -> Message:
        """The handler's own: notes the end of the body, behind which only the disconnect can come."""
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        return message

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Told once a round; from the second one on it waits for the disconnect."""
        if self._is_seen and self._is_read and self._task is None:
            self._task = loop.create_task(self._wait())
        self._is_seen = True

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._owner is not None:
            self._owner.cancel()

    def end(self) -> None:
        """Stop looking."""
        if self._task is not None and not self.is_gone:
            self._task.cancel()


class _Rounds:
    """The requests of one event loop; goes from one to the next while there are any."""

    __slots__ = ("_timer", "loop", "watches")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.watches: dict[_Watch, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, watch: _Watch) -> None:
        """Another request."""
        self.watches[watch] = None
        if self._timer is None:
            self._timer = self.loop.call_later(PATIENCE_SECONDS, self._go)

    def _go(self) -> None:
        for watch in self.watches:
            watch.look(self.loop)
        self._timer = self.loop.call_later(PATIENCE_SECONDS, self._go) if self.watches else None


_held: list[_Rounds] = []


def _rounds() -> _Rounds:
    """Those of the running loop; a worker has one."""
    loop = asyncio.get_running_loop()
    if not _held or _held[0].loop is not loop:
        _held[:] = [_Rounds(loop)]
    return _held[0]

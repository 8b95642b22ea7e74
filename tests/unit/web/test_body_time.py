"""How long a body may take: until its end, and not a moment of the wait for the client's leaving behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.kernel.errors import InvalidInput
from fluxbase.kernel.ids import RequestId
from fluxbase.web.context import KEY, Dialect, RequestContext
from fluxbase.web.middleware.body_limit import BodyLimit, read_body
from fluxbase.web.routing import route


class Client:
    """Sends the messages it was given, then is silent until it leaves."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = list(messages)
        self.leaves = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        if self._messages:
            return self._messages.pop(0)
        await self.leaves.wait()
        return {"type": "http.disconnect"}


async def behind_the_line(client: Client, seconds: float, handler: Any) -> Any:
    """What a handler behind BodyLimit returned."""
    answers: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        answers.append(await handler(receive))

    context = RequestContext(RequestId("r"), 0.0, "/x", Dialect.REST, {})
    context.route = route("/x", ["POST"], app, access=Access.PUBLIC, limit=DATA_PLANE)
    await BodyLimit(app, seconds)({"type": "http", "method": "POST", KEY: context}, client.receive, app)  # type: ignore[arg-type]
    return answers[0]


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    """One message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.anyio
async def test_a_body_that_stops_is_refused() -> None:
    """The rest that never comes is 408, and the task goes on as if nobody had cancelled it."""
    with pytest.raises(InvalidInput) as refused:
        await behind_the_line(Client(piece(b"a", more=True)), 0.0, read_body)
    assert refused.value.status == 408
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.anyio
async def test_who_is_cancelled_meanwhile_stays_cancelled() -> None:
    """A cancel from outside is none of the clock's: it is not turned into an answer."""
    waiting = asyncio.create_task(behind_the_line(Client(piece(b"a", more=True)), 60.0, read_body))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.anyio
async def test_the_end_of_a_body_is_the_end_of_its_clock() -> None:
    """Behind a whole body anybody may wait for the client's leaving, however long ago the body's time was over."""
    client = Client(piece(b"a", more=False))

    async def handler(receive: Any) -> Any:
        body = await read_body(receive)
        asyncio.get_running_loop().call_later(0.02, client.leaves.set)
        return body, (await receive())["type"]

    assert await behind_the_line(client, 0.005, handler) == (b"a", "http.disconnect")

"""Both tenants at once on a pool of two connections (threat F56): whatever a request leaves in its session must not reach the next.

The order is random and reproducible; some requests are left by their client while they run.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from fluxbase.proof.call import filled
from fluxbase.proof.request import ask

if TYPE_CHECKING:
    from fluxbase.proof.plant import Place
    from fluxbase.proof.routes import Tally
    from fluxbase.web.context import App

REQUESTS = 1000
AT_ONCE = 8
_LEFT_EVERY = 20
_SEED = 1
_KINDS = ("anon_key", "access_token", "service_key")
_CALLS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/rest/v1/fluxbase_proof", None),
    ("GET", "/rest/v1/rpc/fluxbase_proof_rows", None),
    ("POST", "/rest/v1/rpc/fluxbase_proof_leave", {"other": "{tenant}"}),
    ("POST", "/rest/v1/rpc/fluxbase_proof_forge", {"other": "{tenant}"}),
    ("GET", "/api/v1/tables/fluxbase_proof", None),
)


async def interleave(app: App, first: Place, second: Place, tally: Tally, *, requests: int = REQUESTS) -> int:
    """Run the requests; every answer shows its own tenant's canary or none, never the other's. Gives how many showed their own."""
    order = random.Random(_SEED)  # noqa: S311 - an order, not a secret
    gate = asyncio.Semaphore(AT_ONCE)
    seen = 0

    async def one(number: int, own: Place, other: Place, kind: str, call: tuple[str, str, object]) -> None:
        nonlocal seen
        method, path, body = call
        async with gate:
            asked = ask(app, method, path, own.headers(kind), filled(body, other.values))
            if number % _LEFT_EVERY == 0:
                task = asyncio.ensure_future(asked)
                await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return
            answer = await asked
        seen += answer.contains(own.canary)
        if answer.contains(other.canary):
            tally.found("leak", f"{method} {path}", "interleaved on two connections: the answer shows the other tenant's canary")
        if answer.status == 200 and not answer.contains(own.canary):
            tally.found("control", f"{method} {path}", f"interleaved on two connections: {kind} does not see its own canary")

    pairs = ((first, second), (second, first))
    await asyncio.gather(*(one(number, *order.choice(pairs), order.choice(_KINDS), order.choice(_CALLS)) for number in range(requests)))
    if not seen:
        tally.found("control", "the pool of two", "no answer showed its own canary")
    return seen

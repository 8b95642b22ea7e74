"""The same request, many times at once: what one-time artefacts are redeemed with (invariant 12)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.support.server import Server

PARALLEL = 200


def at_once(
    server: Server, method: str, path: str, *, key: str | None = None, headers: dict[str, str] | None = None, number: int = PARALLEL,
    most_connections: int = 50, **options: Any,
) -> list[httpx.Response]:  # fmt: skip
    """The answers to so many identical requests sent together."""
    sent = {"apikey": server.anon_key, **({} if key is None else {"authorization": f"Bearer {key}"}), **(headers or {})}

    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=most_connections)
        async with httpx.AsyncClient(
            base_url=server.url, limits=limits, timeout=120, trust_env=False, verify=False, headers=sent
        ) as client:
            return await asyncio.gather(*(client.request(method, path, **options) for _ in range(number)))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result(150)


def statuses(answers: list[httpx.Response]) -> list[int]:
    """Their statuses, in order."""
    return [answer.status_code for answer in answers]

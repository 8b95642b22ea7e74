"""What a request's shape costs: microseconds from the request to the moment its statement is handed to the executor."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.cases import CASES, OWNER
from fluxbase.app import open_program
from fluxbase.data.request import DataRequest
from fluxbase.data.service import DataService
from fluxbase.db.settings import RequestSettings
from fluxbase.kernel.ids import AUTHENTICATED
from fluxbase.kernel.principal import CredentialKind, Principal

if TYPE_CHECKING:
    from tests.support.server import Server

ROUNDS = 300


class Clock:
    """Stands in the executor's place and notes when it is called."""

    def __init__(self) -> None:
        self.called_at = 0.0

    async def run(self, *_: Any, **__: Any) -> tuple[bytes | None, ...]:
        """An empty answer."""
        self.called_at = time.perf_counter()
        return (b"[]", b"0", None, None, None, None)


async def measure(server: Server) -> tuple[float, float]:
    """Medians over the benchmark's reads: a new shape, a known one."""
    clock = Clock()
    new: list[float] = []
    known: list[float] = []
    async with open_program(server.data_dir) as program:
        pools, _, _ = program.build_data_plane()
        try:
            tenant = program.registry.default.id
            snapshot = await program.snapshots.get(tenant)
            service = DataService(clock, program.snapshots, program.config)
            principal = Principal(tenant, AUTHENTICATED, CredentialKind.ACCESS_TOKEN, json.dumps({"sub": OWNER}))
            for case in (each for each in CASES if each.method == "GET"):
                for _ in range(ROUNDS):
                    snapshot.plans.clear()
                    for found in (new, known):
                        request = request_of(case.path, case.prefer)
                        start = time.perf_counter()
                        await service.handle(principal, request)
                        found.append((clock.called_at - start) * 1e6)
        finally:
            pools.close()
    return statistics.median(new), statistics.median(known)


def request_of(path: str, prefer: str) -> DataRequest:
    """The request as the surface makes it."""
    target, _, query = path[1:].partition("?")
    settings = RequestSettings(method="GET", path=f"/{target}", headers_json="{}", cookies_json="{}", search_path="")
    return DataRequest(
        method="GET", schema=None, target=target, is_rpc=False, query=query, prefer=prefer, accept="application/json", content_type="",
        range_header=None, body=b"", settings=settings, deadline=time.monotonic() + 60,
    )  # fmt: skip

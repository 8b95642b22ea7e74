"""One worker process: from ``lifespan.startup`` to the last line. What it serves is decided by ``app.py`` or ``peer.py``."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import signal
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fluxbase.audit.refusals import Refusal
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.observe.log import access_fields

if TYPE_CHECKING:
    from pathlib import Path

    from fluxbase.audit.refusals import Refusals
    from fluxbase.config import Config
    from fluxbase.data.service import DataService
    from fluxbase.data.snapshot_store import SnapshotStore
    from fluxbase.db.executor import Executor
    from fluxbase.db.pools import Pools
    from fluxbase.db.session import SystemSessions
    from fluxbase.limits.limiter import RateLimiter
    from fluxbase.observe.log import LineWriter
    from fluxbase.observe.metrics import Metrics
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.context import App, RequestContext


COLLECT_AFTER_OBJECTS = 20_000
"""A few megabytes at most."""


class Worker(ABC):
    """ASGI: builds its parts at startup, ends them at shutdown."""

    sessions: SystemSessions
    registry: TenantRegistry
    snapshots: SnapshotStore
    pools: Pools
    metrics: Metrics
    lines: LineWriter
    limits: RateLimiter
    refusals: Refusals | None = None
    """Where refused requests are recorded; a database that is not ours has no place for them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._app: App | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")

    @abstractmethod
    async def open(self) -> None:
        """Learn which tenants there are. Raises Unavailable when the database cannot be reached."""

    @abstractmethod
    def build_data_plane(self) -> tuple[Pools, Executor, DataService]:
        """Pools, executor and data service."""

    @abstractmethod
    def pipeline(self, without: tuple[str, ...] = ()) -> App:
        """The whole ASGI application; ``without`` names lines a twin of the tests leaves out."""

    @abstractmethod
    async def listen(self) -> None:
        """Hear of schema changes, for ever."""

    async def startup(self) -> None:
        """Everything a worker needs before the first request."""
        from fluxbase.observe.log import LineWriter, configure
        from fluxbase.observe.metrics import Metrics, metrics_folder

        configure(self.config.log.level, self.config.log.format)
        _end_with_parent()
        self.metrics = Metrics()
        self.lines = LineWriter(asyncio.get_running_loop().call_later)
        await self.open()
        self.build_data_plane()
        await self.snapshots.get(self.registry.default.id)
        self._app = self.pipeline()
        collect_rarely()
        folder = metrics_folder(self.config.data_dir)
        self._tasks = [asyncio.create_task(self._write_metrics(folder)), asyncio.create_task(self.listen())]

    async def close(self) -> None:
        """End connections and background work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.refusals is not None:
            with contextlib.suppress(FluxbaseError):
                await self.refusals.flush()
        await self.limits.close()
        await self.sessions.close()

    async def shutdown(self) -> None:
        """Finish; the numbers are written once more, so that the sum over workers keeps them."""
        from fluxbase.observe.metrics import metrics_folder

        await self.close()
        self.pools.close()
        self.lines.flush()
        await self._keep_metrics(metrics_folder(self.config.data_dir), self.metrics.state())

    async def _write_metrics(self, folder: Path) -> None:
        written = ""
        while True:
            self.metrics.gauges["pool_in_use"] = self.pools.in_use()
            state = self.metrics.state()
            if state != written and await self._keep_metrics(folder, state):
                written = state
            await asyncio.sleep(1)

    async def _keep_metrics(self, folder: Path, state: str) -> bool:
        """In a thread, because the disk may be slow; one thread, so that the last state is written last. False: the disk would not."""
        from fluxbase.observe.metrics import write

        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, write, folder, state)
        except OSError:
            return False
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.startup()
                except Exception as error:  # noqa: BLE001 - a worker that cannot start says why and ends
                    import structlog

                    structlog.get_logger("fluxbase.app").error("worker_cannot_start", error=repr(error))
                    await send({"type": "lifespan.startup.failed", "message": "the worker cannot start"})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return


REFUSED = frozenset({401, 403, 429})
OFF = frozenset({"maintenance", "route_off", "limits_unavailable", "invalid_credentials"})


class AccessSink:
    """A finished request: one line, one count."""

    def __init__(self, worker: Worker) -> None:
        self._metrics = worker.metrics
        self._lines = worker.lines
        self._refusals = worker.refusals
        self._has_lines = worker.config.log.access

    def finished(self, method: str, context: RequestContext, duration_seconds: float) -> None:
        """Called once a request."""
        self._metrics.count(context.dialect, method, context.status, duration_seconds, context.error_code)
        if self._refusals is not None and context.error_code is not None and (context.status in REFUSED or context.error_code in OFF):
            resource = context.route.name if context.route else "unmatched"
            refusal = Refusal(context.error_code, context.address, resource, context.status, context.refused_by)
            self._refusals.note(refusal, context.request_id)
        if self._has_lines:
            principal = context.principal
            fields = access_fields(
                method, context.path, context.status, duration_seconds, request_id=context.request_id, address=context.address,
                bytes=context.bytes_sent, role=principal.role if principal else None,
            )  # fmt: skip
            if context.client_request_id is not None:
                fields["client_request_id"] = context.client_request_id
            if context.error_code is not None:
                fields["error"] = context.error_code
            self._lines.write(fields)


def collect_rarely() -> None:
    """What a worker has built lives as long as it does: collections leave it out. A request leaves no cycles behind, so with the usual
    700 objects (a dozen requests under way) they would only visit what is in use: nearly a tenth of the CPU of a small request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 50)


def _end_with_parent() -> None:
    """A worker whose main process was killed ends too (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def public_url(config: Config) -> str:
    """The URL clients use: configured, or made of host and port."""
    if config.server.public_url:
        return config.server.public_url.rstrip("/")
    host = "127.0.0.1" if config.server.host in {"0.0.0.0", "::"} else config.server.host  # noqa: S104 - compared, not bound
    scheme = "https" if config.is_https else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.server.port}"

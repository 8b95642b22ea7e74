"""Counters of each worker, and the Prometheus listener of the main process.

On the hot path a request costs two dictionary updates. Workers write their numbers to ``<data>/run/metrics/<pid>.json``
once a second; the main process adds the live workers' files up when it is asked.
"""

from __future__ import annotations

import json
import os
import threading
import time
from bisect import bisect_left
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from fluxbase.config import Config

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted as ``other``: a method is a client's text, and must neither break a label nor make a new series."""
GAUGES = {"pool_in_use": "Database connections that work on a request."}
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One worker's numbers."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.events: dict[str, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.gauges: dict[str, float] = {}

    def count(self, surface: str, method: str, status: int, seconds: float, error: str | None) -> None:
        """One finished request."""
        name = f"{surface}|{method if method in METHODS else 'other'}|{status}"
        self.requests[name] = self.requests.get(name, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if error is not None:
            self.errors[error] = self.errors.get(error, 0) + 1

    def note(self, event: str, number: int = 1) -> None:
        """Something that is counted besides requests."""
        self.events[event] = self.events.get(event, 0) + number

    def add(self, data: dict[str, Any], *, with_gauges: bool) -> None:
        """Add another worker's numbers to these."""
        for kind in ("requests", "errors", "events", *(("gauges",) if with_gauges else ())):
            ours: dict[str, float] = getattr(self, kind)
            for name, value in data[kind].items():
                ours[name] = ours.get(name, 0) + value
        self.buckets = [a + b for a, b in zip(self.buckets, data["buckets"], strict=True)]
        self.seconds += data["seconds"]

    def state(self) -> str:
        """Everything, as a file has it."""
        return json.dumps(
            {
                "requests": self.requests,
                "errors": self.errors,
                "events": self.events,
                "buckets": self.buckets,
                "seconds": self.seconds,
                "gauges": self.gauges,
            }
        )


def write(folder: Path, state: str) -> None:
    """Replace this worker's file in one step. May wait for the disk: a file system writes out what takes another file's name."""
    draft = folder / f"{os.getpid()}.tmp"
    draft.write_text(state)
    draft.replace(folder / f"{os.getpid()}.json")


def clear(data_dir: Path) -> None:
    """Forget the workers of an earlier start."""
    for file in metrics_folder(data_dir).glob("*"):
        file.unlink(missing_ok=True)


def metrics_folder(data_dir: Path) -> Path:
    """Where workers write."""
    folder = data_dir / "run" / "metrics"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class Collected:
    """The sum over all workers of this start: the living by their files, the ended by what they wrote last, so no counter goes back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended = Metrics()
        self._lock = threading.Lock()
        self._started_at = time.time()

    def total(self) -> tuple[Metrics, int]:
        """Everything added up, and how many workers live."""
        with self._lock:
            total = Metrics()
            workers = 0
            for file in sorted(self._folder.glob("*.json")):
                is_alive = Path(f"/proc/{file.stem}").exists()  # asked first: of a dead one the file is the last word
                data = _read(file)
                if data is None:
                    continue
                if is_alive:
                    workers += 1
                    total.add(data, with_gauges=True)
                else:
                    self._ended.add(data, with_gauges=False)
                    file.unlink(missing_ok=True)
            total.add(vars(self._ended), with_gauges=False)
            return total, workers

    def collect(self) -> Iterator[Metric]:
        """What ``prometheus_client`` asks a collector for."""
        total, workers = self.total()
        requests = CounterMetricFamily("fluxbase_requests", "Finished requests.", labels=["surface", "method", "status"])
        for name, value in sorted(total.requests.items()):
            requests.add_metric(name.split("|"), value)
        errors = CounterMetricFamily("fluxbase_errors", "Answers with a declared error, by its code (docs/errors.md).", labels=["code"])
        for code, value in sorted(total.errors.items()):
            errors.add_metric([code], value)
        events = CounterMetricFamily("fluxbase_events", "Facts besides requests: audit_dropped, address_blocked.", labels=["event"])
        for event, value in sorted(total.events.items()):
            events.add_metric([event], value)
        seconds = HistogramMetricFamily("fluxbase_request_duration_seconds", "From the first byte of a request to the end of its answer.")
        running = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), total.buckets, strict=True):
            running += count
            buckets.append((bound, running))
        seconds.add_metric([], buckets, total.seconds)
        yield from (requests, errors, events, seconds)
        for name, value in sorted(total.gauges.items()):
            yield GaugeMetricFamily(f"fluxbase_{name}", GAUGES.get(name, name.replace("_", " ")), value)
        yield GaugeMetricFamily("fluxbase_workers", "Worker processes that live.", workers)
        yield GaugeMetricFamily("fluxbase_uptime_seconds", "Since the main process started.", round(time.time() - self._started_at))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return None


def start_listener(config: Config) -> int | None:
    """Serve ``/metrics`` on its own address in a daemon thread; the port, or None when it is taken."""
    folder = metrics_folder(config.data_dir)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(folder))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_metrics = self.path == "/metrics"
            body = generate_latest(registry) if is_metrics else b"not found\n"
            self.send_response(200 if is_metrics else 404)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - the base class says so
            return

    try:
        listener = ThreadingHTTPServer((config.metrics.host, config.metrics.port), Handler)
    except OSError:
        return None
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, name="metrics", daemon=True).start()
    return int(listener.server_address[1])

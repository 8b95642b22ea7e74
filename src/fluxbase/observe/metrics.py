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

if TYPE_CHECKING:
    from fluxbase.config import Config

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One worker's numbers."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.gauges: dict[str, float] = {}

    def count(self, surface: str, method: str, status: int, seconds: float, error: str | None) -> None:
        """One finished request."""
        name = f"{surface}|{method}|{status}"
        self.requests[name] = self.requests.get(name, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if error is not None:
            self.errors[error] = self.errors.get(error, 0) + 1

    def write(self, folder: Path) -> None:
        """Replace this worker's file in one step."""
        draft = folder / f"{os.getpid()}.tmp"
        draft.write_text(
            json.dumps(
                {"requests": self.requests, "errors": self.errors, "buckets": self.buckets, "seconds": self.seconds, "gauges": self.gauges}
            )
        )
        draft.replace(folder / f"{os.getpid()}.json")


def metrics_folder(data_dir: Path) -> Path:
    """Where workers write."""
    folder = data_dir / "run" / "metrics"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def render(folder: Path, started_at: float) -> str:
    """Prometheus text of all live workers."""
    total = Metrics()
    workers = 0
    for file in folder.glob("*.json"):
        if not Path(f"/proc/{file.stem}").exists():
            file.unlink(missing_ok=True)
            continue
        try:
            data: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        workers += 1
        for kind in ("requests", "errors", "gauges"):
            ours = getattr(total, kind)
            for name, value in data[kind].items():
                ours[name] = ours.get(name, 0) + value
        total.buckets = [a + b for a, b in zip(total.buckets, data["buckets"], strict=True)]
        total.seconds += data["seconds"]
    lines = ["# TYPE fluxbase_requests_total counter"]
    for name, value in sorted(total.requests.items()):
        surface, method, status = name.split("|")
        lines.append(f'fluxbase_requests_total{{surface="{surface}",method="{method}",status="{status}"}} {value}')
    lines.append("# TYPE fluxbase_errors_total counter")
    lines += [f'fluxbase_errors_total{{code="{code}"}} {value}' for code, value in sorted(total.errors.items())]
    lines.append("# TYPE fluxbase_request_seconds histogram")
    running = 0
    for bound, value in zip((*map(str, BUCKETS), "+Inf"), total.buckets, strict=True):
        running += value
        lines.append(f'fluxbase_request_seconds_bucket{{le="{bound}"}} {running}')
    lines += [f"fluxbase_request_seconds_sum {total.seconds}", f"fluxbase_request_seconds_count {running}"]
    for name, value in sorted(total.gauges.items()):
        lines += [f"# TYPE fluxbase_{name} gauge", f"fluxbase_{name} {value}"]
    lines += [
        "# TYPE fluxbase_workers gauge",
        f"fluxbase_workers {workers}",
        "# TYPE fluxbase_uptime_seconds gauge",
        f"fluxbase_uptime_seconds {time.time() - started_at:.0f}",
    ]
    return "\n".join(lines) + "\n"


def start_listener(config: Config) -> int | None:
    """Serve ``/metrics`` on its own address in a daemon thread; the port, or None when it is taken."""
    folder = metrics_folder(config.data_dir)
    started_at = time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_metrics = self.path == "/metrics"
            body = render(folder, started_at).encode() if is_metrics else b"not found\n"
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

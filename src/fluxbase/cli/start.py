"""``fluxbase start``: embedded PostgreSQL (or yours), kernel, migrations, keys, then the workers.

The main process stays small: it owns the instance lock, PostgreSQL, the metrics listener and the workers' lives.
Workers are spawned by granian and build ``fluxbase.app`` themselves.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.db.cluster import Cluster

TARGET = "fluxbase.app:create"
"""What each worker imports; twins of the tests name their own."""

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def start(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8080).")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory (default ./.fluxbase).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (default 1).")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (default ./fluxbase.yaml).")] = None,
    example: Annotated[Path | None, typer.Option(help="Apply an example's migrations and seeds first.")] = None,
) -> None:
    """Start Fluxbase. Example: fluxbase start --port 9000 --data ./data --workers 2"""
    from fluxbase.cli.prepare import PrepareError, prepare

    started = time.monotonic()
    for name, value in (("SERVER_HOST", host), ("SERVER_PORT", port), ("SERVER_WORKERS", workers), ("CONFIG", config)):
        if value is not None:
            os.environ[f"FLUXBASE_{name}"] = str(value)
    if data is not None:
        os.environ["FLUXBASE_DATA_DIR"] = str(data.resolve())
    try:
        prepared = prepare(example=example, say=_say)
    except PrepareError as error:
        sys.stderr.write(f"fluxbase: {error}\n")
        raise typer.Exit(1) from None
    try:
        _banner(prepared.config, prepared.keys, time.monotonic() - started, has_example=example is not None)
        _serve(prepared.config, prepared.cluster)
    finally:
        prepared.close()


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def _banner(config: Config, keys: dict[str, str], seconds: float, *, has_example: bool) -> None:
    from fluxbase.app import public_url

    url = public_url(config)
    lines = [
        "",
        f"  Fluxbase is starting at {url}  (prepared in {seconds:.1f} s)",
        "",
        f"  anon key          {keys['anon_key']}",
        f"  service key       {keys['service_key']}",
        f"  publishable key   {keys['publishable_key']}",
        f"  secret key        {keys['secret_key']}",
        "",
        "  The service and secret keys pass Row Level Security: keep them on servers.",
        "  Show them again: fluxbase keys show        SQL as the administrator: fluxbase db psql",
    ]
    if has_example:
        lines += ["", f"  Try:  curl '{url}/rest/v1/airports?select=iata,name&limit=3' -H 'apikey: {keys['publishable_key']}'"]
    sys.stderr.write("\n".join(lines) + "\n\n")
    sys.stderr.flush()


def _serve(config: Config, cluster: Cluster | None) -> None:
    import multiprocessing

    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings

    from fluxbase.observe.metrics import start_listener

    multiprocessing.set_start_method("spawn", force=True)
    ends = threading.Event()
    if cluster is not None:
        threading.Thread(target=_watch_cluster, args=(cluster, ends), name="postgres-watch", daemon=True).start()
    if config.metrics.enabled:
        start_listener(config)
    server = Granian(
        TARGET,
        address=config.server.host,
        port=config.server.port,
        interface=Interfaces.ASGI,
        workers=config.server.workers,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        backlog=config.server.backlog,
        backpressure=config.server.max_connections,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        log_enabled=False,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=int(config.server.graceful_stop_seconds),
        factory=True,
    )
    try:
        server.serve()
    finally:
        ends.set()


def _watch_cluster(cluster: Cluster, ends: threading.Event) -> None:
    """Restart PostgreSQL when it died under us (kill -9); requests get 503 until it is back."""
    import structlog

    log = structlog.get_logger("fluxbase.start")
    while not ends.wait(0.5):
        try:
            cluster.ensure_running()
        except Exception as error:
            log.exception("postgres_restart_failed", error=str(error))
            ends.wait(2)

"""``fluxbase start``: embedded PostgreSQL (or yours), kernel, migrations, keys, then the workers.

The main process stays small: it owns the instance lock, the socket, PostgreSQL, the metrics listener and the workers'
lives. Workers begin to import at once (cli/warm.py) and build ``fluxbase.app`` themselves. SIGTERM and SIGINT stop it after the
requests under way; SIGHUP reads the configuration again and replaces the workers one by one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase.cli.options import Json, refusals
from fluxbase.cli.progress import Progress

if TYPE_CHECKING:
    from fluxbase.cli.prepare import Prepared
    from fluxbase.config import Config
    from fluxbase.db.cluster import Cluster

TARGET = "fluxbase.app:create"
"""What each worker imports; twins of the tests name their own."""

FIXED = ("server.host", "server.port", "server.workers", "server.backlog", "server.max_connections", "server.graceful_stop_seconds",
         "database.url", "database.manage", "database.ca_file", "database.require_tls", "data_dir", "master_key", "metrics.")  # fmt: skip
"""Settings that only a restart changes: the main process or the database was set up with them."""

EXAMPLES = """
Examples:

  fluxbase start                                       http://127.0.0.1:8080, data in ./.fluxbase

  fluxbase start --port 9000 --data ./data --workers 2

  fluxbase start --host 0.0.0.0 --config fluxbase.yaml
"""

app = typer.Typer(add_completion=False)


@app.command(epilog=EXAMPLES)
def start(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8080; 0 picks a free one).")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory (default ./.fluxbase).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (default 1).")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (default ./fluxbase.yaml).")] = None,
    example: Annotated[Path | None, typer.Option(help="Apply an example's migrations and seeds first.")] = None,
    is_json: Json = False,
) -> None:
    """Start Fluxbase: PostgreSQL in the box, unless FLUXBASE_DATABASE_URL names one. Stop it with Ctrl-C or SIGTERM; SIGHUP reloads."""
    from fluxbase.cli.warm import warm_up

    started = time.monotonic()
    signal.signal(signal.SIGTERM, _leave)
    warm_up()
    import_module("fluxbase.observe.without_rich")  # before anybody imports structlog: this process lives as long as the server
    from fluxbase.config import load_config

    for name, value in (("SERVER_HOST", host), ("SERVER_PORT", port), ("SERVER_WORKERS", workers), ("CONFIG", config)):
        if value is not None:
            os.environ.pop(f"FLUXBASE_{name}_FILE", None)
            os.environ[f"FLUXBASE_{name}"] = str(value)  # the workers read the same environment
    if data is not None:
        os.environ["FLUXBASE_DATA_DIR"] = str(data.resolve())
    progress = Progress(is_quiet=is_json)
    with refusals("start", is_json=is_json):
        settings = load_config()
        warm_up(settings.server.workers)
        from fluxbase.cli.prepare import prepare

        with progress.running():
            prepared = prepare(settings, example=example, progress=progress)
    try:
        _announce(prepared, time.monotonic() - started, example=example, is_json=is_json)
        _serve(prepared)
    finally:
        prepared.close()


def _leave(*_: object) -> None:
    """SIGTERM before the workers run: leave by the way that stops what was started."""
    raise SystemExit(128 + signal.SIGTERM)


def _announce(prepared: Prepared, seconds: float, *, example: Path | None, is_json: bool) -> None:
    from fluxbase.worker import public_url

    url, keys = public_url(prepared.config), prepared.keys
    if is_json:
        started = {"url": url, **keys, "data": str(prepared.config.data_dir.absolute())}
        if prepared.setup_token is not None:
            started["setup_token"] = prepared.setup_token
        sys.stdout.write(json.dumps(started) + "\n")
        sys.stdout.flush()
        return
    if prepared.notes:
        notes = [f"  {note}" for note in prepared.notes]
        lines = ["", f"  Fluxbase is starting at {url}/rest/v1  (prepared in {seconds:.1f} s)", "", *notes]
        sys.stderr.write("\n".join(lines) + "\n\n")
        sys.stderr.flush()
        return
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
    if prepared.setup_token is not None:
        lines += [
            f"  set-up token      {prepared.setup_token}",
            "  It makes the first administrator, once: POST /api/v1/admin/setup (docs/platform.md)",
        ]
    if prepared.config.mail.is_kept:
        lines.append("  Mails to users are kept, not sent: fluxbase mail list        (mail.smtp_host sends them)")
    if example is not None and example.name == "flights":
        lines += ["", f"  Try:  curl '{url}/rest/v1/airports?select=iata,name&limit=3' -H 'apikey: {keys['publishable_key']}'"]
    sys.stderr.write("\n".join(lines) + "\n\n")
    sys.stderr.flush()


def _serve(prepared: Prepared) -> None:
    import structlog

    from fluxbase.cli.listener import Workers, ready_mark
    from fluxbase.observe.log import configure
    from fluxbase.observe.metrics import clear, metrics_folder, start_listener

    config = prepared.config
    configure(config.log.level, config.log.format)
    clear(config.data_dir)
    log = structlog.get_logger("fluxbase.start")
    ends = threading.Event()
    if prepared.cluster is not None:
        threading.Thread(target=_watch_cluster, args=(prepared.cluster, ends), name="postgres-watch", daemon=True).start()
    if config.metrics.enabled:
        port = start_listener(config)
        if port is None:
            log.warning("metrics_port_in_use", host=config.metrics.host, port=config.metrics.port, mend="set metrics.port")
        else:
            prepared.instance.write_state({**prepared.instance.read_state(), "metrics_port": port})
    assert prepared.listener is not None  # noqa: S101 - prepare bound it
    server = Workers(
        TARGET,
        config,
        prepared.listener,
        may_reload=lambda: _may_reload(prepared, log),
        is_ready=ready_mark(metrics_folder(config.data_dir)),
    )
    try:
        server.serve()
    finally:
        ends.set()


def changed_fixed(old: Config, new: Config) -> list[str]:
    """The settings that differ and that a reload cannot change."""
    from fluxbase.config import settings

    def value(config: Config, key: str) -> Any:
        found: Any = config
        for part in key.split("."):
            found = getattr(found, part)
        return found

    keys = [key for key, _ in settings() if key.startswith(FIXED)]
    return [key for key in keys if value(old, key) != value(new, key)]


def _may_reload(prepared: Prepared, log: Any) -> Config | None:
    """Read the configuration again; what new workers may start with, or None. A refusal leaves everything as it was."""
    from fluxbase.cli.listener import check_certificate
    from fluxbase.cli.prepare import provision_database
    from fluxbase.config import ConfigError, load_config
    from fluxbase.crypto.master import MasterKey, MasterKeyError
    from fluxbase.db.instance import ClusterError
    from fluxbase.db.provision import ProvisionError
    from fluxbase.parts.target import target_of

    try:
        config = load_config()
        fixed = changed_fixed(prepared.config, config)
        if fixed:
            log.error("reload_refused", error=f"{', '.join(fixed)} can only change with a restart; nothing was reloaded")
            return None
        if bool(config.server.tls.cert) != bool(prepared.config.server.tls.cert):
            log.error("reload_refused", error="TLS can only be switched on or off with a restart; nothing was reloaded")
            return None
        check_certificate(config.server.tls)
        if config.database.manage:
            target = target_of(config, MasterKey.load(config.data_dir / "master.key", config.master_key))
            provision_database(config, target, Progress(is_quiet=True))
    except (ConfigError, ProvisionError, ClusterError, MasterKeyError) as error:
        log.error("reload_refused", error=str(error))  # noqa: TRY400 - a refusal is one line, not a traceback
        return None
    prepared.config = config
    log.info("reloading", workers=config.server.workers)
    return config


def _watch_cluster(cluster: Cluster, ends: threading.Event) -> None:
    """Restart PostgreSQL when it died under us (kill -9); requests get 503 until it is back."""
    import structlog

    log = structlog.get_logger("fluxbase.start")
    while not ends.wait(0.5):
        try:
            if cluster.ensure_running():
                log.warning("postgres_restarted")
        except Exception as error:
            log.exception("postgres_restart_failed", error=str(error))
            ends.wait(2)

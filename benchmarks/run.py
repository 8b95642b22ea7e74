"""`make bench`: one table, each row a request, beside the bare path and pgbench of the same run.

The server is the shipped program (`fluxbase start`) with its defaults; only rate limits are off, because one address
sends everything. Order of work: schema, recording of the statements, then for each case ours, bare path, pgbench.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import growth, layers, pgbench, shapes
from benchmarks.cases import CASES, OWNER
from benchmarks.measure import CONNECTIONS, ROOT, measured, resident_megabytes
from benchmarks.record import LOG_ON, install_signer, record, write_csv
from fluxbase.config import load_config
from fluxbase.db.cluster import Cluster
from tests.support.server import Server, free_port, start_server

PREFIX = "/rest/v1"
PGBENCH_CLIENTS = 16


def root_conninfo(server: Server) -> str:
    """The superuser's connection string: the peers log in with it and take the client role."""
    info = Cluster(server.data_dir).info()
    database = psycopg.conninfo.conninfo_to_dict(server.database_url)["dbname"]
    return info.conninfo(info.superuser, info.superuser_password, str(database))


def stages() -> list[str]:
    """The names in web/pipeline.py, in running order."""
    text = (ROOT / "src/fluxbase/web/pipeline.py").read_text()
    return re.findall(r'^\s+\("(\w+)", ', text, re.MULTILINE)


def configuration_hash(server: Server) -> str:
    """Short digest of the settings, without what differs from run to run."""
    config = load_config(environ=server.env)
    values = config.model_copy(update={"data_dir": None, "origins": {}, "server": config.server.model_copy(update={"port": 0})})
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def start_bare(cases: Path, conninfo: str) -> tuple[subprocess.Popen[bytes], int]:
    """The peer on granian with one worker."""
    port = free_port()
    environment = {**os.environ, "BENCH_CASES": str(cases), "BENCH_CONNINFO": f"{conninfo} options='-c role=authenticated'"}
    command = [
        sys.executable,
        "-m",
        "granian",
        "benchmarks.bare_path:create",
        "--factory",
        "--interface",
        "asgi",
        "--no-ws",
        "--workers",
        "1",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--log-level", "error"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        try:
            httpx.get(f"http://127.0.0.1:{port}/case/row", timeout=5, trust_env=False)
            return process, port
        except httpx.TransportError:
            time.sleep(0.1)
    process.terminate()
    raise RuntimeError("the bare path did not start")


def prepare(workers: int, folder: Path) -> tuple[Server, str, dict[str, Any]]:
    """A server with the schema and the recorded statements; its PostgreSQL logged statements while recording, and no longer."""
    data = folder / f"data{workers}"
    data.mkdir(mode=0o700)
    server = start_server(data_dir=data)
    try:
        server.sql((ROOT / "benchmarks/schema.sql").read_text())
        install_signer(server)
    finally:
        server.stop(keep_data=True)
    logged = Cluster(data, settings=LOG_ON)
    logged.start()
    try:
        server = start_server(data_dir=data)  # adopts the running PostgreSQL
        try:
            recorded = record(server, server.token(OWNER), PREFIX)
        finally:
            server.stop(keep_data=True)
    finally:
        logged.stop()
    server = start_server(data_dir=data, arguments=("--workers", str(workers)))
    return server, server.token(OWNER), recorded


def measure(server: Server, token: str, recorded: dict[str, Any], folder: Path, seconds: float, console: Console) -> list[dict[str, Any]]:
    """All cases against the three."""
    cases_file = folder / "cases.json"
    cases_file.write_text(json.dumps(recorded))
    conninfo = root_conninfo(server)
    bare, bare_port = start_bare(cases_file, conninfo)
    rows: list[dict[str, Any]] = []
    try:
        for case in CASES:
            console.print(f"  {case.title} ...", style="dim")
            ours = measured(server.process.pid, server.port, case.wire(f"127.0.0.1:{server.port}", token, PREFIX), seconds=seconds)
            peer = measured(bare.pid, bare_port, f"GET /case/{case.name} HTTP/1.1\r\nhost: x\r\n\r\n".encode(), seconds=seconds)
            limit = pgbench.rate(recorded[case.name], conninfo, folder, clients=PGBENCH_CLIENTS, seconds=min(seconds, 4))
            rows.append(
                {
                    "case": case.name, "ours": round(ours["rate"]), "bare": round(peer["rate"]), "pgbench": round(limit),
                    "of_bare": round(ours["rate"] / max(peer["rate"], 1), 3), "of_pgbench": round(ours["rate"] / max(limit, 1), 3),
                    "p50_ms": round(ours["p50"], 2), "p99_ms": round(ours["p99"], 2), "cpu_us": round(ours["cpu_us"]),
                    "bare_cpu_us": round(peer["cpu_us"]), "bytes": recorded[case.name]["bytes"],
                    "errors": json.dumps(ours["errors"] | {f"bare {k}": v for k, v in peer["errors"].items()}),
                }
            )  # fmt: skip
    finally:
        bare.terminate()
        bare.wait(20)
    return rows


def show(
    rows: list[dict[str, Any]], workers: int, idle: tuple[float, int], after: tuple[float, int], digest: str, console: Console
) -> None:
    """The table, the goals and what was switched on."""
    table = Table(title=f"requests a second, {CONNECTIONS} connections, {workers} worker(s), {os.cpu_count()} cores")
    for column in (
        "request",
        "ours",
        "bare path",
        "pgbench",
        "of bare",
        "of pgbench",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "bare CPU us",
        "answer bytes",
        "errors",
    ):
        table.add_column(column, justify="left" if column == "request" else "right")
    titles = {case.name: case.title for case in CASES}
    for row in rows:
        errors = row["errors"].strip("{}") or "0"
        table.add_row(
            titles[row["case"]], f"{row['ours']:,}", f"{row['bare']:,}", f"{row['pgbench']:,}", f"{row['of_bare']:.0%}",
            f"{row['of_pgbench']:.0%}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}", f"{row['cpu_us']:,}",
            f"{row['bare_cpu_us']:,}", f"{row['bytes']:,}", errors,
        )  # fmt: skip
    console.print(table)
    middleware = layers.measure()
    by_name = {row["case"]: row for row in rows}
    if workers == 1:
        verdicts = [
            ("one row by key >= 55% of the bare path", by_name["row"]["of_bare"] >= 0.55),
            ("one row by key >= 12% of pgbench", by_name["row"]["of_pgbench"] >= 0.12),
            ("100 rows >= 40% of pgbench", by_name["page"]["of_pgbench"] >= 0.40),
            ("idle under 150 MB without PostgreSQL", idle[0] < 150),
            ("all middleware <= 20 us", middleware[-1][1] <= 20),
        ]
        for goal, is_met in verdicts:
            console.print(f"  goal: {goal}: {'met' if is_met else 'NOT met'}")
    console.print(f"memory of our processes (PSS): {idle[0]:.0f} MB idle, {after[0]:.0f} MB after the load, {idle[1]} processes")
    console.print("middleware, CPU us a request: " + ", ".join(f"{line} {cost:.1f}" for line, cost in middleware))
    console.print(f"active stages: {' > '.join(stages())}")
    console.print(
        f"configuration: {digest} (defaults; rate limits off), Python {sys.version.split()[0]}, pgbench with {PGBENCH_CLIENTS} clients"
    )


def show_growth(server: Server, token: str, console: Console, *, is_whole: bool) -> None:
    """What a shape costs, and how the figures grow; the short form leaves most sizes out."""
    new, known = asyncio.run(shapes.measure(server))
    console.print(f"parse, plan and compile, median: new shape {new:.0f} us (goal 400), known shape {known:.0f} us (goal 30)")
    seconds = 5.0 if is_whole else 2.0
    growth.by_connections(server, token, [1, 8, 64, 256, 512] if is_whole else [1, 512], seconds, console)
    growth.by_rows(server, token, [1_000, 10_000, 100_000, 1_000_000] if is_whole else [1_000, 100_000], seconds, console)
    growth.by_depth(server, token, [1, 2, 3, 4] if is_whole else [1, 4], seconds, console)
    growth.by_tables([10, 100, 1_000, 10_000] if is_whole else [1_000], console)


def main() -> None:
    """Parse the two options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="longer, and once more with two workers")
    parser.add_argument("--seconds", type=float, help="seconds a measurement")
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    options = parser.parse_args()
    console = Console(width=170)
    seconds = options.seconds or (15.0 if options.all else 4.0)
    for workers in (1, 2) if options.all else (1,):
        folder = Path(tempfile.mkdtemp(prefix="fbb-", dir="/tmp"))
        folder.chmod(0o711)
        try:
            console.print(f"preparing {workers} worker(s): embedded PostgreSQL, schema, recorded statements")
            server, token, recorded = prepare(workers, folder)
            try:
                time.sleep(2)
                idle, digest = resident_megabytes(server), configuration_hash(server)
                rows = measure(server, token, recorded, folder, seconds, console)
                show(rows, workers, idle, resident_megabytes(server), digest, console)
                if workers == 1:
                    show_growth(server, token, console, is_whole=options.all)
            finally:
                server.stop()
            if options.csv:
                write_csv(options.csv.with_suffix(f".{workers}.csv"), rows)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

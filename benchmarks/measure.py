"""What is read from a running server: its load, its CPU time, its memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS = 64


def load(port: int, wire: bytes, *, seconds: float, warm_seconds: float = 1.0, connections: int = CONNECTIONS) -> dict[str, Any]:
    """One measurement by a load generator in a process of its own."""
    head = json.dumps({"port": port, "connections": connections, "warm_seconds": warm_seconds, "seconds": seconds}).encode() + b"\n"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=head + wire, cwd=ROOT, capture_output=True, timeout=120, check=True
    )
    return json.loads(ran.stdout)


def processes(pid: int) -> list[int]:
    """The process and everything it started, PostgreSQL left out."""
    found: list[int] = []
    try:
        if "postgres" in Path(f"/proc/{pid}/exe").resolve().name:
            return found
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                found += processes(int(child))
    except OSError:
        return found  # it ended while we looked
    return found


def resident_megabytes(server: Server) -> tuple[float, int]:
    """Proportional set size of our processes, and their number."""
    total, pids = 0, processes(server.process.pid)
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended while we looked
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found.group(1)) if found else 0
    return total / 1024, len(pids)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children so far."""
    ticks = 0
    for each in processes(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(pid: int, port: int, wire: bytes, *, seconds: float) -> dict[str, Any]:
    """A load, and the CPU microseconds a request that the server's process spent on it."""
    before = cpu_seconds(pid)
    found = load(port, wire, seconds=seconds)
    return {**found, "cpu_us": (cpu_seconds(pid) - before) / max(found["total"], 1) * 1e6}

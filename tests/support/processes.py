"""Looking at the processes of a started server."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.server import Server


def worker_pids(server: Server) -> set[int]:
    """The processes that accept connections: children of the main process started by multiprocessing."""
    listing = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(server.process.pid)], capture_output=True, text=True, check=False
    ).stdout
    return {int(line.split()[0]) for line in listing.splitlines() if "spawn_main" in line}


def wait_until(is_true: object, seconds: float = 20) -> None:
    """Poll a claim; fails when it does not come true in time."""
    ends_at = time.monotonic() + seconds
    while not is_true():  # type: ignore[operator]
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.05)

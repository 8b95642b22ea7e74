"""A Redis of one's own: the distribution's ``redis-server`` on a unix socket, so nobody else can reach it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path


class RedisServer:
    """Started by the constructor; ``stop`` and ``start`` keep the data (appendonly)."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fbr-", dir="/tmp"))
        self.socket = self.folder / "redis.sock"
        self.start()

    @staticmethod
    def binary() -> str | None:
        """Where it is, or None."""
        return shutil.which("redis-server") or shutil.which("valkey-server")

    @property
    def url(self) -> str:
        """As ``limits.redis_url`` wants it."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start and wait for the socket."""
        binary = self.binary()
        assert binary
        options = [
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--dir",
            str(self.folder),
        ]
        self.process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        ends_at = time.monotonic() + 20
        while not self.socket.exists() and time.monotonic() < ends_at:
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)

    def remove(self) -> None:
        """End it and its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

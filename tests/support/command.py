"""``fluxbase …`` as a user runs it: a process of its own, an environment without this machine's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without FLUXBASE_* and PG*, plus ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLUXBASE_", "PG"))}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **more}


def fluxbase(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "fluxbase", *map(str, arguments)],
        cwd=cwd, env=clean_environment(**(env or {})), capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip

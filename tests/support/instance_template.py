"""A data directory as the first start leaves it, made once and copied for each server: initdb and the kernel's SQL cost a second.

The copy is started by the shipped program, which brings it up to the test's own configuration as it would any older one.
The first start itself has its tests in tests/process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "fluxbase"
MADE_OF = ("sql", "db", "crypto", "auth", "config")


def _digest() -> str:
    files = sorted(path for part in MADE_OF for path in (SOURCE / part).rglob("*") if path.suffix in {".sql", ".py"})
    digest = hashlib.sha256(f"{os.geteuid()} {sys.version} {SOURCE}".encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def fill(data: Path, make: Callable[[Path], object]) -> None:
    """Copy the template into the empty directory ``data``; ``make`` fills a directory by starting and stopping an instance."""
    template = Path(f"/tmp/fbt-template-{_digest()}")
    with Path(f"{template}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            draft = Path(f"{template}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            make(draft)
            draft.rename(template)
    subprocess.run(["cp", "-a", "--reflink=auto", f"{template}/.", str(data)], check=True)

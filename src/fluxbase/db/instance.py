"""One data directory, one running instance: the lock and the files that commands read."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class ClusterError(Exception):
    """The data directory or its PostgreSQL cannot be used; one line that says what to do."""


class Instance:
    """The data directory. ``acquire`` refuses when another Fluxbase holds it; the lock dies with its process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._lock_fd: int | None = None

    @property
    def state_path(self) -> Path:
        """What the running instance tells commands: pid, URL, version. No secrets."""
        return self.data_dir / "instance.json"

    def acquire(self) -> None:
        """Take the directory, making it if needed. Raises ClusterError."""
        try:
            self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            fd = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ClusterError(
                f"the data directory {self.data_dir} cannot be used ({error.strerror}); choose another with --data"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(fd, 32, 0).decode().strip() or "unknown"
            os.close(fd)
            raise ClusterError(
                f"another Fluxbase (process {holder}) holds {self.data_dir}; stop it or choose another directory with --data"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._lock_fd = fd

    def release(self) -> None:
        """Give the directory free. Harmless when it is not held."""
        if self._lock_fd is not None:
            self.state_path.unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state file in one step."""
        draft = self.state_path.with_suffix(".tmp")
        draft.write_text(json.dumps(state))
        draft.replace(self.state_path)

    def read_state(self) -> dict[str, Any]:
        """The running instance's state, empty when none runs."""
        try:
            return dict(json.loads(self.state_path.read_text()))
        except (OSError, ValueError):
            return {}

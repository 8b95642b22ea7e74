"""One data directory, one running instance: the lock, the files that commands read, and the configuration it runs with."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbase.config import Config, ConfigError, load_config

if TYPE_CHECKING:
    from collections.abc import Mapping


class ClusterError(Exception):
    """The data directory or its PostgreSQL cannot be used; one line that says what to do."""


class Instance:
    """The data directory. ``acquire`` refuses when another Fluxbase holds it; the lock dies with its process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._lock_fd: int | None = None

    @property
    def state_path(self) -> Path:
        """What the running instance tells commands: pid, URL, listener, configuration file, version. No secrets."""
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
        if not _lock(fd):
            holder = os.pread(fd, 32, 0).decode().strip() or "unknown"
            os.close(fd)
            raise ClusterError(
                f"another Fluxbase (process {holder}) holds {self.data_dir}; stop it or choose another directory with --data"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._lock_fd = fd

    def release(self) -> None:
        """Give the directory free. Harmless when it is not held."""
        if self._lock_fd is not None:
            self.state_path.unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    def is_held(self) -> bool:
        """True while a process holds the directory; a file left by ``kill -9`` does not count."""
        try:
            fd = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state file in one step."""
        draft = self.state_path.with_suffix(".tmp")
        draft.write_text(json.dumps(state))
        draft.replace(self.state_path)

    def read_state(self) -> dict[str, Any]:
        """The running instance's state, empty when none runs."""
        if not self.is_held():
            return {}
        try:
            return dict(json.loads(self.state_path.read_text()))
        except (OSError, ValueError):
            return {}


def _lock(fd: int) -> bool:
    """Take the lock; a command that only looks (``is_held``) has it for an instant, so a refusal is asked again."""
    for attempt in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02 * attempt)
        else:
            return True
    return False


def running_config(data: Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration that a command works with: the running instance's listener and file, the rest as ``load_config`` reads it.

    Raises ConfigError when the configuration is wrong, or lacks the database URL that the instance was started with.
    """
    env = dict(os.environ if environ is None else environ)
    directory = data or load_config(environ=env).data_dir
    state = Instance(directory).read_state()
    if state.get("config_file"):
        env.setdefault("FLUXBASE_CONFIG", str(state["config_file"]))
    config = load_config(environ=env, data_dir=data)
    if state.get("has_own_database") and config.database.url is None:
        raise ConfigError("database.url is not set here, but the running instance has it: set FLUXBASE_DATABASE_URL as for its start")
    listener = {key: state[key] for key in ("host", "port") if key in state and state[key] != getattr(config.server, key)}
    origins = {f"server.{key}": "the running instance" for key in listener}
    return config.model_copy(update={"server": config.server.model_copy(update=listener), "origins": {**config.origins, **origins}})

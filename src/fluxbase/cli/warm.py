"""Worker processes that begin to import before there is anything to serve.

A worker needs about a second to import its libraries. The first ones begin at once (``warm_up``) and import on another
core while the main process reads the configuration and starts PostgreSQL; then each is sent what it is to run.
This module imports next to nothing, so that nothing delays them.
"""

from __future__ import annotations

import multiprocessing
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

_waiting: list[WarmProcess] = []


class WarmProcess:
    """A process that imports ``fluxbase.preload`` and waits for its order; as granian uses one of multiprocessing."""

    def __init__(self) -> None:
        receiver, self._sender = multiprocessing.Pipe(duplex=False)
        self._order: tuple[Callable[..., None], tuple[Any, ...]] | None = None
        # A daemon: one that was never ordered ends with the main process.
        self._process = multiprocessing.get_context("spawn").Process(target=_obey, args=(receiver,), name="worker", daemon=True)
        self._process.start()
        receiver.close()

    def prepare(self, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """What ``start`` will have it run."""
        self._order = target, arguments

    def start(self) -> None:
        """Run it, under the environment that the main process has now (reading the configuration changed it)."""
        self._sender.send((dict(os.environ), self._order))
        self._sender.close()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._process.join(timeout)

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def warm_up(workers: int = 1) -> None:
    """Have at least so many processes import already."""
    while len(_waiting) < workers:
        _waiting.append(WarmProcess())


def take() -> WarmProcess:
    """One that has begun, or a new one."""
    return _waiting.pop(0) if _waiting else WarmProcess()


def _obey(receiver: Connection) -> None:
    import_module("fluxbase.preload")  # what every worker needs

    try:
        environment, (target, arguments) = receiver.recv()
    except EOFError:
        return  # the main process could not start, and said why
    receiver.close()
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)

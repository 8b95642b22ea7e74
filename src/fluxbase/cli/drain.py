"""How an old worker stops to accept before it is stopped, so that a reload closes no connection unread.

The server library ends its accept loop and its connections in one step: a connection that was accepted an instant before, and whose
request was not read yet, would be closed as idle. So the main process first tells the worker to let go of the listening socket
(``SIGNAL``), waits until what it had accepted was read (``SECONDS``), and stops it then. A connection that comes meanwhile is the new
worker's: both accept from one socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNAL = signal.SIGUSR1
SECONDS = 0.25
IS_POSSIBLE = sys.platform == "linux"
"""Sockets without a path in the file system, and a list of open files, are Linux's."""


def prepare(listener: int) -> None:
    """In a worker: obey ``SIGNAL``. ``listener`` is the descriptor it inherited."""

    def obey(_number: int, _frame: FrameType | None) -> None:
        let_go(listener)

    if IS_POSSIBLE:
        signal.signal(SIGNAL, obey)


def let_go(listener: int) -> None:
    """Put a socket that nobody can reach in the listener's place, under each of its descriptors: accepting finds nothing from now on."""
    which = os.fstat(listener).st_ino
    with socket.socket(socket.AF_UNIX) as nobodys:
        nobodys.bind("")  # the kernel chooses an abstract name
        nobodys.listen(0)
        nobodys.setblocking(False)
        for open_file in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the one that lists the folder
                if open_file.stat().st_ino == which:
                    os.dup2(nobodys.fileno(), int(open_file.name), inheritable=False)

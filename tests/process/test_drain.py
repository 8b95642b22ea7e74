"""An old worker lets go of the shared socket before it is stopped (``cli/drain.py``): what comes afterwards is the new worker's."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from fluxbase.cli import drain

WORKER = """
import socket, sys
from fluxbase.cli import drain
listener = socket.socket(fileno=int(sys.argv[1]))
accepted = listener.accept()[0]
if sys.argv[2] == "lets go":
    drain.let_go(listener.fileno())
print("ready", flush=True)
sys.stdin.readline()
try:
    listener.accept()
    print("took it")
except BlockingIOError:
    print("found nothing")
print(accepted.recv(9).decode())
"""


@pytest.mark.skipif(not drain.IS_POSSIBLE, reason="Linux")
@pytest.mark.parametrize(("what", "found"), [("lets go", "found nothing"), ("holds on", "took it")])
def test_a_worker_that_let_go_accepts_nothing(what: str, found: str) -> None:
    """The next connection waits for whoever else has the socket; one accepted before is read. Without letting go it takes the next."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as before:
        listener.setblocking(False)
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(listener.fileno()), what], pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        before.sendall(b"a request")
        with socket.create_connection(listener.getsockname()):
            said, _ = worker.communicate("go\n", timeout=20)
            assert said.splitlines() == [found, "a request"]
            if what == "lets go":
                listener.accept()[0].close()

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# granian's supervisor is not typed.
"""The listening socket and the workers behind it.

The main process binds the socket once and every worker accepts from it. So a port in use is refused before anything
else happens, a connection that waits in the backlog belongs to no worker, and replacing workers loses none of them.
Workers are processes that have begun to import before (cli/warm.py).
"""

from __future__ import annotations

import errno
import math
import os
import resource
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from fluxbase.cli import drain
from fluxbase.cli.warm import take
from fluxbase.db.instance import ClusterError

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.config.tls import Tls

FILES_BESIDE = 512
"""Open files of a worker that are no client's."""
READY_SECONDS = 30.0
"""How long a reload waits for a new worker before it stops the old one."""


def room_for_connections(wanted: int) -> int:
    """How many connections a worker can hold: the limit of open files is raised as far as it goes, and some are left for everything else.

    Workers inherit the limit. Fewer than wanted is logged with what to do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_BESIDE
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == unlimited or soft >= needed:
        return wanted
    room = max(1, soft - FILES_BESIDE)
    mend = f"raise the limit of open files to {needed} (ulimit -Hn, LimitNOFILE=) or lower server.max_connections"
    structlog.get_logger("fluxbase.start").warning("few_connections", connections=room, wanted=wanted, mend=mend)
    return room


def bind(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket. Raises ClusterError, with what to do, when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener: socket.socket | None = None
    try:
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)[0][4]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ClusterError(_refusal(error, host, port)) from None
    listener.setblocking(False)
    return listener


def _refusal(error: OSError, host: str, port: int) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"another program listens on {place}; stop it, or choose another port: fluxbase start --port {port + 1 if port < 65535 else 0}"
        )
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for root; choose one from 1024 on: fluxbase start --port 8080"
    return f"this machine cannot listen on {place} ({error.strerror or error}); choose an address of its own with --host"


def check_certificate(tls: Tls) -> None:
    """Raises ClusterError for a certificate or key that cannot be used: found out before anything listens with it."""
    if not tls.cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        reason = (error.reason or "unreadable").lower().replace("_", " ")
        raise ClusterError(
            f"server.tls: certificate and key do not work together ({reason}); both must be PEM, the key unencrypted"
        ) from None
    except OSError as error:
        raise ClusterError(f"server.tls: {error.filename or tls.cert} cannot be read ({error.strerror})") from None


class InheritedSocket:
    """The listening socket as granian's workers take it; it travels to them as a file descriptor."""

    def __init__(self, listener: socket.socket, backlog: int) -> None:
        self._listener = listener
        self._backlog = backlog

    def __reduce__(self) -> tuple[Any, ...]:
        return _holder, (self._listener, self._backlog)


def _holder(listener: socket.socket, backlog: int) -> Any:
    drain.prepare(listener.fileno())
    return SocketHolder(listener.detach(), False, backlog)  # type: ignore[call-arg] # its stub has no constructor


class Workers(MPServer):
    """granian's supervisor on a socket of ours; replaces workers only when the new ones serve."""

    def __init__(
        self,
        target: str,
        config: Config,
        listener: socket.socket,
        *,
        may_reload: Callable[[], Config | None],
        is_ready: Callable[[int], bool],
    ) -> None:
        server = config.server
        super().__init__(
            target,
            address=server.host,
            port=server.port,
            interface=Interfaces.ASGI,
            workers=server.workers,
            loop=Loops.uvloop,
            http=HTTPModes.auto,
            backlog=server.backlog,
            backpressure=room_for_connections(server.max_connections),
            http1_settings=HTTP1Settings(header_read_timeout=10_000),
            log_enabled=False,
            respawn_failed_workers=True,
            workers_kill_timeout=max(1, math.ceil(server.graceful_stop_seconds)),
            factory=True,
        )
        self._use_certificate(config.server.tls)
        self._listener = listener
        self._may_reload = may_reload
        self._is_ready = is_ready

    def _init_shared_socket(self) -> None:
        """Every worker inherits the one socket, instead of binding its own with SO_REUSEPORT (which two programs could share unseen)."""
        self._ssp = None
        self._sfd = self._listener.fileno()
        self._shd: Any = InheritedSocket(self._listener, self.backlog)
        self._sso = self._listener

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        """granian's handle of a worker, on a process that has begun already."""
        worker = super()._spawn_worker(idx, target, callback_loader)
        process = take()
        process.prepare(worker.inner._target, worker.inner._args)  # noqa: SLF001 - of the process that granian would start
        worker.inner = process  # type: ignore[assignment] # it has what granian uses of one
        return worker

    def _use_certificate(self, tls: Tls) -> None:
        """Of the workers that are started from now on; rustls offers forward-secret AEAD suites only."""
        if tls.cert:
            oldest = SSLProtocols.tls13 if tls.min_version == "1.3" else SSLProtocols.tls12
            self.build_ssl_context(Path(tls.cert), Path(tls.key), None, oldest, None, [], False)

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """SIGHUP: new workers with configuration and certificate as they are now, unless that cannot be."""
        config = self._may_reload()
        if config is not None:
            self._use_certificate(config.server.tls)
            super()._reload(spawn_target, target_loader)
        else:
            self.reload_signal = False
            self.main_loop_interrupt.clear()

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        """One after the other: the old worker is stopped when the new one has said that it serves (``delay`` only guesses)."""
        del delay
        for idx in workers:
            self.respawned_wrks[idx] = time.monotonic()
            old = self.wrks.pop(idx)
            new = self._spawn_worker(idx=idx, target=spawn_target, callback_loader=target_loader)
            new.start()
            self.wrks.insert(idx, new)
            ends_at = time.monotonic() + READY_SECONDS
            while new.is_alive() and not self._is_ready(int(new.inner.pid)) and time.monotonic() < ends_at and not self.interrupt_signal:
                time.sleep(0.02)
            if not new.is_alive() and old.is_alive():
                self._keep(idx, old)
                continue
            if drain.IS_POSSIBLE and old.is_alive():
                os.kill(int(old.inner.pid), drain.SIGNAL)
                time.sleep(drain.SECONDS)
            old.terminate()
            old.join(self.workers_kill_timeout)
            if old.is_alive():
                old.kill()
                old.join()

    def _keep(self, idx: int, old: Any) -> None:
        """The new worker ended before it served: the old one goes on, and the death is no reason to respawn."""
        structlog.get_logger("fluxbase.start").error("reload_failed", error="a new worker could not start; the old one goes on")
        self.wrks[idx] = old
        time.sleep(0.1)  # the watcher of the dead one notes it within that
        if idx in self.interrupt_children:
            self.interrupt_children.remove(idx)


def ready_mark(folder: Path) -> Callable[[int], bool]:
    """A worker serves when it has written its first metrics file."""
    return lambda pid: (folder / f"{pid}.json").exists()

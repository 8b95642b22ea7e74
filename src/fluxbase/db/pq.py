"""libpq on an event loop: connecting and cancelling without blocking it. The reader/writer calls are those uvloop has too."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from psycopg.pq.abc import PGcancelConn, PGconn

_BAD, _FAILED, _OK, _READING = pq.ConnStatus.BAD, pq.PollingStatus.FAILED, pq.PollingStatus.OK, pq.PollingStatus.READING


class LoginRefused(OSError):
    """PostgreSQL answered and did not take the login: its password was changed, or it may not connect."""


async def connect(conninfo: str) -> PGconn:
    """A connected ``PGconn``, non-blocking and in pipeline mode. Raises OSError, LoginRefused for a refused password."""
    loop = asyncio.get_running_loop()
    try:
        pgconn = pq.PGconn.connect_start((await _resolved(conninfo, loop)).encode())
    except psycopg.Error as error:
        raise OSError(str(error)) from error
    try:
        await _poll_connect(pgconn, loop)
        pgconn.nonblocking = 1
        pgconn.enter_pipeline_mode()
    except psycopg.Error as error:
        pgconn.finish()
        raise OSError(str(error)) from error
    except BaseException:
        pgconn.finish()
        raise
    return pgconn


async def _poll_connect(pgconn: PGconn, loop: asyncio.AbstractEventLoop) -> None:
    while pgconn.status != _BAD:
        state = pgconn.connect_poll()
        if state == _OK:
            return
        if state == _FAILED:
            break
        await _ready(loop, pgconn.socket, is_reading=state == _READING)
    raise (LoginRefused if pgconn.used_password else OSError)(pgconn.get_error_message())


async def cancel(pgconn: PGconn) -> None:
    """Ask PostgreSQL to stop what this connection runs; returns when the request was taken. Raises OSError.

    The cancel travels with the connection's own TLS settings (``PQcancelStart``).
    """
    loop = asyncio.get_running_loop()
    try:
        request = pgconn.cancel_conn()
        request.start()
        try:
            await _poll_cancel(request, loop)
        finally:
            request.finish()
    except psycopg.Error as error:
        raise OSError(str(error)) from error


async def _poll_cancel(request: PGcancelConn, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        state = request.poll()
        if state == _OK:
            return
        if state == _FAILED:
            raise OSError(request.get_error_message())
        await _ready(loop, request.socket, is_reading=state == _READING)


async def _resolved(conninfo: str, loop: asyncio.AbstractEventLoop) -> str:
    """The same with ``hostaddr``: libpq would look a name up while the whole worker waits. Lists of hosts are left to libpq."""
    parts = conninfo_to_dict(conninfo)
    host = str(parts.get("host") or "")
    if not host or host.startswith(("/", "@")) or "," in host or parts.get("hostaddr"):
        return conninfo
    found = await loop.getaddrinfo(host, int(str(parts.get("port") or 5432)), type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return make_conninfo(conninfo, host=",".join([host] * len(addresses)), hostaddr=",".join(addresses))


async def _ready(loop: asyncio.AbstractEventLoop, fd: int, *, is_reading: bool) -> None:
    future: asyncio.Future[None] = loop.create_future()

    def done() -> None:
        if not future.done():
            future.set_result(None)

    (loop.add_reader if is_reading else loop.add_writer)(fd, done)
    try:
        await future
    finally:
        (loop.remove_reader if is_reading else loop.remove_writer)(fd)

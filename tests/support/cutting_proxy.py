"""A unix-socket proxy in front of PostgreSQL that cuts, stalls and counts at a chosen moment of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

READY = b"Z\0\0\0\x05"
"""How ReadyForQuery begins: one for each Sync."""

Cut = Callable[[bytes], bool]


class CuttingProxy:
    """``async with CuttingProxy(target) as proxy``: connect to ``proxy.directory`` as the socket directory."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.directory = tempfile.mkdtemp(prefix="fbp-", dir="/tmp")
        self.is_refusing = False
        """Close every new connection at once."""
        self.is_stalled = False
        """Read from the server, and keep it."""
        self.cut_request: Cut | None = None
        """Asked for each piece from the client: true cuts before it is forwarded."""
        self.cut_reply: Cut | None = None
        """Asked for each piece from the server: true cuts before it is forwarded."""
        self.accepted = 0
        self.ready = 0
        """Syncs answered so far."""
        self.requested = b""
        """Everything clients sent so far."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, str(Path(self.directory) / ".s.PGSQL.5432"))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection, both ways."""
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.is_refusing:
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, far_writer, is_reply=False), self._pump(far_reader, writer, is_reply=True))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers -= pair
            for one in pair:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                decide = self.cut_reply if is_reply else self.cut_request
                if decide is not None and decide(piece):
                    break
                if is_reply:
                    while self.is_stalled:
                        await asyncio.sleep(0.01)
                    self.ready += piece.count(READY)
                else:
                    self.requested += piece
                writer.write(piece)
                await writer.drain()
        raise ConnectionAbortedError

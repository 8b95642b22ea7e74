"""The SSRF guard: a transport that resolves a name once, judges every address, and connects to an address it has judged.

A name of which one address is refused is refused whole: who controls the name chose that address. The connection goes to the
judged address, never to the name again, so that an answer that flips (DNS rebinding) changes nothing; TLS is verified against
the name. Each redirect is a request of its own and passes here again. No connection is kept: it would be another name's.
Answers: no compression (a bomb would pass the limit), at most ``max_answer_bytes``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Protocol

import httpx

from fluxbase.kernel.errors import AddressRefused, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fluxbase.outbound.addresses import AddressRule

_PORTS = {"http": 80, "https": 443}


class Resolver(Protocol):
    """Addresses of a name, as text, best first."""

    async def __call__(self, host: str, port: int) -> list[str]:
        """Raises OSError when the name does not resolve."""
        ...


async def resolve(host: str, port: int) -> list[str]:
    """The system's resolver. It also reads ``127.1``, ``0x7f000001`` and ``2130706433`` as addresses, and so we see what it saw."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport for requests to addresses that others chose."""

    def __init__(
        self, rule: AddressRule, *, max_answer_bytes: int, resolver: Resolver = resolve, verify: ssl.SSLContext | bool = True
    ) -> None:
        self._rule = rule
        self._resolver = resolver
        self._max_answer_bytes = max_answer_bytes
        self._inner = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises AddressRefused for a URL or address that is not allowed, PeerUnavailable when nothing answers."""
        host, port = _target(request.url)
        await request.aread()
        error: Exception | None = None
        for address in await self._judged(host, port):
            try:
                answer = await self._inner.handle_async_request(_aimed(request, host, address))
            except httpx.ConnectError as failed:
                error = failed
                continue
            except httpx.TransportError as failed:
                raise PeerUnavailable(host) from failed
            return self._limited(answer, host)
        raise PeerUnavailable(host) from error

    async def _judged(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise PeerUnavailable(host) from error
        if not addresses or not all(self._rule.allows(address) for address in addresses):
            raise AddressRefused(host)
        return addresses

    def _limited(self, answer: httpx.Response, host: str) -> httpx.Response:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise PeerUnavailable(host)
        stream = _LimitedStream(answer.stream, self._max_answer_bytes, host)  # type: ignore[arg-type] # of an async transport
        return httpx.Response(answer.status_code, headers=answer.headers.raw, stream=stream, extensions=answer.extensions)

    async def aclose(self) -> None:
        """End it."""
        await self._inner.aclose()


def _target(url: httpx.URL) -> tuple[str, int]:
    """Host (ASCII, without the trailing dot that no certificate has) and port of a URL we may call."""
    host = url.raw_host.decode("ascii").rstrip(".")
    if url.scheme not in _PORTS or not host or url.userinfo or "%" in host:
        raise AddressRefused(host[:255])
    return host, url.port or _PORTS[url.scheme]


def _aimed(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """The same request to one address; ``Host`` stays, TLS asks for and verifies the name."""
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in (b"accept-encoding", b"connection")]
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=[*headers, (b"Accept-Encoding", b"identity"), (b"Connection", b"close")],
        content=request.content,
        extensions={**request.extensions, "sni_hostname": host},
    )


class _LimitedStream(httpx.AsyncByteStream):
    """Counts what arrives; ends the answer that is too large."""

    def __init__(self, inner: httpx.AsyncByteStream, limit: int, host: str) -> None:
        self._inner = inner
        self._left = limit
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                self._left -= len(chunk)
                if self._left < 0:
                    raise PeerUnavailable(self._host)
                yield chunk
        except httpx.TransportError as error:
            raise PeerUnavailable(self._host) from error

    async def aclose(self) -> None:
        await self._inner.aclose()

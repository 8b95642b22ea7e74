"""TrustedProxy and HostAndScheme: where a request comes from.

TrustedProxy (threat G60): the socket's address, unless the peer is a configured proxy; then the n-th entry of
X-Forwarded-For from the right. HostAndScheme (threat A8, DNS rebinding): only known host names.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import InvalidInput
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.web.context import App, Receive, Scope, Send


class TrustedProxy:
    """Sets ``context.address``."""

    def __init__(self, app: App, proxies: Sequence[str], hops: int) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(text, strict=False) for text in proxies]
        self._hops = hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            client = scope.get("client")
            address: str = client[0] if client else ""
            if self._networks and self._is_trusted(address):
                address = self._forwarded(scope, address)
            context_of(scope).address = address
        await self._app(scope, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _forwarded(self, scope: Scope, peer: str) -> str:
        entries: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                entries.extend(part.strip() for part in value.decode("latin-1").split(","))
        if len(entries) < self._hops:
            return peer
        candidate = entries[-self._hops]
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            return peer


class HostAndScheme:
    """Refuses hosts nobody configured: on a loopback listener only loopback names pass by default."""

    def __init__(self, app: App, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower().encode() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._allowed and scope["type"] != "lifespan":
            host = b""
            for name, value in scope["headers"]:
                if name == b"host" or name == b":authority":
                    host = value.lower()
                    break
            bare = host[: host.index(b"]") + 1] if host.startswith(b"[") and b"]" in host else host.split(b":", 1)[0]
            if bare not in self._allowed:
                raise InvalidInput("This host name is not served here.", code="host_not_allowed", status=421)
        await self._app(scope, receive, send)

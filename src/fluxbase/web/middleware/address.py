"""TrustedProxy, HostAndScheme and AddressLimit: where a request comes from, and how often.

TrustedProxy (threat G60): the socket's address, unless the peer is a configured proxy; then the n-th entry of
X-Forwarded-For from the right. HostAndScheme (threat A8, DNS rebinding): only known host names.
AddressLimit: before authentication, IPv6 by /64.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import InvalidInput, RateLimited
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.limits.gcra import AddressLimiter
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


def limit_key(address: str) -> str:
    """The address a limit counts: IPv6 by /64, because one user owns all of it."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.split("%", 1)[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


class AddressLimit:
    """The route's limit, by client address, before any credential is looked at."""

    def __init__(self, app: App, limiter: AddressLimiter, *, is_enabled: bool) -> None:
        self._app = app
        self._limiter = limiter
        self._is_enabled = is_enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_enabled and scope["type"] != "lifespan":
            context = context_of(scope)
            if context.route is not None:
                wait = self._limiter.admit(context.route.limit, limit_key(context.address))
                if wait:
                    raise RateLimited("Too many requests.", retry_after_seconds=wait)
        await self._app(scope, receive, send)

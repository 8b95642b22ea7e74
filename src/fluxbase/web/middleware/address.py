"""TrustedProxy and HostAndScheme: where a request comes from.

TrustedProxy (threat G60): the socket's address, unless the peer is a configured proxy; then the n-th entry of
X-Forwarded-For from the right. HostAndScheme (threat A8, DNS rebinding): only known host names, https where it is public.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from fluxbase.kernel.errors import Forbidden, InvalidInput
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send


class TrustedProxy:
    """Sets ``context.address`` and ``context.scheme``; an untrusted peer's ``X-Forwarded-*`` and ``Forwarded`` change nothing."""

    def __init__(self, app: App, proxies: Sequence[str], hops: int) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(text, strict=False) for text in proxies]
        self._hops = hops

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        client = scope.get("client")
        context.address = client[0] if client else ""
        if scope.get("scheme") in _TLS_SCHEMES:
            context.scheme = "https"
        if self._networks:
            if self._is_trusted(context.address):
                context.address = self._forwarded(scope, context.address)
                context.scheme = self._forwarded_scheme(scope) or context.scheme
            else:
                context.scheme = context.scheme or "http"
        return self._app(scope, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def _forwarded(self, scope: Scope, peer: str) -> str:
        candidate = self._entry(scope, b"x-forwarded-for")
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            return peer

    def _forwarded_scheme(self, scope: Scope) -> str:
        """What the outermost proxy of ours was asked with. One entry is enough: many proxies replace it instead of adding to it."""
        found = self._entry(scope, b"x-forwarded-proto") or self._entry(scope, b"x-forwarded-proto", hops=1)
        return found.lower() if found.lower() in {"http", "https"} else ""

    def _entry(self, scope: Scope, wanted: bytes, *, hops: int = 0) -> str:
        """The n-th entry from the right of a list that each proxy adds to; empty when there are fewer."""
        entries: list[str] = []
        for name, value in scope["headers"]:
            if name == wanted:
                entries.extend(part.strip() for part in value.decode("latin-1").split(","))
        n = hops or self._hops
        return entries[-n] if len(entries) >= n else ""


_TLS_SCHEMES = frozenset({"https", "wss"})
_SAFE = frozenset({"GET", "HEAD"})


class HostAndScheme:
    """Refuses hosts nobody configured; with an https public URL, leads plain http there.

    Only a request that certainly came in clear is led away: a trusted proxy says so, or it came past the proxies. A write
    is refused instead: what it carried has crossed the network already, and a redirect would hide that.
    """

    def __init__(self, app: App, allowed_hosts: Sequence[str], public_url: str) -> None:
        self._app = app
        names = [host.lower().encode() for host in allowed_hosts]
        self._allowed = frozenset(names)
        self._suffixes = tuple(name for name in names if name.startswith(b"."))
        self._https = public_url.rstrip("/") if public_url.startswith("https://") else ""
        self._is_served = lru_cache(maxsize=256)(self._find)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        if self._allowed:
            host = context.headers.get(b"host") or context.headers.get(b":authority", b"")
            if len(host) > _LONGEST_HOST or not self._is_served(host):
                raise InvalidInput("This host name is not served here.", code="host_not_allowed", status=421)
        if self._https and context.scheme == "http" and context.path not in _PROBES:
            return self._lead_away(scope, send)
        return self._app(scope, receive, send)

    def _find(self, host: bytes) -> bool:
        host = host.lower()
        bare = host[: host.index(b"]") + 1] if host.startswith(b"[") and b"]" in host else host.split(b":", 1)[0]
        return bare in self._allowed or bare.endswith(self._suffixes)

    async def _lead_away(self, scope: Scope, send: Send) -> None:
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            raise Forbidden("Only https is served here.", code="https_required")
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        target = f"{self._https}{quote(raw_path, safe=_PATH)}".encode()
        query = quote(scope["query_string"], safe=_PATH + "?").encode()
        headers = [(b"location", target + (b"?" + query if query else b"")), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 308, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


_LONGEST_HOST = 255
_PROBES = frozenset({"/health", "/ready"})
_PATH = "/%:@!$&'()*+,;=-._~"
"""RFC 3986 pchar and the slash: everything else is encoded, so nothing can end the header or change the host."""

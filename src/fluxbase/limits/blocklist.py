"""Who is refused before anything is looked at: blocked addresses, maintenance, switched-off routes, and who gets blocked by himself.

What is configured and what administrators set at run time, as this worker knows it; ``refresh`` reads the main database once
a second, and while it is away the last answer holds. An address that fails to authenticate too often, or walks into a canary path,
is blocked for a while: ``abuse.authentication`` and ``abuse.canary`` are limits whose lock is the block.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog

from fluxbase.kernel.access import CANARY_HITS, FAILED_AUTHENTICATIONS
from fluxbase.kernel.errors import Forbidden, RateLimited, Unavailable
from fluxbase.limits.blocklist_store import insert_block, select_kept_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fluxbase.config.limits import Limits
    from fluxbase.db.session import SystemSessions
    from fluxbase.kernel.access import Limit
    from fluxbase.limits.limiter import RateLimiter

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAIN = "main"
_log = structlog.get_logger("fluxbase.limits")
RETRY_SECONDS = 60
"""What Retry-After says during maintenance."""


@dataclass(slots=True)
class KeptOut:
    """What the main database says."""

    blocks: dict[Network, float | None] = field(default_factory=dict["Network", "float | None"])
    """Network → when it ends on this process' monotonic clock; None: never."""
    switches: dict[str, str] = field(default_factory=dict[str, str])
    """``maintenance`` or ``route:<name>`` → message."""


class Blocklist:
    """``check`` refuses; one event loop owns it."""

    def __init__(self, settings: Limits, limiter: RateLimiter, sessions: SystemSessions | None, trusted: Iterable[str] = ()) -> None:
        self._settings = settings
        self._limiter = limiter
        self._sessions = sessions
        self._denied = _networks(settings.denied_networks)
        self._allowed = _networks(settings.allowed_networks)
        self._spared = _networks([*settings.exempt_networks, *trusted, "127.0.0.1/32", "::1/128"])
        self._state = KeptOut()
        self._parsed: Callable[[str], Address | None] = lru_cache(maxsize=10_000)(parse_address)
        self.is_idle = True
        """Nobody is blocked and nothing is off: the hot path stops here."""
        self._note_idle()

    def check(self, address: str, path: str, route_name: Callable[[], str | None]) -> None:
        """Raises Forbidden for a blocked address, Unavailable while everything or this route is switched off."""
        parsed = self._parsed(address)
        if parsed is not None:
            self._check_address(parsed)
        elif self._allowed:
            raise _not_allowed()
        switches = self._state.switches
        if not switches or path in PROBES:
            return
        if "maintenance" in switches:
            raise _off(switches["maintenance"] or "Down for maintenance.", "maintenance")
        message = switches.get(f"route:{route_name()}")
        if message is not None:
            raise _off(message or "This is switched off at the moment.", "route_off")

    def _check_address(self, address: Address) -> None:
        if self._allowed and not _is_in(address, self._allowed):
            raise _not_allowed()
        if self._denied and _is_in(address, self._denied):
            raise Forbidden("This address is blocked.", code="address_blocked")
        for network, ends_at in self._state.blocks.items():
            if address in network:
                left = None if ends_at is None else ends_at - time.monotonic()
                if left is None or left > 0:
                    more = () if left is None else (("retry-after", str(int(left) + 1)),)
                    raise Forbidden("This address is blocked.", code="address_blocked", headers=more)

    async def note_failure(self, address: str, *, is_canary: bool = False) -> None:
        """Count a failed authentication or a canary hit of an address; over the limit it is blocked from now on, on every node soon."""
        parsed = self._parsed(address)
        if not self._settings.auto_block or parsed is None or _is_in(parsed, self._spared):
            return
        limit = CANARY_HITS if is_canary else FAILED_AUTHENTICATIONS
        network = ipaddress.ip_network((parsed, 64 if parsed.version == 6 else 32), strict=False)
        try:
            await self._limiter.admit(limit, str(network))
        except RateLimited as error:
            await self._block(network, limit, error.retry_after_seconds)

    async def _block(self, network: Network, limit: Limit, seconds: int) -> None:
        if network in self._state.blocks:
            return
        self._state.blocks[network] = time.monotonic() + seconds
        _log.warning("address_blocked", network=str(network), limit=limit.name, seconds=seconds)
        self._note_idle()
        if self._sessions is not None:
            async with self._sessions(MAIN, reason="block an address") as tx:
                await insert_block(tx, str(network), reason=limit.name, actor="abuse", seconds=seconds)

    async def refresh(self) -> None:
        """Read what holds now. Raises Unavailable."""
        if self._sessions is None:
            return
        async with self._sessions(MAIN, reason="who is kept out") as tx:
            blocks, switches = await select_kept_out(tx)
        now = time.monotonic()
        ends = {ipaddress.ip_network(text): None if left is None else now + left for text, left in blocks}
        self._state = KeptOut(ends, dict(switches))
        self._note_idle()

    def _note_idle(self) -> None:
        self.is_idle = not (self._denied or self._allowed or self._state.blocks or self._state.switches)


PROBES = frozenset({"/health", "/ready"})


def _not_allowed() -> Forbidden:
    return Forbidden("This address may not call here.", code="address_not_allowed")


def _off(message: str, code: str) -> Unavailable:
    return Unavailable(message, code=code, headers=(("retry-after", str(RETRY_SECONDS)),))


def _networks(texts: Iterable[str]) -> list[Network]:
    return [ipaddress.ip_network(text, strict=False) for text in texts]


def _is_in(address: Address, networks: list[Network]) -> bool:
    return any(address in network for network in networks)


def parse_address(text: str) -> Address | None:
    """An address as blocks compare it: a mapped IPv4 address is the IPv4 address. None for what is none (a unix socket)."""
    try:
        parsed = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return mapped or parsed

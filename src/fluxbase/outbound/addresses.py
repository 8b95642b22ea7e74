"""Which addresses a request of ours may reach: public unicast, and what the configuration allows besides.

An IPv6 address may carry an IPv4 address in it (mapped, compatible, 6to4, NAT64, Teredo, ISATAP). Such an address is judged
by what it carries as well: ``::ffff:127.0.0.1`` is loopback (threat D38, CVE-2026-35409). Tables: IANA's special-purpose
registries (RFC 6890, RFC 8190); what is not global unicast in them is refused.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20", "2620:4f:8000::/48"))
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_ISATAP = (0x00005EFE, 0x02005EFE)


def carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address in an IPv6 address, whatever the way it was put there; None when there is none."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _COMPATIBLE or address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def is_public(address: Address) -> bool:
    """True for global unicast whose embedded IPv4 address, if any, is global unicast too."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    inner = carried(address)
    if address.ipv4_mapped is not None or address in _NAT64:
        return inner is not None and is_public(inner)
    if address not in _GLOBAL_V6 or any(address in network for network in _SPECIAL_V6):
        return False
    return inner is None or is_public(inner)


class AddressRule:
    """Public addresses and the configured networks."""

    def __init__(self, allowed_networks: list[str]) -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(text) for text in allowed_networks)

    def allows(self, text: str) -> bool:
        """Judge one resolved address. A mapped address is the IPv4 address it carries; one with a zone is never allowed."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                return False
            address = address.ipv4_mapped or address
        return is_public(address) or any(address in network for network in self._allowed)

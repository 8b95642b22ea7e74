"""Which addresses may be reached: tables of the registries, IPv4 inside IPv6, and what the configuration adds."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxbase.outbound.addresses import AddressRule, carried, is_public

REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "64:ff9b:1::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:4860::5efe:127.0.0.1", "2001:4860::200:5efe:10.0.0.1", "fe80::1%eth0", "not-an-address", "",
]  # fmt: skip
KINDS = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_unspecified")
ALLOWED = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_public_is_refused(text: str) -> None:
    """Private, loopback, link-local, metadata, multicast, documentation, and IPv6 that carries such an address."""
    assert not AddressRule([]).allows(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_public_addresses_are_allowed(text: str) -> None:
    """Global unicast, and the ways to write a public IPv4 address in IPv6."""
    assert AddressRule([]).allows(text)


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_in_every_form(inner: IPv4Address) -> None:
    """Mapped, NAT64 and 6to4 forms of an address are public only when it is."""
    number = int(inner)
    forms = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address((0x2002 << 112) | number << 80),
    ]
    assert {carried(form) for form in forms} == {inner}
    assert {is_public(form) for form in forms} == {is_public(inner)}


@given(st.ip_addresses())
def test_never_wider_than_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    """What Python calls private, loopback, link-local, multicast or reserved is never public, but for the NAT64 prefix."""
    if is_public(address) and address not in ALLOWED:
        inner = carried(address) if isinstance(address, IPv6Address) else None
        judged = inner or address
        assert [name for name in KINDS if getattr(judged, name)] == []


def test_configured_networks_are_allowed_and_no_more() -> None:
    """A network of the configuration opens its own addresses, in both notations, and none beside it."""
    rule = AddressRule(["127.0.0.1/32", "fd00::/8"])
    assert [rule.allows(text) for text in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::5", "8.8.8.8")] == [True] * 4
    assert [rule.allows(text) for text in ("127.0.0.2", "::1", "::ffff:127.0.0.2", "10.0.0.1", "fc00::1")] == [False] * 5
    assert ip_address("127.0.0.1").is_loopback

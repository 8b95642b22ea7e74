"""Opaque keys: their form and their checksum."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from fluxbase.crypto.opaque import PREFIXES, PUBLISHABLE, SECRET, format_opaque, parse_opaque, tenant_locator
from fluxbase.kernel.ids import TenantId

LOCATOR = tenant_locator(TenantId("11111111-1111-4111-8111-111111111111"))


@given(st.binary(min_size=32, max_size=32), st.sampled_from(PREFIXES))
def test_form_round_trips(secret: bytes, prefix: str) -> None:
    """Any 32 bytes give a key that is taken apart again; its digest is of the whole text."""
    text = format_opaque(prefix, LOCATOR, secret)
    key = parse_opaque(text)
    assert key is not None
    assert (key.prefix, key.locator, key.digest) == (prefix, LOCATOR, hashlib.sha256(text.encode()).digest())
    assert len(text) == 59 + len(prefix)


def test_every_changed_character_is_refused() -> None:
    """The checksum notices any single wrong character, a cut, an addition and another prefix."""
    text = format_opaque(PUBLISHABLE, LOCATOR, bytes(range(32)))
    for index, letter in enumerate(text):
        assert parse_opaque(text[:index] + ("A" if letter != "A" else "B") + text[index + 1 :]) is None
        assert parse_opaque(text[:index]) is None
    assert parse_opaque(text + "0") is None
    assert parse_opaque(SECRET + text[6:]) is None


@given(st.text(max_size=80))
def test_any_text_is_taken(text: str) -> None:
    """No text makes the parser fail; random text is no key."""
    assert parse_opaque(text) is None
    assert parse_opaque(PUBLISHABLE + text) is None


def test_locator_is_stable_and_hides_the_tenant() -> None:
    """A locator is a fixed function of the tenant id and shows no part of it."""
    assert tenant_locator(TenantId("11111111-1111-4111-8111-111111111111")) == LOCATOR
    assert tenant_locator(TenantId("11111111-1111-4111-8111-111111111112")) != LOCATOR
    assert "1111" not in LOCATOR

"""What may be a slug: nothing is repaired, so no look-alike is ever taken for another."""

from __future__ import annotations

import pytest

from fluxbase.kernel.errors import InvalidInput
from fluxbase.tenancy.lifecycle import RESERVED, check_slug
from fluxbase.tenancy.locator import locator_of


@pytest.mark.parametrize("slug", ["a", "acme", "a1", "acme-2", "a" * 63])
def test_slugs(slug: str) -> None:
    """Lower-case letters, digits and single hyphens."""
    assert check_slug(slug) == slug


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "A",
        "1a",
        "-a",
        "a-",
        "a--b",
        "a_b",
        "a.b",
        "a b",
        "\u0430cme",
        "\uff41cme",
        "acme\n",
        "acme\0",
        "a" * 64,
        "a" * 200,
        "x'; drop table t;--",
        *sorted(RESERVED),
    ],
)
def test_no_slugs(slug: str) -> None:
    """Reserved words, other alphabets, SQL, white space, too long."""
    with pytest.raises(InvalidInput):
        check_slug(slug)


@pytest.mark.parametrize(
    "text", ["", "fb_", "fb_pk_short", "fb_pk_!!!!!!!!!_x", "a.b.c", "!.x.y", "e30.x.y", "eyJraWQiOjF9.x.y", "x" * 5000 + ".y.z"]
)
def test_noise_names_no_tenant(text: str) -> None:
    """A credential that cannot name a tenant goes to the named or the default one's keys, where it fails."""
    assert locator_of(text) is None

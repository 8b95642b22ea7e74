"""Every bad token of the corpus is refused with a 401, in both modes (threats.md B28)."""

from __future__ import annotations

import json

import pytest

from fluxbase.kernel.errors import Kind, Unauthenticated
from tests.unit.auth.conftest import TENANT, Bench
from tests.unit.auth.tokens import INSIDE, OUTSIDE, Forge, raw_signer, unb64

CASES = {**{f"outside: {name}": build for name, build in OUTSIDE.items()}, **{f"inside: {name}": build for name, build in INSIDE.items()}}
CODES = {"PGRST301", "PGRST303"}


@pytest.fixture(scope="module")
def plain() -> Bench:
    """One verifier for the whole corpus."""
    return Bench()


@pytest.fixture(scope="module")
def with_secret() -> Bench:
    """The same with a shared secret, whose public half must open nothing more."""
    return Bench(shared="another-secret-of-more-than-32-characters")


def refused(bench: Bench, raw: str) -> Unauthenticated:
    """The error a token gets; the test fails when it is accepted or fails otherwise."""
    with pytest.raises(Unauthenticated) as caught:
        bench.check(raw)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.pgrst in CODES
    assert len(caught.value.message) < 120
    return caught.value


@pytest.mark.parametrize("name", CASES)
def test_refused(plain: Bench, name: str) -> None:
    """The mutated token is a 401 of PostgREST's codes, on the first and on the second try."""
    raw = CASES[name](plain.forge())
    refused(plain, raw)
    refused(plain, raw)


@pytest.mark.parametrize("name", CASES)
def test_refused_with_shared_secret(with_secret: Bench, name: str) -> None:
    """Setting ``auth.jwt_secret`` makes none of them acceptable."""
    bench = with_secret
    key = bench.signing[TENANT]
    good = key.sign(json.loads(unb64(bench.mint(session_id="s", email="ada@example.test").split(".")[1])), "at+jwt")
    public = key.public_jwk()
    assert public is not None
    assert bench.check(good).role == "authenticated"
    refused(bench, CASES[name](Forge(good, public, raw_signer(key))))


def test_corpus_is_large() -> None:
    """The corpus has at least sixty cases of which at least thirty carry a holding signature."""
    assert len(CASES) >= 60
    assert len(INSIDE) >= 30


def test_the_good_token_passes(plain: Bench) -> None:
    """The token all cases start from is accepted: the corpus fails for its changes, not by accident."""
    forge = plain.forge()
    assert plain.check(forge.good).user_id == forge.claims["sub"]
    assert plain.check(forge.signed()).user_id == forge.claims["sub"]

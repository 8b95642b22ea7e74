"""Threat B28 over HTTP: every bad token of the corpus is 401 on both surfaces and never anon; nor is a secret part of an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.hostile import ALICE
from tests.support.mint import forge
from tests.support.server import Server
from tests.unit.auth.tokens import INSIDE, OUTSIDE, Forge


def forge_of(server: Server) -> Forge:
    """A good token of Alice, and the real key for the cases behind a holding signature."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(
            lambda: asyncio.run(forge(server.data_dir, {"user_id": ALICE, "session_id": "s", "claims": {"email": "a@b.test"}}))
        ).result(60)


@pytest.fixture(scope="module")
def forged(server: Server) -> Iterator[tuple[Server, Forge]]:
    """A table that anon may read, so that a token taken for nobody would be answered."""
    server.sql("drop table if exists open_page; create table open_page (id int); create policy everybody on open_page using (true)")
    yield server, forge_of(server)
    server.sql("drop table open_page")


@pytest.mark.parametrize("name", [*OUTSIDE, *INSIDE])
def test_a_bad_token_is_refused(forged: tuple[Server, Forge], name: str) -> None:
    """401 in ``Authorization`` and in ``apikey``, on REST, natively and on the control plane."""
    server, good = forged
    raw = (OUTSIDE | INSIDE)[name](good).encode()
    for headers in ({"authorization": b"Bearer " + raw}, {"apikey": raw}):
        for path in ("/rest/v1/open_page", "/api/v1/tables/open_page", "/api/v1/auth/user"):
            answer = server.request("GET", path, key=None, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 401, (name, headers, answer.text)


def test_the_corpus_has_sixty_cases() -> None:
    """At least, each with another text: mutations of header, claims and signature, and tokens of other kinds, tenants and keys."""
    assert len(OUTSIDE | INSIDE) >= 60


def test_the_good_token_is_good(forged: tuple[Server, Forge]) -> None:
    """Or the corpus would prove nothing."""
    server, good = forged
    assert server.get("/rest/v1/open_page", key=good.good).status_code == 200


@pytest.mark.twin("auth:signature")
def test_twin_that_takes_any_signature_is_fooled(twin: Server) -> None:
    """Without the check of the signature a token of the attacker's making reads as its victim."""
    twin.sql(
        "drop table if exists own_page; create table own_page (owner uuid); create policy own on own_page using (owner = (select auth.uid()))"
    )
    twin.sql(f"insert into own_page values ('{ALICE}')")
    good = forge_of(twin)
    fake = good.unsigned(good.header)
    assert twin.get("/rest/v1/own_page", key=fake).status_code == 401
    assert twin.get("/rest/v1/own_page", key=fake, headers={"x-twin-without": "auth:signature"}).json() == [{"owner": ALICE}]

"""The proof sees what it should (issue 4, "done when"): with any single tenant check removed it fails, with all of them it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from fluxbase.app import open_program
from fluxbase.db.instance import running_config
from fluxbase.proof.prove import SECTIONS, Proof, for_proof, prove
from tests.support import tenant_checks
from tests.support.server import Server, start_server
from tests.support.tenant import TenantHandle, make_tenants

ROUTES = {check.route for check in tenant_checks.CODE.values()}
"""The whole router is in test_tenant_proof.py; a run for each check must be short, so it is the part that must notice."""
ISOLATIONS = ("database", "schema", "row")
Pair = tuple[TenantHandle, TenantHandle]


@pytest.fixture(scope="module")
def mutable() -> Iterator[Server]:
    """A cluster whose checks are taken away one at a time."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pairs(mutable: Server) -> dict[str, Pair]:
    """Two tenants of each strength."""
    made = make_tenants(mutable, *((f"{side}-{kind}", kind) for kind in ISOLATIONS for side in ("m", "n")))
    return dict(zip(ISOLATIONS, zip(made[::2], made[1::2], strict=True), strict=True))


def proven(
    server: Server,
    pair: Pair,
    removed: AbstractContextManager[None],
    *,
    routes: set[str],
    sections: tuple[str, ...],
    is_whole: bool = False,
) -> Proof:
    """A part of the proof of a pair while a check is away: it ends with the first finding."""

    async def run() -> Proof:
        config = for_proof(running_config(server.data_dir, environ={"FLUXBASE_DATA_DIR": str(server.data_dir)}))
        async with open_program(server.data_dir, config=config) as program:
            return await prove(program, pair[0].id, pair[1].id, is_first_enough=not is_whole, only=routes, sections=sections)

    with removed:
        return asyncio.run(run())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_with_every_check_it_holds(mutable: Server, pairs: dict[str, Pair], isolation: str) -> None:
    """The control of the tests below: their routes and sections, nothing removed."""
    proof = proven(mutable, pairs[isolation], nullcontext(), routes=ROUTES, sections=SECTIONS, is_whole=True)
    assert (proof.tally.findings, sorted(proof.sections)) == ([], sorted(SECTIONS))


@pytest.mark.parametrize("name", sorted(tenant_checks.CODE))
def test_without_a_check_in_the_code_it_fails(mutable: Server, pairs: dict[str, Pair], name: str) -> None:
    """Each comparison of tenants, edited out of the running module."""
    check = tenant_checks.CODE[name]
    removed = tenant_checks.without_code(check)
    proof = proven(mutable, pairs[check.isolation], removed, routes={check.route}, sections=("routes",))
    assert proof.tally.findings, f"nobody notices that {name!r} is gone"


@pytest.mark.parametrize("name", sorted(tenant_checks.SQL))
def test_without_a_check_in_sql_it_fails(mutable: Server, pairs: dict[str, Pair], name: str) -> None:
    """Each wall, grant and function between tenants, taken out of the database."""
    check = tenant_checks.SQL[name]
    a, b = pairs[check.isolation]
    removed = tenant_checks.without_sql(check, mutable, a, b)
    proof = proven(mutable, (a, b), removed, routes={"rest.table"}, sections=(check.section,))
    assert proof.tally.findings, f"nobody notices that {name!r} is gone"

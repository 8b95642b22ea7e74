"""The proof sees what it should (issue 4, "done when"): with any single tenant check removed it fails, with all of them it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from fluxbase.app import open_program
from fluxbase.db.instance import running_config
from fluxbase.proof.prove import Proof, for_proof, prove
from tests.support import tenant_checks
from tests.support.server import Server, start_server
from tests.support.tenant import TenantHandle, make_tenant

ROUTES = ("rest.table", "rest.rpc", "openapi", "tenants.get", "tenants.mine")
"""Enough for every check: the whole router is in test_tenant_proof.py, and a run for each check must be short."""


@pytest.fixture(scope="module")
def mutable() -> Iterator[Server]:
    """A cluster whose checks are taken away one at a time."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pairs(mutable: Server) -> dict[str, tuple[TenantHandle, TenantHandle]]:
    """Two tenants of each strength."""
    return {
        kind: (make_tenant(mutable, f"m-{kind}", kind), make_tenant(mutable, f"n-{kind}", kind)) for kind in ("database", "schema", "row")
    }


def proven(
    server: Server, pair: tuple[TenantHandle, TenantHandle], removed: AbstractContextManager[None], *, is_first_enough: bool = True
) -> Proof:
    """The proof of a pair while a check is away."""

    async def run() -> Proof:
        config = for_proof(running_config(server.data_dir, environ={"FLUXBASE_DATA_DIR": str(server.data_dir)}))
        async with open_program(server.data_dir, config=config) as program:
            return await prove(program, pair[0].id, pair[1].id, is_first_enough=is_first_enough, only=ROUTES)

    with removed:
        return asyncio.run(run())


@pytest.mark.parametrize("isolation", ["database", "schema", "row"])
def test_with_every_check_it_holds(mutable: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], isolation: str) -> None:
    """The control of the tests below: the same short proof, nothing removed."""
    assert proven(mutable, pairs[isolation], nullcontext(), is_first_enough=False).tally.findings == []


@pytest.mark.parametrize("name", sorted(tenant_checks.CODE))
def test_without_a_check_in_the_code_it_fails(mutable: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], name: str) -> None:
    """Each comparison of tenants, edited out of the running module."""
    check = tenant_checks.CODE[name]
    assert proven(mutable, pairs[check.isolation], tenant_checks.without_code(check)).tally.findings, (
        f"nobody notices that {name!r} is gone"
    )


@pytest.mark.parametrize("name", sorted(tenant_checks.SQL))
def test_without_a_check_in_sql_it_fails(mutable: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], name: str) -> None:
    """Each wall, grant and function between tenants, taken out of the database."""
    check = tenant_checks.SQL[name]
    a, b = pairs[check.isolation]
    assert proven(mutable, (a, b), tenant_checks.without_sql(check, mutable, a, b)).tally.findings, f"nobody notices that {name!r} is gone"

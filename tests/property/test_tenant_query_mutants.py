"""The proof sees a query that forgets its tenant (issue 4, "done when"): the predicates ``tenant_id = …`` are removed, one at a time.

Tenants in rows of one database are the ones whom these predicates keep apart. Each mutant runs on the route that shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from fluxbase.app import open_program
from fluxbase.db.instance import running_config
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.proof.prove import for_proof, prove
from tests.support.long import needs_long
from tests.support.server import Server, start_server
from tests.support.tenant import make_tenant
from tests.support.tenant_queries import Query, forgetting, queries
from tests.support.tenant_queries_spared import NOTICED

pytestmark = [needs_long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rows() -> Iterator[Server]:
    """A server with two tenants in rows of one database."""
    server = start_server()
    for name in ("left", "right"):
        make_tenant(server, name, "row")
    yield server
    server.stop()


def fails(server: Server, removed: AbstractContextManager[None], routes: set[str]) -> bool:
    """Whether the proof of these routes fails while a predicate is away; not getting as far as the first attack is failing too."""

    async def run() -> bool:
        config = for_proof(running_config(server.data_dir, environ={"FLUXBASE_DATA_DIR": str(server.data_dir)}))
        async with open_program(server.data_dir, config=config) as program:
            try:
                return bool((await prove(program, "left", "right", is_first_enough=True, only=routes)).tally.findings)
            except FluxbaseError:
                return True

    with removed:
        return asyncio.run(run())


def test_with_every_predicate_it_holds(rows: Server) -> None:
    """The control of the tests below: the same routes, nothing removed."""
    assert not fails(rows, nullcontext(), set(NOTICED.values()))


@pytest.mark.parametrize("query", [query for query in queries() if query.name in NOTICED], ids=lambda query: query.name)
def test_a_query_that_forgets_its_tenant_is_noticed(rows: Server, query: Query) -> None:
    """With everybody's rows in one query's reach, somebody sees or changes what is not his."""
    assert fails(rows, forgetting(query), {NOTICED[query.name]}), f"nobody notices that {query.name} forgets its tenant"

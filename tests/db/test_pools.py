"""Pools: first come first served, bounded by pool and over all pools, nobody waits longer than he must."""

from __future__ import annotations

import asyncio
import time

import pytest

from fluxbase.db.executor import Mode
from fluxbase.db.shares import Shares
from fluxbase.kernel.errors import DeadlineExceeded, FluxbaseError, Unavailable
from fluxbase.kernel.ids import TenantId
from tests.db.executor_database import ALICE, Database, run

ROLES = ("anon", "authenticated", "service_role")


def test_an_exhausted_pool_is_504_after_the_wait(database: Database) -> None:
    """Who finds every connection taken waits ``pool_wait_seconds`` and hears PGRST003; the pool works on."""

    async def scenario() -> None:
        async with database.caller(size=1, wait_seconds=0.2) as caller:
            await caller.run("select '', '1'")
            slow = asyncio.create_task(caller.run("select 'slow', '1' from pg_sleep(0.8)"))
            await asyncio.sleep(0.05)
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded) as caught:
                await caller.run("select 'late', '1'")
            assert caught.value.pgrst == "PGRST003"
            assert 0.15 < time.monotonic() - start < 0.7
            assert (await slow)[0] == b"slow"
            assert (await caller.run("select 'next', '1'"))[0] == b"next"

    run(scenario())


def test_who_waits_is_served_in_the_order_of_arrival(database: Database) -> None:
    """Thirty requests on one connection end in the order in which they came."""

    async def scenario() -> list[int]:
        ended: list[int] = []
        async with database.caller(size=1, wait_seconds=10) as caller:

            async def ask(number: int) -> None:
                await caller.run("select $1::text, '1' from pg_sleep(0.005)", str(number))
                ended.append(number)

            tasks = [asyncio.create_task(ask(number)) for number in range(30)]
            await asyncio.gather(*tasks)
        return ended

    assert run(scenario()) == list(range(30))


def test_the_total_over_all_pools_is_kept_and_nobody_starves(database: Database) -> None:
    """With three connections for three busy roles there are never more than three, and every role is served meanwhile."""

    async def scenario() -> None:
        async with database.caller(size=2, total=2, wait_seconds=10) as caller:
            served = dict.fromkeys(ROLES, 0)
            most = 0
            ends_at = time.monotonic() + 2

            async def hammer(role: str) -> None:
                nonlocal most
                while time.monotonic() < ends_at:
                    await caller.run("select 'x', '1'", role=role, user=None)
                    served[role] += 1
                    most = max(most, sum(pool.places for pool in caller.pools._pools.values()))

            await asyncio.gather(*[hammer(role) for role in ROLES for _ in range(4)])
            assert most == 2
            assert min(served.values()) > 5

    run(scenario())


def test_an_empty_pool_is_forgotten(database: Database) -> None:
    """A worker keeps no pool of a database or role that nobody uses any more."""

    async def scenario() -> None:
        async with database.caller() as caller:
            await caller.run("select 'x', '1'", role="anon", user=None)
            for connection in list(caller.pools.of(database.name, "anon").all):
                connection.close()
            caller.pools._trim_all()
            assert not caller.pools._pools

    run(scenario())


def test_an_unprepared_role_is_503_and_costs_no_other(database: Database) -> None:
    """A role whose login does not exist cannot connect: 503, quickly; the other roles of the database are served."""

    async def scenario() -> None:
        async with database.caller() as caller:
            await caller.run("select 'x', '1'")
            with pytest.raises(Unavailable):
                await caller.run("select 'x', '1'", role="nobody_knows", user=None)
            assert (await caller.run("select 'x', '1'"))[0] == b"x"

    run(scenario())


def test_a_client_that_leaves_cancels_its_statement(database: Database) -> None:
    """A cancelled request stops its statement in PostgreSQL at once; its connection serves the next request."""

    async def scenario() -> None:
        async with database.caller(size=1, wait_seconds=5) as caller:
            await caller.run("select 'x', '1'")
            leaving = asyncio.create_task(caller.run("select 'x', pg_sleep(9)::text"))
            await asyncio.sleep(0.1)
            leaving.cancel()
            start = time.monotonic()
            assert (await caller.run("select 'next', '1'"))[0] == b"next"
            assert time.monotonic() - start < 1.5
            with pytest.raises(asyncio.CancelledError):
                await leaving

    run(scenario())


def test_a_late_cancel_never_hits_the_next_request(database: Database) -> None:
    """Clients that leave at every possible moment: whoever gets the connection next is never cancelled for them."""

    async def scenario() -> None:
        async with database.caller(size=1, wait_seconds=10) as caller:
            await caller.run("select 'x', '1'")
            for number in range(150):
                leaving = asyncio.create_task(caller.run("select 'x', '1' from pg_sleep(0.002)"))
                await asyncio.sleep(number * 0.00004)
                leaving.cancel()
                assert (await caller.run("select $1::text, '1' from pg_sleep(0.001)", str(number)))[0] == str(number).encode()
                await asyncio.gather(leaving, return_exceptions=True)

    run(scenario())


def test_a_statement_over_its_time_is_504_and_the_connection_is_kept(database: Database) -> None:
    """PostgreSQL's own statement_timeout ends it; the backend that served it serves the next one."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            first = await caller.run("select pg_backend_pid()::text, '1'")
            with pytest.raises(DeadlineExceeded) as caught:
                await caller.run("select 'x', '1' from pg_sleep(5)", seconds=0.2)
            assert caught.value.sqlstate == "57014"
            assert await caller.run("select pg_backend_pid()::text, '1'") == first

    run(scenario())


def test_a_deferred_constraint_leaves_no_row_in_the_answer(database: Database) -> None:
    """Rows that came before the Sync failed are not answered: the caller gets the error alone, and nothing was kept."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            with pytest.raises(FluxbaseError) as caught:
                await caller.run("insert into note (id, page) values (1, 999) returning 'a-row', '1'", mode=Mode.WRITE)
            assert caught.value.sqlstate == "23503"
            with pytest.raises(FluxbaseError):
                await caller.run(
                    "insert into note (id, page) values (2, 999) returning 'a-row', '1'", mode=Mode.WRITE, verdict=lambda _: True
                )
            assert await caller.run("select count(*)::text, '1' from note", user=ALICE) == (b"0", b"1")

    run(scenario())


def test_the_connection_used_longest_ago_makes_room(database: Database) -> None:
    """A pool that needs a place gets that of the coldest idle connection, whichever pool was made first."""

    async def scenario() -> None:
        async with database.caller(size=2, total=2) as caller:
            for role in ("anon", "authenticated", "anon", "service_role"):
                await caller.run("select 'x', '1'", role=role, user=None)
            kept = {role: caller.pools.of(database.name, role).places for role in ROLES}
            assert kept == {"anon": 1, "authenticated": 0, "service_role": 1}

    run(scenario())


def test_tenants_of_one_pool_are_served_in_turn(database: Database) -> None:
    """One tenant has fifty requests in line before another's first one comes: that waits for one of them, not for fifty."""

    async def scenario() -> list[str]:
        ended: list[str] = []
        async with database.caller(size=1, total=1, wait_seconds=10) as caller:

            async def ask(tenant: str) -> None:
                await caller.run("select 'x', '1' from pg_sleep(0.005)", tenant=tenant)
                ended.append(tenant)

            crowd = [asyncio.create_task(ask("busy")) for _ in range(50)]
            await asyncio.sleep(0.05)
            await asyncio.gather(*crowd, asyncio.create_task(ask("late")))
        return ended

    ended = run(scenario())
    assert ended.index("late") < 40


def test_a_tenant_holds_at_most_what_is_left_for_the_others() -> None:
    """Half of all alone, then a quarter, and so on; of a role it has nothing of, one as long as anything is left."""
    shares = Shares(16)
    held: dict[str, int] = {}
    for name in ("first", "second", "third", "fourth"):
        tenant = TenantId(name)
        while shares.may_take(tenant, is_first=False):
            shares.take(tenant)
            held[name] = held.get(name, 0) + 1
    assert held == {"first": 8, "second": 4, "third": 2, "fourth": 1}
    assert shares.may_take(TenantId("first"), is_first=True)
    shares.take(TenantId("fifth"))
    assert not shares.may_take(TenantId("sixth"), is_first=True)
    shares.give_back(TenantId("first"))
    assert shares.may_take(TenantId("sixth"), is_first=True)

"""The connection to PostgreSQL is cut, or stalls, at every moment of a request: a read is asked again once, a write is
never sent twice, and no request hangs. Real PostgreSQL behind a proxy that cuts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import DeadlineExceeded, Unavailable
from tests.db.executor_database import ALICE, Caller, Database, run
from tests.support.cutting_proxy import CuttingProxy

READ = "select text, '1' from diary where id = 1"
INSERT = "insert into diary (text) values ($1) returning 'done', '1'"
LARGE = "select string_agg(repeat('x', 1000), ''), '1' from generate_series(1, 2000)"


def times(count: int, when: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """Cut the first ``count`` times that ``when`` holds."""
    left = [count]

    def decide(piece: bytes) -> bool:
        is_cut = left[0] > 0 and when(piece)
        left[0] -= is_cut
        return is_cut

    return decide


def behind(database: Database, scenario: Callable[[Caller, CuttingProxy], Any], **options: Any) -> Any:
    """Run ``scenario`` with an executor whose connections go through a proxy."""

    async def work() -> Any:
        async with CuttingProxy(database.socket) as proxy, database.caller(through=proxy.directory, **options) as caller:
            assert await caller.run("select 'warm', '1'") == (b"warm", b"1")
            return await scenario(caller, proxy)

    return run(work())


def written(database: Database, text: str) -> int:
    """How often a row was kept."""
    return int(database.sql(f"select count(*) from diary where text = '{text}'")[0][0])


def test_a_read_that_never_reached_postgresql_is_asked_again(database: Database) -> None:
    """A connection that ends before the request arrives costs a read nothing but a second connection."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut_request = times(1, lambda piece: b"from diary" in piece)
        assert await caller.run(READ) == (b"alice-secret", b"1")
        assert proxy.accepted == 2

    behind(database, scenario)


def test_a_read_cut_in_the_middle_of_its_reply_is_asked_again_once(database: Database) -> None:
    """Half a reply is no reply: the read is repeated, whole; when that is cut too, the answer is 503 and there is no third."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut_reply = times(1, lambda piece: piece.endswith(b"xxxx"))
        row = await caller.run(LARGE)
        assert row[0] == b"x" * 2_000_000
        proxy.cut_reply = times(9, lambda piece: b"xxxx" in piece)
        before = proxy.accepted
        with pytest.raises(Unavailable) as caught:
            await caller.run(LARGE)
        assert caught.value.pgrst == "PGRST001"
        assert proxy.accepted == before + 1

    behind(database, scenario)


def test_farewell_and_end_that_come_together_are_noticed(database: Database) -> None:
    """PostgreSQL ends a backend while our process is busy, so that its last words and the end are read at once: 503 now, not at the deadline."""

    async def scenario(caller: Caller) -> None:
        asked = asyncio.create_task(caller.run("select pg_sleep(20)::text, '1'", mode=Mode.WRITE))
        running = "from pg_stat_activity where query like '%pg_sleep(20)%' and wait_event = 'PgSleep'"
        while not database.sql(f"select 1 {running}"):
            await asyncio.sleep(0.01)
        assert database.sql(f"select pg_terminate_backend(pid, 5000) {running}") == [(True,)]  # the loop reads nothing meanwhile
        with pytest.raises(Unavailable) as caught:
            await asyncio.wait_for(asked, 5)
        assert caught.value.code == "connection_lost"

    async def direct() -> None:
        async with database.caller() as caller:
            assert await caller.run("select 'warm', '1'") == (b"warm", b"1")
            await scenario(caller)

    run(direct())


def test_a_write_whose_sync_never_left_is_sent_again(database: Database) -> None:
    """What certainly was not executed is repeated for a write too: here the connection ended while it was idle."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut()
        await asyncio.sleep(0.05)
        assert await caller.run(INSERT, "idle", mode=Mode.WRITE) == (b"done", b"1")

    behind(database, scenario)
    assert written(database, "idle") == 1


def test_a_write_cut_before_it_arrives_is_not_repeated(database: Database) -> None:
    """Once the Sync was handed over nobody knows what PostgreSQL saw: 503, nothing repeated, here nothing written."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut_request = times(1, lambda piece: b"insert into diary" in piece)
        with pytest.raises(Unavailable) as caught:
            await caller.run(INSERT, "lost", mode=Mode.WRITE)
        assert caught.value.code == "connection_lost"
        assert await caller.run(READ) == (b"alice-secret", b"1")

    behind(database, scenario)
    assert written(database, "lost") == 0


def test_a_write_whose_reply_is_cut_was_executed_once(database: Database) -> None:
    """The row is there, once; the caller hears 503, because he cannot be told the truth."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut_reply = times(1, lambda _: b"insert into diary" in proxy.requested)
        with pytest.raises(Unavailable):
            await caller.run(INSERT, "unknown", mode=Mode.WRITE)

    behind(database, scenario)
    assert written(database, "unknown") == 1


def test_a_judged_write_cut_before_its_commit_is_repeated_and_kept_once(database: Database) -> None:
    """Rows that wait for their verdict are not committed: the whole write may be asked again, and is kept once."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.cut_reply = times(1, lambda _: b"insert into diary" in proxy.requested)
        assert await caller.run(INSERT, "judged", mode=Mode.WRITE, verdict=lambda _: True) == (b"done", b"1")

    behind(database, scenario)
    assert written(database, "judged") == 1


@pytest.mark.parametrize(("moment", "kept"), [("request", 0), ("reply", 1)])
def test_a_write_cut_during_commit_is_never_repeated(database: Database, moment: str, kept: int) -> None:
    """COMMIT that is cut on its way out or whose answer is lost: 503, and the write happened at most once."""
    text = f"commit-{moment}"

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        if moment == "request":
            proxy.cut_request = times(1, lambda piece: b"commit\0" in piece)
        else:
            proxy.cut_reply = times(1, lambda _: b"commit\0" in proxy.requested)
        with pytest.raises(Unavailable):
            await caller.run(INSERT, text, mode=Mode.WRITE, verdict=lambda _: True)

    behind(database, scenario)
    assert written(database, text) == kept


def test_a_stall_ends_at_the_deadline_and_the_connection_comes_back_clean(database: Database) -> None:
    """A server that stops answering costs a request its deadline, no more; when it answers again its connection is used again."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.is_stalled = True
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            await caller.run(READ, seconds=0.3)
        assert 0.3 <= time.monotonic() - start < 1.5
        assert caught.value.code == "statement_timeout"
        assert caller.pools.in_use() == 1  # not handed out before the cancel was acknowledged
        proxy.is_stalled = False
        assert await caller.run(READ) == (b"alice-secret", b"1")
        for _ in range(100):
            if caller.pools.in_use() == 0:
                break
            await asyncio.sleep(0.02)
        assert caller.pools.in_use() == 0

    behind(database, scenario, size=1)


def test_a_stall_that_lasts_costs_the_connection(database: Database) -> None:
    """A connection that cannot be recovered is closed and its place given to a new one."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.is_stalled = True
        with pytest.raises(DeadlineExceeded):
            await caller.run(READ, seconds=0.2)
        await asyncio.sleep(3.5)
        assert caller.pools.in_use() == 0
        proxy.is_stalled = False
        assert await caller.run(READ) == (b"alice-secret", b"1")

    behind(database, scenario, size=1)


def test_a_database_that_refuses_is_503_at_once_and_recovers_by_itself(database: Database) -> None:
    """Nobody waits for a database that is away: PGRST000, one attempt a back-off, and the first request after its return works."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        proxy.is_refusing = True
        proxy.cut()
        await asyncio.sleep(0.05)
        start, attempts = time.monotonic(), proxy.accepted
        for _ in range(50):
            with pytest.raises(Unavailable) as caught:
                await caller.run(READ)
            assert caught.value.pgrst == "PGRST000"
        assert time.monotonic() - start < 1.0
        assert proxy.accepted - attempts < 15
        proxy.is_refusing = False
        await asyncio.sleep(1.1)
        assert await caller.run(READ) == (b"alice-secret", b"1")

    behind(database, scenario)


def test_a_backend_killed_in_the_middle_of_a_transaction(database: Database) -> None:
    """A read under way when its backend is terminated is repeated; a write is 503 and leaves nothing."""

    async def scenario(caller: Caller, proxy: CuttingProxy) -> None:
        async def kill() -> None:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(
                database.sql, "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()"
            )

        killing = asyncio.create_task(kill())
        assert await caller.run("select 'slept', '1' from pg_sleep(0.8)") == (b"slept", b"1")
        await killing
        killing = asyncio.create_task(kill())
        with pytest.raises(Unavailable):
            await caller.run("with w as (insert into diary (text) values ('killed')) select 'x', pg_sleep(5)::text", mode=Mode.WRITE)
        await killing
        assert await caller.run(READ, user=ALICE) == (b"alice-secret", b"1")

    behind(database, scenario)
    assert written(database, "killed") == 0

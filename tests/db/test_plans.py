"""Plans made for yesterday's schema, roles, grants and policies are not used today."""

from __future__ import annotations

import asyncio

import pytest

from fluxbase.db.executor import Mode
from fluxbase.db.session import SystemSessions, notifications, role_fingerprint
from fluxbase.kernel.errors import FluxbaseError, StalePlan
from tests.db.executor_database import ALICE, BOB, Database, run

COUNT = "select count(*)::text, '1' from diary where id < 100"


def test_a_request_of_another_epoch_is_refused_before_it_runs(database: Database) -> None:
    """DDL moves the epoch: what was planned before is StalePlan and wrote nothing, under the new epoch it runs."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            before = database.epoch()
            assert await caller.run(COUNT, epoch=before) == (b"1", b"1")
            database.sql("create table later (id int)")
            with pytest.raises(StalePlan):
                await caller.run("insert into diary (text) values ('stale') returning 'x', '1'", epoch=before, mode=Mode.WRITE)
            assert await caller.run(COUNT, epoch=database.epoch()) == (b"1", b"1")
            assert database.epochs[-1].startswith(f"{database.epoch()}:")

    run(scenario())
    assert database.sql("select count(*) from diary where text = 'stale'")[0][0] == 0


@pytest.mark.parametrize(
    ("change", "back", "expected"),
    [
        ("alter policy own on diary using (true)", "alter policy own on diary using (owner = (select auth.uid()))", b"2"),
        ("create policy more on diary for select using (true)", "drop policy more on diary", b"2"),
        ("alter table diary disable row level security, no force row level security", None, b"1"),
    ],
)
def test_a_changed_policy_counts_at_once(database: Database, change: str, back: str | None, expected: bytes) -> None:
    """A statement prepared and planned many times answers by the policies of now; disabling row security has no effect."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            for _ in range(8):  # beyond the five custom plans, a generic one
                assert await caller.run(COUNT) == (b"1", b"1")
            database.sql(change)
            assert await caller.run(COUNT) == (expected, b"1")
            if back is not None:
                database.sql(back)
            assert await caller.run(COUNT) == (b"1", b"1")

    run(scenario())


def test_a_revoked_grant_counts_at_once(database: Database) -> None:
    """REVOKE between two uses of a prepared statement: the second is refused."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            await caller.run(COUNT)
            database.sql("revoke select on diary from authenticated")
            try:
                with pytest.raises(FluxbaseError) as caught:
                    await caller.run(COUNT)
                assert caught.value.sqlstate == "42501"
            finally:
                database.sql("grant select on diary to authenticated")
            assert await caller.run(COUNT) == (b"1", b"1")

    run(scenario())


def test_a_changed_membership_counts_once_plans_are_forgotten(database: Database) -> None:
    """GRANT of a role fires no event trigger: the fingerprint of roles tells it, and after ``forget_plans`` its policies count."""
    database.sql("create role reviewers; create policy reviewers on diary for select to reviewers using (true)")

    async def scenario() -> None:
        sessions = SystemSessions(lambda _: database.root)
        async with database.caller(size=1) as caller:
            for _ in range(8):
                assert await caller.run(COUNT, user=BOB) == (b"1", b"1")
            async with sessions("app", reason="test") as tx:
                before = await role_fingerprint(tx)
            database.sql("grant reviewers to authenticated with inherit true")
            async with sessions("app", reason="test") as tx:
                granted = await role_fingerprint(tx)
            assert granted != before
            caller.pools.forget_plans()
            assert await caller.run(COUNT, user=BOB) == (b"2", b"1")
            database.sql("revoke reviewers from authenticated")
            caller.pools.forget_plans()
            assert await caller.run(COUNT, user=ALICE) == (b"1", b"1")
            async with sessions("app", reason="test") as tx:
                assert await role_fingerprint(tx) == before
        await sessions.close()

    run(scenario())


def test_notifications_arrive_at_once_and_a_flood_is_gathered(database: Database) -> None:
    """The first NOTIFY is heard at once, a thousand more cost a few payload sets, none is lost after a reconnect."""

    async def scenario() -> None:
        heard: list[set[str]] = []

        async def listen() -> None:
            async for payloads in notifications(database.root, "pgrst"):
                heard.extend([payloads])

        listening = asyncio.create_task(listen())
        try:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(database.sql, "select pg_notify('pgrst', 'reload schema')")
            await asyncio.sleep(0.1)
            assert heard == [{"reload schema"}]
            await asyncio.to_thread(database.sql, "select pg_notify('pgrst', n::text) from generate_series(1, 1000) n")
            await asyncio.sleep(1)
            assert set().union(*heard) == {"reload schema", *map(str, range(1, 1001))}
            assert len(heard) < 8
            heard.clear()
            kill = "select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^listen'"
            await asyncio.to_thread(database.sql, kill)
            await asyncio.sleep(1.6)
            assert heard == [{""}]
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    run(scenario())


def test_a_system_session_outlives_a_restart_of_its_backend(database: Database) -> None:
    """A connection that ended while nobody used it is replaced before the next transaction, and more databases than MOST_OPEN are fine."""

    async def scenario() -> None:
        sessions = SystemSessions(lambda name: database.root + f" application_name={name}")
        for number in range(12):
            async with sessions(f"t{number}", reason="test") as tx:
                assert await tx.fetch("select $1::int", number) == [(number,)]
        open_now = "select count(*) from pg_stat_activity where application_name ~ '^t[0-9]+$'"
        await asyncio.sleep(0.1)
        assert (await asyncio.to_thread(database.sql, open_now))[0][0] <= 8
        await asyncio.to_thread(database.sql, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 't11'")
        async with sessions("t11", reason="test") as tx:
            assert await tx.fetch("select 1") == [(1,)]
        await sessions.close()

    run(scenario())

"""Transactions of our own stores: BEGIN travels with the first statement, and nothing of one transaction is left to the next."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fluxbase.db.failures import StatementError
from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import FluxbaseError, InvalidInput, Unavailable
from tests.support.server import Server

PID = "select pg_backend_pid()"


@pytest.fixture(autouse=True)
def ledger(server: Server) -> None:
    """An empty table with a deferred constraint."""
    server.sql("drop table if exists ledger; create table ledger (n int unique deferrable initially deferred)")


def run(server: Server, scenario: Callable[[SystemSessions], Awaitable[Any]], size: int = 1) -> Any:
    """The scenario on a loop of its own."""

    async def whole() -> Any:
        sessions = SystemSessions(lambda _: server.database_url, size=size)
        try:
            return await scenario(sessions)
        finally:
            await sessions.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(whole())).result(60)


async def block(sessions: SystemSessions, *statements: str, is_single: bool = False, seconds: float = 60) -> list[Any]:
    """One transaction; the rows of the last statement."""
    rows: list[Any] = []
    async with asyncio.timeout(seconds), sessions("x", reason="test", is_single=is_single) as tx:
        for statement in statements:
            rows = await tx.fetch(statement)
    return rows


def test_values_come_back_as_they_went(server: Server) -> None:
    """Lists, times, bytes, numbers and NULL; a NUL character is refused, not cut."""
    when = dt.datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=dt.UTC)

    async def scenario(sessions: SystemSessions) -> Any:
        async with sessions("x", reason="test") as tx:
            with pytest.raises(FluxbaseError):
                await tx.fetch("select $1::text", "a\0b")
            return await tx.fetch(
                "select $1::text, $2::int, $3::text[], $4::timestamptz, $5::bytea, $6::text, $7::boolean", "ä'\\", -5, ['a,"b'], when, b"\0\\", None, True
            )  # fmt: skip

    assert run(server, scenario) == [("ä'\\", -5, ['a,"b'], when, b"\0\\", None, True)]


def test_an_error_undoes_the_whole_block(server: Server) -> None:
    """Also one in the first statement, which BEGIN travels with, and one at COMMIT; the same connection goes on."""

    async def scenario(sessions: SystemSessions) -> list[Any]:
        pids: list[Any] = []
        for statements in (("select 1/0",), ("insert into ledger values (1)", "select 1/0"), ("insert into ledger values (1), (1)",)):
            with pytest.raises(StatementError):
                await block(sessions, *statements)
            pids += await block(sessions, PID)
        await block(sessions, "insert into ledger values (2)")
        return pids

    assert len(set(run(server, scenario))) == 1
    assert server.sql("select n from ledger") == [(2,)]


def test_single_statements_commit_one_by_one(server: Server) -> None:
    """``is_single``: what the first did stays when the second fails."""

    async def scenario(sessions: SystemSessions) -> None:
        with pytest.raises(StatementError):
            await block(sessions, "insert into ledger values (3)", "select 1/0", is_single=True)

    run(server, scenario)
    assert server.sql("select n from ledger") == [(3,)]


def test_who_leaves_takes_his_statement_along(server: Server) -> None:
    """A cancelled block is cancelled in PostgreSQL too, nothing of it is kept, and the next gets another connection."""

    async def scenario(sessions: SystemSessions) -> list[Any]:
        with pytest.raises(TimeoutError):
            await block(sessions, "insert into ledger values (4)", "select pg_sleep(30), 'left'", seconds=0.5)
        return await block(sessions, "select count(*)::int from ledger")

    assert run(server, scenario) == [(0,)]
    ask = "select count(*) from pg_stat_activity where query like '%''left''%' and state = 'active' and pid <> pg_backend_pid()"
    assert server.root_sql(ask) == [(0,)]


def test_a_dead_connection_is_replaced_unless_something_may_have_been_kept(server: Server) -> None:
    """Between two blocks nobody notices; within one the caller hears of it."""

    async def cut(sessions: SystemSessions) -> None:
        async with sessions("x", reason="test") as tx:
            ((pid,),) = await tx.fetch(PID)
            server.root_sql(f"select pg_terminate_backend({pid})")
            await tx.fetch("insert into ledger values (5)")

    async def scenario(sessions: SystemSessions) -> list[Any]:
        pids: list[Any] = []
        for _ in range(2):
            pids += await block(sessions, PID)
            server.root_sql(f"select pg_terminate_backend({pids[-1][0]})")
        with pytest.raises(Unavailable):
            await cut(sessions)
        return pids

    assert len(set(run(server, scenario))) == 2
    assert server.sql("select n from ledger") == []


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("select $1::text::date", "canary"), ("select $1::text::date", "2024-02-30"), ("select now() + $1::text::interval", "999999999 years"),
        ("select 'x' ~ $1::text", "canary("), ("select 'canaryx' like $1::text", "canary\\"), ("select 1 limit $1::text::bigint", "-1"),
        ("select $1::text::smallint", "40000"), ("select $1::text::uuid", "canary"), ("select $1::text::json", "{canary"),
        ("select make_date($1::text::int, 1, 1)", "0"), ("select decode($1::text, 'base64')", "canary!"),
        ("select chr($1::text::int)", "-1"), ("select $1::text::varchar(3)::bit(4)", "0x1"),
    ],
)  # fmt: skip
def test_a_value_that_no_column_keeps_is_the_senders(server: Server, statement: str, value: str) -> None:
    """Every data exception (SQLSTATE class 22) is a declared 400 in constant words, without what was sent."""

    async def scenario(sessions: SystemSessions) -> FluxbaseError:
        with pytest.raises(InvalidInput) as caught:
            async with sessions("x", reason="test") as tx:
                await tx.fetch(statement, value)
        assert await block(sessions, "select 1") == [(1,)]
        return caught.value

    error = run(server, scenario)
    assert (error.code, error.message) == ("invalid_value", "A value is one that PostgreSQL cannot read or keep.")
    assert (error.details, error.hint) == (None, None)


@pytest.mark.parametrize("statement", ["select 1 / 0", "do $$ declare a int[]; begin a[null] := 1; end $$"])
def test_a_data_exception_that_is_ours_is_not_the_senders(server: Server, statement: str) -> None:
    """A division by zero and a null are mistakes of a statement: nobody is told that his value is wrong."""

    async def scenario(sessions: SystemSessions) -> None:
        with pytest.raises(StatementError):
            await block(sessions, statement)

    run(server, scenario)

"""Nothing of one request is left for the next on the same connection (threats F55, F56): settings, locks, cursors,
prepared statements, roles, whatever SQL a caller may run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import pytest

from fluxbase.db.executor import Mode
from fluxbase.kernel.errors import FluxbaseError
from tests.db.executor_database import ALICE, BOB, Database, request, run

MISCHIEF = """
create or replace function mischief(text) returns text language plpgsql as $$ begin execute $1; return 'done'; end $$;
grant select on pg_prepared_statements, pg_locks, pg_cursors to authenticated, anon;
grant execute on function pg_prepared_statement(), pg_lock_status(), pg_cursor() to authenticated, anon;
"""
CONTEXT = """select json_build_object('uid', auth.uid(), 'role', auth.role(), 'path', current_setting('request.path'), 'me', current_user,
  'headers', current_setting('request.headers'), 'search', current_setting('search_path'), 'left', current_setting('app.left', true),
  'rows', (select json_agg(text order by text) from diary where id < 100))::text, '1'"""


@pytest.fixture(scope="module", autouse=True)
def mischievous(database: Database) -> None:
    """A function that runs any SQL as its caller."""
    database.sql(MISCHIEF)


def test_a_thousand_interleaved_principals_see_only_themselves(database: Database) -> None:
    """Two connections, twelve callers at a time, some failing, some cancelled, some poisoning their session: each sees its own context."""
    chance = random.Random(20_240_917)
    people = [(ALICE, "alice-secret"), (BOB, "bob-secret"), (None, None)]

    async def scenario() -> int:
        seen = 0
        gate = asyncio.Semaphore(12)
        async with database.caller(size=2, wait_seconds=30) as caller:

            async def one(number: int) -> None:
                nonlocal seen
                user, secret = people[chance.randrange(3)]
                role = "authenticated" if user else "anon"
                settings = request(path=f"/p{number}", headers_json=json.dumps({"x-number": str(number)}))
                kind = chance.randrange(8)
                async with gate:
                    if kind == 0:
                        with pytest.raises(FluxbaseError):
                            await caller.run("select 1 / 0", user=user, role=role, settings=settings)
                    elif kind == 1:
                        poison = f"select set_config('app.left', '{user}', false), set_config('search_path', 'pg_temp', false)"
                        await caller.run(
                            "select mischief($1), '1'", poison, user=user, role=role, settings=settings, mode=Mode.FUNCTION_READ
                        )
                    elif kind == 2:
                        task = asyncio.create_task(caller.run("select 'x', '1' from pg_sleep(0.01)", user=user, role=role))
                        await asyncio.sleep(chance.random() * 0.01)
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                    else:
                        mode = Mode.WRITE if kind == 3 else Mode.PLAIN_READ
                        row = await caller.run(CONTEXT, user=user, role=role, settings=settings, mode=mode)
                        found = json.loads(row[0] or b"")
                        assert not found.pop("left")
                        assert found == {
                            "uid": user, "role": role, "path": f"/p{number}", "me": role, "headers": json.dumps({"x-number": str(number)}),
                            "search": '"public","extensions"', "rows": [secret] if secret else None,
                        }  # fmt: skip
                        seen += 1

            await asyncio.gather(*[one(number) for number in range(1000)])
        return seen

    assert run(scenario()) > 500


@pytest.mark.parametrize(
    ("mischief", "trace"),
    [
        ("select set_config('app.left', 'secret', false)", "select coalesce(current_setting('app.left', true), ''), '1'"),
        ("select pg_advisory_lock(4711)", "select count(*)::text, '1' from pg_locks where locktype = 'advisory'"),
        ("prepare left_behind as select 1", "select count(*)::text, '1' from pg_prepared_statements where name = 'left_behind'"),
        ("declare left_behind cursor with hold for select 1", "select count(*)::text, '1' from pg_cursors where name = 'left_behind'"),
        ("set session characteristics as transaction read only", "select current_setting('default_transaction_read_only'), '1'"),
    ],
)
def test_what_a_function_left_behind_is_gone(database: Database, mischief: str, trace: str) -> None:
    """Settings, locks, cursors and session defaults of one caller are not there for the next on the same backend."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            before = await caller.run(trace)
            pid = await caller.run("select pg_backend_pid()::text, '1'")
            await caller.run("select mischief($1), '1'", mischief, mode=Mode.WRITE)
            assert await caller.run(trace, user=BOB) == before
            assert await caller.run("select pg_backend_pid()::text, '1'") == pid

    run(scenario())


@pytest.mark.parametrize("mischief", ["deallocate all", "reset role", "reset all", "set role anon", "set session authorization default"])
@pytest.mark.parametrize("mode", [Mode.WRITE, Mode.FUNCTION_READ])
def test_taking_our_statements_or_role_away_harms_nobody(database: Database, mischief: str, mode: Mode) -> None:
    """After DEALLOCATE ALL or RESET ROLE in a function the next requests are answered as ever, under their own role."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            for _ in range(3):
                with contextlib.suppress(FluxbaseError):
                    await caller.run("select mischief($1), '1'", mischief, mode=mode)
                row = await caller.run("select current_user::text, text from diary where id < 100", user=BOB)
                assert row == (b"authenticated", b"bob-secret")

    run(scenario())


def test_discard_all_is_refused_and_harms_nobody(database: Database) -> None:
    """DISCARD ALL cannot run inside a transaction; the refusal is the caller's error and the connection lives on."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            with pytest.raises(FluxbaseError):
                await caller.run("select mischief('discard all'), '1'", mode=Mode.WRITE)
            assert (await caller.run("select text, '1' from diary where id < 100"))[0] == b"alice-secret"

    run(scenario())


def test_a_function_cannot_replace_a_prepared_statement(database: Database) -> None:
    """Names of our statements begin with random bytes: what a caller prepares never answers another's request."""

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            for _ in range(2):
                await caller.run("select text, '1' from diary where id < 100")
            mischief = "do $x$ begin for i in 1..50 loop execute format('prepare fb_%s as select 1', i); end loop; end $x$"
            await caller.run("select mischief($1), '1'", mischief, mode=Mode.WRITE)
            assert (await caller.run("select text, '1' from diary where id < 100", user=BOB))[0] == b"bob-secret"

    run(scenario())


def test_prepared_statements_are_bounded(database: Database) -> None:
    """Five hundred different statements leave no more on the backend than the cache holds, and the oldest are prepared again when needed."""

    async def scenario() -> None:
        async with database.caller(size=1, statement_cache_size=40) as caller:
            for number in range(500):
                assert (await caller.run(f"select '{number}', '1'"))[0] == str(number).encode()
            assert (await caller.run("select '0', '1'"))[0] == b"0"
            (count, _) = await caller.run("select count(*)::text, '1' from pg_prepared_statements")
            assert 10 < int(count or b"0") <= 40

    run(scenario())


def test_a_denied_session_runs_nothing(database: Database) -> None:
    """A revoked session is refused before its statement: the write behind the settings statement never happens."""
    database.sql("insert into auth.denylist (key, reason) values ('session:s1', 'test')")

    async def scenario() -> None:
        async with database.caller(size=1) as caller:
            with pytest.raises(FluxbaseError) as caught:
                await caller.run("insert into diary (text) values ('denied') returning 'x', '1'", mode=Mode.WRITE, deny=("session:s1",))
            assert caught.value.pgrst == "PGRST303"

    run(scenario())
    assert database.sql("select count(*) from diary where text = 'denied'")[0][0] == 0

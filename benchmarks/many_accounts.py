"""A database with many users, sessions and refresh tokens, for ``benchmarks/auth.py --all``: does that change what a request costs."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql as psycopg_sql
from psycopg.conninfo import conninfo_to_dict
from rich.table import Table

from fluxbase.auth import session_store, user_store
from fluxbase.db.cluster import Cluster

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.auth import Figure
    from tests.support.accounts import Account
    from tests.support.server import Server

TABLES = ("users", "identities", "sessions", "refresh_tokens")
_INDEXES = """
select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i
 where i.indrelid = any (select ('auth.' || t)::regclass from unnest(%s::text[]) t)
   and not exists (select from pg_constraint c where c.conindid = i.indexrelid)"""
_USERS = """
insert into auth.users (tenant_id, email, email_confirmed_at, created_at)
select t.id, 'user' || n || '@many.test', now(), now() - n * interval '1 second' from platform.tenants t, generate_series(1, %s) n
 where t.is_default"""
_IDENTITIES = """
insert into auth.identities (tenant_id, user_id, provider, issuer, subject, identity_data)
select tenant_id, id, 'email', 'email', id::text, jsonb_build_object('sub', id, 'email', email)
  from auth.users where email like '%@many.test'"""
_SESSIONS = """
insert into auth.sessions (tenant_id, user_id, user_agent, address, expires_at)
select u.tenant_id, u.id, 'many', '192.0.2.1', now() + interval '6 days' from auth.users u, generate_series(1, %s) n
 where u.email like '%%@many.test'"""
_TOKENS = """
insert into auth.refresh_tokens (token_hash, tenant_id, session_id, expires_at)
select sha256(convert_to(s.id::text, 'UTF8')), s.tenant_id, s.id, s.expires_at from auth.sessions s where s.user_agent = 'many'"""
MOST_CHANGE = 0.10


def root(server: Server) -> psycopg.Connection[Any]:
    """As the superuser of the embedded cluster."""
    info = Cluster(server.data_dir).info()
    database = str(conninfo_to_dict(server.database_url)["dbname"])
    return psycopg.connect(info.conninfo(info.superuser, info.superuser_password, database), autocommit=True)


def fill(server: Server, users: int, sessions: int, console: Console) -> None:
    """Rows first, their indexes after."""
    began = time.monotonic()
    with root(server) as connection:
        run: Any = connection.execute
        run("set session_replication_role = replica; set maintenance_work_mem = '512MB'; set synchronous_commit = off")
        indexes = run(_INDEXES, (list(TABLES),)).fetchall()
        for name, _ in indexes:
            run(f"drop index {name}")
        run(_USERS, (users,))
        run(_IDENTITIES)
        run(_SESSIONS, (max(1, sessions // users),))
        run(_TOKENS)
        for _, definition in indexes:
            run(definition)
        sizes: list[str] = []
        for table in TABLES:
            run(f"vacuum analyze auth.{table}")
            ((count, size),) = run(f"select count(*), pg_size_pretty(pg_total_relation_size('auth.{table}')) from auth.{table}").fetchall()
            sizes.append(f"{table} {count:,} ({size})")
        run("checkpoint")
    console.print(f"filled in {time.monotonic() - began:.0f} s: {', '.join(sizes)}")


def compare(few: dict[str, Figure], many: dict[str, Figure], console: Console) -> None:
    """What the rows change, beside what the yardstick changed meanwhile (it reads none of them)."""
    table = Table("what", "a second before", "after", "CPU us before", "after", "change beside the yardstick's", title="Many accounts")
    (yard, yard_before), *_ = [(many[name], few[name]) for name in few]
    for name, before in few.items():
        after = many[name]
        rate = after.rate / before.rate / (yard.rate / yard_before.rate) - 1
        cpu = after.cpu_us / before.cpu_us / (yard.cpu_us / yard_before.cpu_us) - 1
        note = "" if before is yard_before else f"rate {rate:+.0%}, CPU {cpu:+.0%} (goal: at most {MOST_CHANGE:.0%})"
        table.add_row(name, f"{before.rate:.0f}", f"{after.rate:.0f}", f"{before.cpu_us:.0f}", f"{after.cpu_us:.0f}", note)
    console.print(table)


class _Recorder:
    """Takes the statements of a store instead of running them."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        self.statements.append((sql, params))
        return []


async def _recorded(account: Account, tenant: Any) -> list[tuple[str, tuple[Any, ...]]]:
    recorder: Any = _Recorder()
    user: Any = account.id
    await session_store.select_current(recorder, tenant, user, user)
    await session_store.rotate(recorder, tenant, token_hash=b"1", child_hash=b"2", user_agent="", address="", lifetime_seconds=60)
    await user_store.select_password(recorder, tenant, account.email)
    await user_store.select_user(recorder, tenant, user)
    return recorder.statements


def show_plans(server: Server, account: Account, console: Console) -> None:
    """How PostgreSQL reaches the rows: the indexes of each statement, and whether any table is read whole."""
    with root(server) as connection:
        run: Any = connection.execute
        ((tenant,),) = run("select id::text from platform.tenants where is_default").fetchall()
        names = ("GET user", "refresh", "sign-in", "sign-in, the account")
        for name, (sql, params) in zip(names, asyncio.run(_recorded(account, tenant)), strict=True):
            run("deallocate all")
            run(f"prepare s as {sql}")
            values = ", ".join(psycopg_sql.quote(value) for value in params)
            plan = "\n".join(row[0] for row in run(f"explain (costs off) execute s({values})").fetchall())
            used = list(dict.fromkeys(re.findall(r"(?:Index(?: Only)? Scan using|Bitmap Index Scan on) (\w+)", plan)))
            whole = re.findall(r"Seq Scan on (\w+)", plan)
            console.print(f"plan of {name}: indexes {', '.join(used)}; read whole: {', '.join(whole) or 'nothing'}")

"""A tenant in trouble takes no connection that the others need (docs/scaling.md; ``db/shares.py``), in its own database or in a shared one."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from fluxbase.db.cluster import Cluster
from tests.support.server import Server
from tests.support.tenant import TenantHandle, cluster_sql

USER = "7d0f4a52-0000-4000-8000-0000000000aa"
SCHEMA = """
create table if not exists held (id int, text text);
drop policy if exists everybody on held;
create policy everybody on held using (true) with check (true);
create or replace function hang() returns void language sql as 'select pg_sleep(20)';
grant execute on function hang() to public;
"""
REQUESTS = 12
"""Of each role of each tenant in trouble: more than a role may have connections."""
TOTAL = 40
"""``database.pool_total`` of the twin (tests/conftest.py)."""
TAKEN = TOTAL - TOTAL // 3
"""What two tenants in trouble hold at least, in whatever order they came: each stops when it has as many as are left. (One
after the other they hold a half and a quarter.)"""


def made(server: Server, slug: str, isolation: str) -> TenantHandle:
    """A tenant with a table of one row and a function that hangs."""
    answer = server.post("/api/v1/admin/tenants", key="service", json={"slug": slug, "isolation": isolation})
    assert answer.status_code == 201, answer.text
    tenant = TenantHandle(server, answer.json())
    tenant.sql("set role fluxbase_owner;" + SCHEMA)
    more = {} if isolation == "database" else {"tenant_id": tenant.id}
    columns, values = ", ".join(["id", *more]), ", ".join(["1", *(f"'{value}'" for value in more.values())])
    tenant.sql(f"insert into held ({columns}) values ({values})")
    return tenant


@pytest.fixture(scope="module")
def databases(twin: Server) -> list[TenantHandle]:
    """Two that will be in trouble and their neighbour, a database each."""
    return [made(twin, f"starving-database-{name}", "database") for name in ("one", "two", "neighbour")]


@pytest.fixture(scope="module")
def rows(twin: Server) -> list[TenantHandle]:
    """The same in one database."""
    return [made(twin, f"starving-row-{name}", "row") for name in ("one", "two", "neighbour")]


def credentials(tenant: TenantHandle) -> list[str]:
    """Of two roles, each with a pool of its own and seconds of time for a statement: minted before the first of them runs."""
    return [str(tenant.keys["secret_key"]), tenant.server.token(USER, tenant=str(tenant.keys["slug"]))]


@contextmanager
def sent(tenant: TenantHandle, keys: list[str], method: str, path: str, body: object, without: str) -> Iterator[list[socket.socket]]:
    """Many requests at once, none of which is to be answered; they are cancelled at the end."""
    content = json.dumps(body).encode()
    connections: list[socket.socket] = []
    with ExitStack() as stack:
        for key in keys:
            for _ in range(REQUESTS):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", tenant.server.port)))
                connections.append(connection)
                head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{tenant.server.port}\r\nauthorization: Bearer {key}\r\nx-twin-without: {without}\r\n"
                head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
                connection.sendall(head.encode() + content)
        yield connections


@contextmanager
def sleeping(tenant: TenantHandle, keys: list[str], without: str) -> Iterator[list[socket.socket]]:
    """Every statement of the tenant hangs."""
    with sent(tenant, keys, "POST", "/rest/v1/rpc/hang", {}, without) as connections:
        yield connections


@contextmanager
def lock_storm(tenant: TenantHandle, keys: list[str], without: str) -> Iterator[list[socket.socket]]:
    """Every statement of the tenant waits for one row that somebody holds."""
    info = Cluster(tenant.server.data_dir).info()
    where = "" if tenant.keys["isolation"] == "database" else f" where tenant_id = '{tenant.id}'"
    with psycopg.connect(info.conninfo(info.superuser, info.superuser_password, tenant.database)) as holder:
        holder.execute("update held set text = 'held'" + where)  # type: ignore[arg-type] # a test's own text
        with sent(tenant, keys, "PATCH", "/rest/v1/held?id=eq.1", {"text": "waits"}, without) as connections:
            yield connections
        holder.rollback()


def answers(connections: list[socket.socket]) -> dict[str, int]:
    """What was answered nevertheless, and how often."""
    found: Counter[str] = Counter()
    for connection in connections:
        connection.setblocking(False)
        with suppress(BlockingIOError):
            text = connection.recv(65536).decode()
            found[f"{text[:40].splitlines()[0] if text else 'closed'} … {text.rpartition(chr(10))[2]}"] += 1
    return dict(found)


def wait_for_hanging(server: Server, number: int, connections: list[socket.socket]) -> None:
    """Until so many statements of tenants are under way; only what the test is about to ask rests on it."""
    info = Cluster(server.data_dir).info()
    ends_at, most = time.monotonic() + 15, 0
    with psycopg.connect(info.conninfo(info.superuser, info.superuser_password, "postgres"), autocommit=True) as watching:
        while time.monotonic() < ends_at:
            found = watching.execute(
                "select count(*) from pg_stat_activity where state = 'active' and usename ~ '^fb_' "
                "and (query like '%hang%' or query like '%held%')"
            ).fetchone()
            most = max(most, found[0] if found else 0)
            if most >= number:
                return
            time.sleep(0.05)
    raise AssertionError(f"at most {most} of {number} hung; answered: {answers(connections)}")


def answer_of_the_neighbour(tenants: list[TenantHandle], trouble: str, without: str, hanging: int) -> tuple[int, str]:
    """Two tenants are in trouble; what does the third get?"""
    inflict = {"sleeping": sleeping, "lock_storm": lock_storm}[trouble]
    keys = [credentials(tenant) for tenant in tenants[:2]]
    with inflict(tenants[0], keys[0], without) as first, inflict(tenants[1], keys[1], without) as second:
        wait_for_hanging(tenants[0].server, hanging, [*first, *second])
        key = str(tenants[2].keys["publishable_key"])
        answer = tenants[2].server.get("/rest/v1/held?select=id", key=key, headers={"x-twin-without": without})
    return answer.status_code, answer.text


@pytest.mark.twin("pools:shares")
@pytest.mark.parametrize(("isolation", "trouble"), [("rows", "sleeping"), ("databases", "lock_storm")])
def test_tenants_in_trouble_leave_the_others_connections(request: pytest.FixtureRequest, isolation: str, trouble: str) -> None:
    """Two tenants whose statements all hang: a third is served. Twin without the shares: they have every connection, 504."""
    tenants: list[TenantHandle] = request.getfixturevalue(isolation)
    assert answer_of_the_neighbour(tenants, trouble, "", TAKEN) == (200, '[{"id":1}]')
    status, text = answer_of_the_neighbour(tenants, trouble, "pools:shares", TOTAL)
    assert (status, json.loads(text)["code"]) == (504, "PGRST003")


def test_a_database_that_lets_nobody_in_is_its_own_tenants_trouble(databases: list[TenantHandle]) -> None:
    """That tenant hears 503 and the others do not notice; it is served again when its database is."""
    one, _, neighbour = databases
    keys = [str(tenant.keys["publishable_key"]) for tenant in (one, neighbour)]
    cluster_sql(one.server, "postgres", f'alter database "{one.database}" with connection limit 0')
    try:
        cluster_sql(one.server, "postgres", f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{one.database}'")
        for _ in range(TOTAL):
            assert one.server.get("/rest/v1/held?select=id", key=keys[0]).status_code == 503
        assert neighbour.server.get("/rest/v1/held?select=id", key=keys[1]).status_code == 200
    finally:
        cluster_sql(one.server, "postgres", f'alter database "{one.database}" with connection limit -1')
    statuses = [one.server.get("/rest/v1/held?select=id", key=keys[0]).status_code]
    ends_at = time.monotonic() + 15
    while statuses[-1] != 200 and time.monotonic() < ends_at:
        time.sleep(0.1)
        statuses.append(one.server.get("/rest/v1/held?select=id", key=keys[0]).status_code)
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200

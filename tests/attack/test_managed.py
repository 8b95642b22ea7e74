"""A managed PostgreSQL: the administrator is no superuser, event triggers and BYPASSRLS are forbidden (DESIGN invariant 1).

The data plane's own refusal holds, a policy per table stands in for BYPASSRLS, what changed is noticed within a second or
two, and what is weaker is said at the start and by ``doctor``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.cluster import TempCluster
from tests.support.server import Server, start_server

CANARY = "managed-canary"


class Managed:
    """A server on a foreign cluster, whose SQL as the administrator and as superuser a test may run."""

    def __init__(self) -> None:
        self.cluster = TempCluster()
        self.cluster.sql("postgres", "create role manager login password 'managed-password-of-the-test' createrole createdb")
        self.cluster.sql("postgres", "create database app owner manager")
        parts = psycopg.conninfo.conninfo_to_dict(self.cluster.conninfo("app", "manager", "managed-password-of-the-test"))
        self.url = f"postgresql://manager:{parts['password']}@/app?host={parts['host']}&port={parts['port']}"
        self.server: Server = start_server(env={"FLUXBASE_DATABASE_URL": self.url})

    def sql(self, text: str) -> list[tuple[object, ...]]:
        """As ``fluxbase_owner``, a schema's author."""
        return self.server.sql(text)

    def stop(self) -> None:
        """Both."""
        self.server.stop()
        self.cluster.stop()


@pytest.fixture(scope="module")
def managed() -> Iterator[Managed]:
    """One for this file."""
    made = Managed()
    yield made
    made.stop()


def eventually(get: object, expected: object) -> object:
    """The value, as soon as it is the expected one or after five seconds."""
    ends_at = time.monotonic() + 5
    while (value := get()) != expected and time.monotonic() < ends_at:  # type: ignore[operator]
        time.sleep(0.2)
    return value


def test_the_start_says_what_is_weaker(managed: Managed) -> None:
    """Event triggers, BYPASSRLS and the catalogue's views are named."""
    for word in ("event triggers are not allowed", "service_role has no BYPASSRLS", "is no superuser"):
        assert word in managed.server.log
    assert managed.cluster.sql("app", "select count(*) from pg_event_trigger") == [(0,)]


def test_doctor_says_it_too(managed: Managed) -> None:
    """``fluxbase doctor`` warns of the missing triggers and of BYPASSRLS."""
    done = subprocess.run(
        [sys.executable, "-m", "fluxbase", "doctor", "--data", str(managed.server.data_dir)],
        cwd=managed.server.data_dir, env=managed.server.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in {1, 2}, done.stdout + done.stderr
    assert "event triggers" in done.stdout
    assert "BYPASSRLS" in done.stdout


def test_a_new_table_is_refused_until_it_is_closed(managed: Managed) -> None:
    """A table that nobody closed is not served, granted or not, over any surface."""
    managed.sql(
        f"create table fresh (id int, secret text); insert into fresh values (1, '{CANARY}'); grant all on fresh to anon, service_role"
    )
    time.sleep(2.5)
    for path in ("/rest/v1/fresh", "/api/v1/tables/fresh"):
        for key in ("anon", "service"):
            answer = managed.server.get(path, key=key)
            assert (answer.status_code, CANARY in answer.text) == (404, False)


@pytest.mark.twin("function:fluxbase.notice_changes")
def test_a_table_that_is_opened_is_noticed(managed: Managed) -> None:
    """A served table whose row security is switched off is refused a moment later; when nobody asks for changes it shows its rows."""
    managed.sql(
        f"create table turned (id int, secret text); alter table turned enable row level security, force row level security; "
        f"create policy mine on turned to fluxbase_owner using (true); insert into turned values (1, '{CANARY}'); grant select on turned to anon"
    )
    assert eventually(lambda: managed.server.get("/rest/v1/turned").status_code, 200) == 200
    assert managed.server.get("/rest/v1/turned").json() == []
    managed.sql("alter table turned disable row level security")
    assert eventually(lambda: managed.server.get("/rest/v1/turned").status_code, 404) == 404
    managed.sql("alter table turned enable row level security")
    assert eventually(lambda: managed.server.get("/rest/v1/turned").status_code, 200) == 200
    original = str(managed.cluster.sql("app", "select pg_get_functiondef('fluxbase.notice_changes'::regproc)")[0][0])
    managed.cluster.sql(
        "app", "create or replace function fluxbase.notice_changes() returns boolean language sql security definer as $$ select false $$"
    )
    try:
        managed.sql("alter table turned disable row level security")
        time.sleep(2.5)
        assert CANARY in managed.server.get("/rest/v1/turned").text
    finally:
        managed.cluster.sql("app", original)
        managed.sql("drop table turned")


def test_the_next_start_closes_and_policies_stand_in(managed: Managed) -> None:
    """A restart closes what was born meanwhile; the service key reads and the owner writes it by a policy of their own."""
    managed.sql(f"create table later (id int primary key, secret text); insert into later values (1, '{CANARY}')")
    data = managed.server.data_dir
    managed.server.stop(keep_data=True)
    managed.server = start_server(env={"FLUXBASE_DATABASE_URL": managed.url}, data_dir=data)
    assert managed.cluster.sql("app", "select relrowsecurity, relforcerowsecurity from pg_class where relname = 'later'") == [(True, True)]
    assert managed.server.get("/rest/v1/later").json() == []
    assert managed.server.get("/rest/v1/later", key="service").json() == [{"id": 1, "secret": CANARY}]
    managed.sql("insert into later values (2, 'x')")
    assert managed.sql("select count(*) from later") == [(2,)]

"""A tenant is made whole or can be repaired: the process is killed before every step, and two makers race."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fluxbase.tenancy.lifecycle import STEPS
from tests.support.server import ROOT, Server, start_server
from tests.support.tenant import cluster_sql, command, make_tenant

KILLED = """
import os, signal, sys
from fluxbase.tenancy import lifecycle
from fluxbase.cli.main import main
original = lifecycle.TenantLifecycle._step
async def step(self, name, tenant):
    if name == sys.argv[1] and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    await original(self, name, tenant)
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
lifecycle.TenantLifecycle._step = step
main(["tenant", "create", *sys.argv[3:]])
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server whose tenants are half made."""
    server = start_server(env={"PYTHONPATH": str(ROOT)})
    yield server
    server.stop()


@pytest.mark.parametrize(("step", "moment"), [(STEPS[0], "before"), *((step, "after") for step in STEPS)])
def test_a_kill_at_any_step_is_mended_by_repair(running: Server, step: str, moment: str) -> None:
    """Half made it is served to nobody; repaired it is as sound as any other."""
    slug = f"{step}-{moment}"
    arguments = [sys.executable, "-c", KILLED, step, moment, slug, "--data", str(running.data_dir), "--json"]
    killed = subprocess.run(arguments, cwd=running.data_dir, env=running.env, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -9
    ((database, status),) = running.sql("select db_name, status from platform.tenants where slug = %s", slug)
    assert status == "creating"
    assert running.get("/rest/v1/notes", key=None, headers={"x-fb-tenant": slug}).status_code == 404
    repaired = command(running, "repair", slug)
    assert repaired.returncode == 0, repaired.stdout
    keys = json.loads(command(running, "keys", slug).stdout)
    cluster_sql(running, database, "create table notes (id int); insert into notes values (1)")
    answer = running.get("/rest/v1/notes", key=keys["anon_key"])
    assert (answer.status_code, answer.json()) == (200, [])
    assert running.get("/rest/v1/notes", key=keys["service_key"]).json() == [{"id": 1}]


def test_of_two_makers_of_one_slug_one_wins(running: Server) -> None:
    """Eight at once: one tenant, seven clear refusals, one database."""
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: command(running, "create", "contested"), range(8)))
    assert sorted(each.returncode for each in done) == [0, *[1] * 7]
    assert {json.loads(each.stdout)["error"] for each in done if each.returncode} == {"A tenant with this slug exists."}
    rows = running.sql("select count(*) from platform.tenants where slug = 'contested'")
    assert rows == [(1,)]


def test_the_limit_is_exact(running: Server) -> None:
    """Of makers at once no more get in than there is room for; the rest are told the limit, and nothing of theirs is left."""
    count = int(running.sql("select count(*) from platform.tenants where deleted_at is null and not is_default")[0][0])
    limited = replace(running, env={**running.env, "FLUXBASE_TENANTS_MAX_TENANTS": str(count + 1)})
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda n: command(limited, "create", f"crowd-{n}", "--isolation", "row"), range(3)))
    assert sorted(each.returncode for each in done) == [0, 1, 1]
    refusals = {json.dumps(json.loads(each.stdout)) for each in done if each.returncode}
    assert refusals == {json.dumps({"error": f"There are {count + 1} tenants already.", "hint": "Raise tenants.max_tenants."})}
    assert running.sql("select count(*) from platform.tenants where slug like 'crowd-%%'") == [(1,)]


def test_a_database_that_is_not_ours_is_left_alone(running: Server) -> None:
    """It has the name that the tenant's must have: making the tenant stops with a clear error, and neither repair nor delete touches it."""
    arguments = [sys.executable, "-c", KILLED, STEPS[0], "before", "squatted", "--data", str(running.data_dir), "--json"]
    subprocess.run(arguments, cwd=running.data_dir, env=running.env, capture_output=True, check=False, timeout=60)
    ((database,),) = running.sql("select db_name from platform.tenants where slug = 'squatted'")
    cluster_sql(running, "postgres", f'create database "{database}"')
    try:
        cluster_sql(running, database, "create table precious (n int)")
        refused = command(running, "repair", "squatted")
        assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "A database of this name exists, and it was not made here.")
        assert [row["status"] for row in json.loads(command(running, "list").stdout) if row["slug"] == "squatted"] == ["error"]
        assert command(running, "delete", "squatted", "--hard", "--yes").returncode == 0
        assert cluster_sql(running, database, "select count(*) from precious") == [(0,)]
        assert cluster_sql(running, database, "select nspname from pg_namespace where nspname in ('fluxbase', 'auth')") == []
    finally:
        cluster_sql(running, "postgres", f'drop database if exists "{database}"')


def test_deleting_and_recovering(running: Server) -> None:
    """Deleted: not served, its keys are noise. Recovered: served as before. Hard: database and logins are gone."""
    tenant = make_tenant(running, "short-lived")
    tenant.sql("create table notes (id int)")
    key = str(tenant.keys["anon_key"])
    assert running.get("/rest/v1/notes", key=key).status_code == 200
    assert command(running, "delete", "short-lived").returncode == 0
    assert running.get("/rest/v1/notes", key=key).status_code in {401, 503}
    assert command(running, "recover", "short-lived").returncode == 0
    assert running.get("/rest/v1/notes", key=key).status_code in {200, 401}  # a look-up is held for a second
    assert command(running, "delete", "short-lived", "--hard", "--yes").returncode == 0
    assert cluster_sql(running, "postgres", f"select from pg_database where datname = '{tenant.database}'") == []
    logins = f"select rolname from pg_roles where rolname like '%{tenant.id.replace('-', '')}%'"
    assert cluster_sql(running, "postgres", logins) == []
    assert command(running, "keys", "short-lived").returncode == 1


def test_the_default_tenant_cannot_be_deleted(running: Server) -> None:
    """It is the main database itself."""
    for arguments in (("delete", "default"), ("delete", "default", "--hard", "--yes"), ("repair", "default")):
        assert command(running, *arguments).returncode == 1

"""Settings in the database, reloading, what is served by default, and a start that says what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.byo.conftest import SECRET, Library, sign
from tests.support.server import ROOT

SUPABASE = """
create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
grant anon, authenticated, service_role to authenticator;
create schema auth; create schema storage; create schema shop;
grant usage on schema auth, storage, shop to anon, authenticated, service_role;
create function auth.uid() returns uuid language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true)::json ->> 'sub', '')::uuid $$;
create table auth.users (id uuid primary key); grant select on auth.users to anon, authenticated;
create table shop.orders (id int primary key, owner uuid, total numeric);
alter table shop.orders enable row level security; alter table shop.orders force row level security;
create policy own on shop.orders to authenticated using (owner = (select auth.uid()));
create table shop.open (id int primary key); grant select on shop.open to anon, authenticated;
insert into shop.orders values (1, '00000000-0000-0000-0000-000000000001', 5), (2, '00000000-0000-0000-0000-000000000002', 7);
grant select on shop.orders to anon, authenticated, service_role;
"""


def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that happens soon."""
    ends_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.1)


def test_settings_in_the_database_and_reload(library: Library) -> None:
    """``ALTER ROLE … SET pgrst.…`` wins at the start; NOTIFY pgrst reloads settings and schema, and bad settings change nothing."""
    library.sql("alter role authenticator set pgrst.db_anon_role = 'web_slow'; alter role authenticator set pgrst.db_max_rows = '1'")
    library.sql("alter role authenticator in database library set pgrst.db_max_rows = '2'")
    try:
        with library.serve() as server:
            assert server.request("GET", "/rest/v1/rpc/whoami", key=None).json()["role"] == "web_slow"
            assert len(server.request("GET", "/rest/v1/books", key=None).json()) == 2
            library.sql("create table api.reloaded (id int); grant select on api.reloaded to web_anon")
            library.sql("alter role authenticator reset pgrst.db_anon_role; alter role authenticator set pgrst.jwt_aud = 'here'")
            assert server.request("GET", "/rest/v1/reloaded", key=None).status_code == 404
            library.sql("notify pgrst, 'reload schema'")
            until(lambda: server.request("GET", "/rest/v1/reloaded", key=None).status_code == 401)
            library.sql("notify pgrst")
            until(lambda: server.request("GET", "/rest/v1/reloaded", key=None).status_code == 200)
            assert server.request("GET", "/rest/v1/books", key=sign({"aud": "elsewhere"})).status_code == 401
            library.sql("alter role authenticator set pgrst.jwt_role_claim_key = 'nonsense'; notify pgrst, 'reload config'")
            until(lambda: "reload_failed" in server.log)
            assert server.request("GET", "/rest/v1/reloaded", key=None).status_code == 200
    finally:
        library.sql("alter role authenticator reset all; alter role authenticator in database library reset all")
        library.sql("drop table if exists api.reloaded; notify pgrst")  # servers of other tests listen too
        time.sleep(1)


def test_changes_are_seen_without_notify(library: Library) -> None:
    """The catalogue is looked at now and then: a new table is served, a dropped one is not."""
    with library.serve(FLUXBASE_EXTERNAL_SCHEMA_POLL_SECONDS="0.2") as server:
        library.sql("create table api.polled (id int); grant select on api.polled to web_anon")
        until(lambda: server.request("GET", "/rest/v1/polled", key=None).status_code == 200)
        library.sql("drop table api.polled")
        until(lambda: server.request("GET", "/rest/v1/polled", key=None).status_code == 404)


def test_a_supabase_database(library: Library) -> None:
    """``auth.uid()`` of the database itself decides; auth and storage are hidden; without require_rls: false an open table is too."""
    library.sql(SUPABASE)
    alice = sign({"role": "authenticated", "sub": "00000000-0000-0000-0000-000000000001", "aud": "authenticated"})
    service = sign({"role": "service_role", "iss": "supabase-demo"})
    with library.serve(
        FLUXBASE_EXTERNAL_ANON_ROLE="anon", FLUXBASE_DATA_SCHEMAS="shop", FLUXBASE_DATA_REQUIRE_RLS="true",
        FLUXBASE_EXTERNAL_PUBLISHABLE_KEY="sb_publishable_x", FLUXBASE_EXTERNAL_SECRET_KEY="sb_secret_x",
    ) as server:  # fmt: skip
        assert server.request("GET", "/rest/v1/orders?select=id", key=alice).json() == [{"id": 1}]
        assert server.request("GET", "/rest/v1/orders?select=id", key=service).json() == [{"id": 1}, {"id": 2}]
        assert server.request("GET", "/rest/v1/orders", key=None, headers={"apikey": "sb_publishable_x"}).json() == []
        assert len(server.request("GET", "/rest/v1/orders", key=None, headers={"apikey": "sb_secret_x"}).json()) == 2
        assert server.request("GET", "/rest/v1/open", key=None).status_code == 404
        assert server.request("GET", "/rest/v1/users", key=service, headers={"accept-profile": "auth"}).status_code == 406
        assert "RED" not in server.log


def _start(environment: dict[str, str]) -> tuple[int, str]:
    """Start and wait for the end; exit status and what was printed."""
    with tempfile.TemporaryDirectory(prefix="fbt-", dir="/tmp") as folder:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FLUXBASE_")}
        done = subprocess.run(
            [sys.executable, "-m", "fluxbase", "start", "--port", "0", "--data", folder], cwd=folder, timeout=60, check=False,
            env=clean | {"FLUXBASE_METRICS_PORT": "0", "PYTHONPATH": str(ROOT)} | environment, capture_output=True,
        )  # fmt: skip
        assert not (Path(folder) / "master.key").exists()
        return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"FLUXBASE_EXTERNAL_ANON_ROLE": "nobody"}, "create role nobody"),
        ({"FLUXBASE_EXTERNAL_ANON_ROLE": "web_outsider"}, "grant web_outsider to authenticator"),
        ({"FLUXBASE_EXTERNAL_JWT_SECRET": "short"}, "at least 32 characters"),
        ({"FLUXBASE_EXTERNAL_JWT_SECRET": "@/nowhere/at/all"}, "cannot be read"),
        ({"FLUXBASE_EXTERNAL_JWT_ROLE_CLAIM_KEY": "role"}, "jwt_role_claim_key"),
        ({"FLUXBASE_DATA_SCHEMAS": "pg_catalog"}, "system schema"),
        ({"FLUXBASE_DATABASE_URL": ""}, "database.url"),
    ],
)
def test_a_start_says_what_is_missing(library: Library, change: dict[str, str], says: str) -> None:
    """One line that names the setting or the SQL that mends it; no key is made, no secret shown."""
    status, text = _start({**library.environment(), **change})
    assert status in (1, 2)
    assert says in text
    assert SECRET not in text


def test_nothing_is_installed(library: Library) -> None:
    """After all these tests the database has no schema, role, function or event trigger of ours."""
    assert library.sql("select count(*) from pg_namespace where nspname in ('fluxbase', 'platform', 'audit')") == [(0,)]
    assert library.sql("select count(*) from pg_roles where (rolname like 'fluxbase%' or rolname like 'fb\\_%') and not rolsuper") == [(0,)]
    assert library.sql("select count(*) from pg_event_trigger") == [(0,)]


def test_doctor_reads_only_and_shows_what_is_open(library: Library) -> None:
    """``fluxbase doctor`` works as the login, is red about grants-only tables, and proposes SQL without running any."""
    with tempfile.TemporaryDirectory(prefix="fbt-", dir="/tmp") as folder:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FLUXBASE_")} | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "fluxbase", "doctor", "--json", "--fix", "--data", folder], cwd=folder, timeout=60, check=False,
            env=clean | library.environment(), capture_output=True,
        )  # fmt: skip
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"], report["mended"]) == (2, "red", [])
    found = {(finding["lint"], finding["object"]): finding["level"] for finding in report["findings"]}
    assert found["require_rls", "data.require_rls"] == "red"
    assert found["tables_without_rls", "api.books"] == "red"
    assert "event_triggers" not in report["lints"]
    assert library.sql("select relrowsecurity from pg_class where oid = 'api.books'::regclass") == [(False,)]

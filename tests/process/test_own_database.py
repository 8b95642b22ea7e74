"""``FLUXBASE_DATABASE_URL``: any PostgreSQL from 15 on, TLS verified unless it is near, with and without a superuser. Long tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.conftest import Start
from tests.support.command import fluxbase
from tests.support.debian_postgres import SUPERUSER_PASSWORD, DebianPostgres, debian_postgres, installed
from tests.support.long import needs_long

pytestmark = needs_long


@pytest.fixture(scope="module")
def postgres() -> Iterator[DebianPostgres]:
    """One cluster of the distribution for this file."""
    binaries = installed()
    if binaries is None:
        pytest.skip("the distribution's PostgreSQL is not installed: apt-get install postgresql")
    with debian_postgres(binaries) as running:
        yield running


def environment(url: str, **more: str) -> dict[str, str]:
    """A database of one's own."""
    return {"FLUXBASE_DATABASE_URL": url, **more}


def refusal(env: dict[str, str], folder: Path) -> str:
    """The line with which a start is refused."""
    done = fluxbase("start", "--port", "0", "--data", folder / "data", cwd=folder, env={"FLUXBASE_METRICS_PORT": "0", **env})
    assert done.returncode == 1, done.stderr
    assert SUPERUSER_PASSWORD not in done.stdout + done.stderr
    return done.stderr.strip()


def test_rows_are_served_over_verified_tls(postgres: DebianPostgres, start: Start) -> None:
    """With the right CA every connection of ours is encrypted, policies decide, and psql and dump reach the same database."""
    postgres.sql("create database shop")
    url = postgres.url("postgres", SUPERUSER_PASSWORD, "shop")
    env = environment(url, FLUXBASE_DATABASE_REQUIRE_TLS="true", FLUXBASE_DATABASE_CA_FILE=str(postgres.ca_file))
    server = start(env=env)
    server.sql(
        "create table public.t (n int, owner uuid); insert into public.t values (1, null); create policy p on public.t for select using (n = 1)"
    )
    server.sql("insert into public.t values (2, null)")
    assert server.get("/rest/v1/t?select=n").json() == [{"n": 1}]
    ours = postgres.sql("select distinct usename, ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename like 'f%'")
    assert ours
    assert all(encrypted for _, encrypted in ours)
    assert not (server.data_dir / "postgres").exists()
    psql = fluxbase("db", "psql", "--data", server.data_dir, "--", "-Atc", "select count(*) from public.t", cwd=server.data_dir, env=env)
    assert psql.stdout.strip() == "2", psql.stderr
    dump = fluxbase("db", "dump", server.data_dir / "d.sql", "--data", server.data_dir, cwd=server.data_dir, env=env)
    assert dump.returncode == 0, dump.stderr
    assert "CREATE POLICY p ON public.t" in (server.data_dir / "d.sql").read_text()


def test_a_command_without_the_url_is_told_so(postgres: DebianPostgres, start: Start) -> None:
    """A command that finds an instance with a database of its own, but not its URL, says which variable is missing."""
    postgres.sql("create database told")
    server = start(env=environment(postgres.url("postgres", SUPERUSER_PASSWORD, "told")))
    done = fluxbase("db", "psql", "--data", server.data_dir, "--", "-c", "select 1", cwd=server.data_dir)
    assert done.returncode == 2
    assert "set FLUXBASE_DATABASE_URL as for its start" in done.stderr


@pytest.mark.parametrize(
    ("host", "ca", "words"),
    [
        ("localhost", "other_ca_file", "certificate verify failed"),
        ("127.0.0.1", "ca_file", "does not match host name"),
        ("localhost", "none", "certificate verify failed"),
    ],
)
def test_an_unverified_server_is_refused(postgres: DebianPostgres, tmp_path: Path, host: str, ca: str, words: str) -> None:
    """A certificate of another authority, for another name, or of an authority nobody knows: no start, and the reason."""
    env = environment(postgres.url("postgres", SUPERUSER_PASSWORD, "postgres", host=host), FLUXBASE_DATABASE_REQUIRE_TLS="true")
    if ca != "none":
        env["FLUXBASE_DATABASE_CA_FILE"] = str(getattr(postgres, ca))
    assert words in refusal(env, tmp_path)


def test_a_url_cannot_switch_verification_off(postgres: DebianPostgres, tmp_path: Path) -> None:
    """``?sslmode=require`` in the URL does not weaken what require_tls asks for."""
    url = postgres.url("postgres", SUPERUSER_PASSWORD, "postgres", query="?sslmode=require")
    env = environment(url, FLUXBASE_DATABASE_REQUIRE_TLS="true", FLUXBASE_DATABASE_CA_FILE=str(postgres.other_ca_file))
    assert "certificate verify failed" in refusal(env, tmp_path)


def test_an_administrator_without_superuser(postgres: DebianPostgres, start: Start) -> None:
    """CREATEROLE and CREATEDB are enough: a table that nobody closed is refused, the next start closes it, a policy opens it, and what is weaker is said."""
    postgres.sql("create role manager login createrole createdb password 'manager-kX9vQ2mT7pL4'")
    postgres.sql("create database managed owner manager")
    env = environment(postgres.url("manager", "manager-kX9vQ2mT7pL4", "managed"))
    server = start(env=env)
    assert "weaker: " in server.log
    server.sql("create table public.t (n int); insert into public.t values (1), (2); grant select on public.t to anon")
    server.sql("notify pgrst")  # there is no event trigger here that would move the epoch
    assert server.get("/rest/v1/t").status_code == 404
    server.stop(keep_data=True)
    again = start(env=env, data_dir=server.data_dir)
    assert again.get("/rest/v1/t").json() == []
    again.sql("create policy p on public.t for select to anon using (n = 1)")
    assert again.get("/rest/v1/t").json() == [{"n": 1}]
    assert len(again.get("/rest/v1/t", key="service").json()) == 2

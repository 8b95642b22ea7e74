"""Tenants for tests: made by the shipped command, spoken to with their own keys, looked into as superuser."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import psycopg

from fluxbase.app import open_program
from fluxbase.db.cluster import Cluster
from fluxbase.db.instance import running_config
from fluxbase.tenancy.lifecycle import NewTenant, check_isolation
from tests.support.server import Server


@dataclass(frozen=True)
class TenantHandle:
    """One tenant of a started server."""

    server: Server
    keys: dict[str, Any]

    @property
    def id(self) -> str:
        """Its UUID."""
        return str(self.keys["id"])

    @property
    def database(self) -> str:
        """The name of its database."""
        return str(self.keys["db_name"])

    @property
    def schema(self) -> str:
        """The schema that holds its tables."""
        return "t_" + self.id.replace("-", "") if self.keys["isolation"] == "schema" else "public"

    def sql(self, text: str, *, user: str | None = None, password: str | None = None) -> list[tuple[Any, ...]]:
        """Run SQL in its database, as superuser unless a login is named."""
        return cluster_sql(self.server, self.database, text, user=user, password=password)


def command(server: Server, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """``fluxbase tenant …`` against the server's data directory."""
    line = command_line(server, *arguments)
    return subprocess.run(line, cwd=server.data_dir, env=server.env, capture_output=True, text=True, check=False, timeout=timeout)


def command_line(server: Server, *arguments: str) -> list[str]:
    """Its program and arguments."""
    return [sys.executable, "-m", "fluxbase", "tenant", *arguments, "--data", str(server.data_dir), "--json"]


def make_tenant(server: Server, slug: str, isolation: str = "database") -> TenantHandle:
    """Create a tenant; the command's error is the test's."""
    done = command(server, "create", slug, "--isolation", isolation)
    assert done.returncode == 0, done.stdout + done.stderr
    return TenantHandle(server, json.loads(done.stdout))


def make_tenants(server: Server, *wanted: tuple[str, str]) -> list[TenantHandle]:
    """Several of them, slug and isolation, by the same use case in this process: the command starts in a second each."""

    async def run() -> list[TenantHandle]:
        made: list[TenantHandle] = []
        config = running_config(server.data_dir, environ=server.env)
        async with open_program(server.data_dir, config=config) as program:
            for slug, isolation in wanted:
                row = await program.tenants.create(NewTenant(slug, isolation=check_isolation(isolation)), actor="test")
                made.append(TenantHandle(server, {**row.public(), **await program.tenants.keys(row)}))
        return made

    return asyncio.run(run())


def cluster_sql(server: Server, database: str, text: str, *, user: str | None = None, password: str | None = None) -> list[tuple[Any, ...]]:
    """SQL in any database of the server's cluster."""
    info = Cluster(server.data_dir).info()
    conninfo = info.conninfo(user or info.superuser, password or info.superuser_password, database)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[arg-type]
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []

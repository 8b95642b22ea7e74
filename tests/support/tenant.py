"""Tenants for tests: made by the shipped command, spoken to with their own keys, looked into as superuser."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import psycopg

from fluxbase.db.cluster import Cluster
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
    line = [sys.executable, "-m", "fluxbase", "tenant", *arguments, "--data", str(server.data_dir), "--json"]
    return subprocess.run(line, cwd=server.data_dir, env=server.env, capture_output=True, text=True, check=False, timeout=timeout)


def make_tenant(server: Server, slug: str, isolation: str = "database") -> TenantHandle:
    """Create a tenant; the command's error is the test's."""
    done = command(server, "create", slug, "--isolation", isolation)
    assert done.returncode == 0, done.stdout + done.stderr
    return TenantHandle(server, json.loads(done.stdout))


def cluster_sql(server: Server, database: str, text: str, *, user: str | None = None, password: str | None = None) -> list[tuple[Any, ...]]:
    """SQL in any database of the server's cluster."""
    info = Cluster(server.data_dir).info()
    conninfo = info.conninfo(user or info.superuser, password or info.superuser_password, database)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[arg-type]
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []

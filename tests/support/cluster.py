"""An own PostgreSQL for tests that speak SQL: the shipped binaries, without fsync."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from fluxbase.db.cluster import Cluster, ClusterInfo


class TempCluster:
    """One cluster under /tmp; ``stop`` removes it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fbc-", dir="/tmp"))
        self.directory.chmod(0o711)
        self.cluster = Cluster(self.directory, settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})
        self.info: ClusterInfo = self.cluster.start()

    def conninfo(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Connection string, as superuser unless a login is named."""
        return self.info.conninfo(user or self.info.superuser, password or self.info.superuser_password, database)

    def create_database(self, name: str, template: str | None = None) -> str:
        """A new database; its superuser connection string."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f'create database "{name}"' + (f' template "{template}"' if template else ""))  # type: ignore[arg-type]
        return self.conninfo(name)

    def sql(self, database: str, text: str) -> list[tuple[Any, ...]]:
        """Run SQL as superuser; rows of the last statement."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(text)  # type: ignore[arg-type]
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop and remove."""
        self.cluster.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.cluster.socket_dir, ignore_errors=True)

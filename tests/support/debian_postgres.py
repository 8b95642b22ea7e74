"""A PostgreSQL of the distribution, on TCP with TLS under a certificate authority made for the test. Long tests only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.server import free_port

SUPERUSER_PASSWORD = "pg-root-kX9vQ2mT7pL4"


def installed() -> Path | None:
    """The newest server of the distribution, if any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@dataclass(frozen=True)
class DebianPostgres:
    """A running cluster."""

    port: int
    folder: Path

    @property
    def ca_file(self) -> Path:
        """The authority that signed the server's certificate (for the name localhost)."""
        return self.folder / "ca.pem"

    @property
    def other_ca_file(self) -> Path:
        """An authority that did not."""
        return self.folder / "other.pem"

    def url(self, user: str, password: str, database: str, *, host: str = "localhost", query: str = "") -> str:
        """A libpq URL."""
        return f"postgresql://{user}:{password}@{host}:{self.port}/{database}{query}"

    def sql(self, text: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """As the superuser, over TLS."""
        url = self.url("postgres", SUPERUSER_PASSWORD, database, query=f"?sslmode=verify-full&sslrootcert={self.ca_file}")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(text)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


def _make_authority(folder: Path, name: str) -> None:
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN=fluxbase test {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip


def openssl(folder: Path, *arguments: str) -> None:
    """One openssl command."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def debian_postgres(binaries: Path) -> Iterator[DebianPostgres]:
    """Make, start, stop, remove. As root it runs as the user postgres."""
    folder = Path(tempfile.mkdtemp(prefix="fbd-", dir="/tmp"))
    folder.chmod(0o755)
    _make_authority(folder, "ca")
    _make_authority(folder, "other")
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-copy_extensions", "copy", "-out", "server.pem")  # fmt: skip
    (folder / "password").write_text(SUPERUSER_PASSWORD)
    home = folder / "home"
    home.mkdir()
    prefix: list[str] = []
    if os.geteuid() == 0:
        for path in (home, folder / "password", folder / "server.key"):
            shutil.chown(path, "postgres", "postgres")
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    (folder / "server.key").chmod(0o600)
    port = free_port()
    data = home / "data"

    def run(*arguments: str) -> None:
        subprocess.run([*prefix, *arguments], check=True, capture_output=True, cwd="/")

    run(str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
        f"--pwfile={folder / 'password'}")  # fmt: skip
    settings = {
        "listen_addresses": "localhost", "port": str(port), "unix_socket_directories": str(home), "ssl": "on", "fsync": "off",
        "ssl_cert_file": str(folder / "server.pem"), "ssl_key_file": str(folder / "server.key"),
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, str(binaries / "postgres"), "-D", str(data), *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))],
            stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
        running = DebianPostgres(port, folder)
        try:
            _wait(running)
            yield running
        finally:
            process.terminate()
            process.wait(30)
            shutil.rmtree(folder, ignore_errors=True)


def _wait(running: DebianPostgres) -> None:
    for _ in range(200):
        try:
            running.sql("select 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((running.folder / "log").read_text()[-2000:])

"""PostgreSQL in the box: who may reach it, whom it runs as, and how it says that it cannot start."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fluxbase.db.cluster import Cluster
from tests.process.conftest import Start
from tests.support.command import ROOT, clean_environment, fluxbase
from tests.support.server import Server

AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or mount a small disk")


@pytest.fixture(scope="session")
def python_of_nobody() -> str:
    """An interpreter of this version that another user may run (a virtual environment below /root is none)."""
    probe = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True); print('%d.%d' % sys.version_info[:2])"
    for candidate in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        done = subprocess.run([*AS_NOBODY, candidate, "-c", probe], capture_output=True, text=True, check=False, cwd="/")
        if done.stdout.strip() == "{}.{}".format(*sys.version_info[:2]):
            return candidate
    pytest.skip("there is no Python of this version that another user may run")


PACKAGES = os.pathsep.join([str(ROOT), str(ROOT / "src"), sysconfig.get_path("purelib")])


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def postmaster(server: Server) -> int:
    """Process id of the server's PostgreSQL."""
    return int((server.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def start_refusal(data: Path, *prefix: str, env: dict[str, str] | None = None) -> str:
    """What ``fluxbase start`` says when it does not start: one line, status 1, in time."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "fluxbase", "start", "--port", "0", "--data", str(data)],
        cwd="/", env=clean_environment(FLUXBASE_METRICS_PORT="0", **(env or {})), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("fluxbase")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can pass through."""
    path = Path(tempfile.mkdtemp(prefix="fbe-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 400 MB."""
    path = folder / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_files_are_for_the_server_alone(server: Server) -> None:
    """Data and socket directories are 0700, password and master key 0600."""
    socket_dir = Cluster(server.data_dir).socket_dir
    assert [oct(mode(p)) for p in ((server.data_dir / "postgres").resolve(), socket_dir)] == ["0o700", "0o700"]
    assert [oct(mode(server.data_dir / name)) for name in ("postgres.password", "master.key", "lock")] == ["0o600", "0o600", "0o600"]


def test_it_does_not_listen_on_tcp(server: Server) -> None:
    """listen_addresses is empty, and no TCP socket of the postmaster is in the kernel's tables."""
    assert server.root_sql("show listen_addresses") == [("",)]
    pid = postmaster(server)
    mine = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    assert any(name.startswith("socket:") for name in mine)
    assert [row for row in tables if f"socket:[{row[9]}]" in mine] == []


def test_every_login_needs_its_scram_password(server: Server) -> None:
    """pg_hba.conf knows scram only, each login has a scram password, and without it nobody enters."""
    rules = server.root_sql("select distinct auth_method from pg_hba_file_rules")
    assert rules == [("scram-sha-256",)]
    weak = server.root_sql(
        "select rolname from pg_authid where rolcanlogin and (rolpassword is null or rolpassword not like 'SCRAM-SHA-256$%')"
    )
    assert weak == []
    info = Cluster(server.data_dir).info()
    for user in (info.superuser, "fluxbase_owner", "fluxbase_system"):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(info.conninfo(user, password, "fluxbase"))


def test_no_secret_is_in_a_process_list_or_environment(server: Server) -> None:
    """PostgreSQL gets no FLUXBASE_ variable; no command line of ours holds a password or key."""
    environment = Path(f"/proc/{postmaster(server)}/environ").read_bytes()
    assert b"FLUXBASE" not in environment
    password = (server.data_dir / "postgres.password").read_text()
    lines = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
    assert password.encode() not in lines
    assert server.keys["service_key"].encode() not in lines


@needs_root
def test_it_runs_as_a_normal_user(start: Start, folder: Path, python_of_nobody: str) -> None:
    """A user without rights starts it in an own directory; everything there belongs to that user, and rows are served."""
    nobody = pwd.getpwnam("nobody").pw_uid
    data = folder / "data"
    data.mkdir()
    os.chown(data, nobody, -1)
    server = start(data_dir=data, prefix=AS_NOBODY, python=python_of_nobody, env={"PYTHONPATH": PACKAGES})
    assert Path(f"/proc/{postmaster(server)}").stat().st_uid == nobody
    assert {p.lstat().st_uid for p in data.rglob("*")} == {nobody}
    server.sql("create table public.t as select 1 as n; create policy p on public.t for select using (true)")
    assert server.get("/rest/v1/t").json() == [{"n": 1}]


@needs_root
def test_as_root_postgres_is_another_user(server: Server) -> None:
    """Started by root, PostgreSQL runs as the system user fluxbase, which cannot read the master key."""
    owner = Path(f"/proc/{postmaster(server)}").stat().st_uid
    assert owner == pwd.getpwnam("fluxbase").pw_uid != 0
    assert (server.data_dir / "master.key").stat().st_uid == 0


@needs_root
def test_a_user_without_a_name_is_told_so(folder: Path) -> None:
    """PostgreSQL refuses user ids that have no name; the message says what to do."""
    data = folder / "data"
    data.mkdir()
    os.chown(data, 54321, -1)
    said = start_refusal(data, "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    assert "54321 has no name" in said


def test_a_second_instance_is_refused(server: Server) -> None:
    """The directory of a running instance is refused with its process id; the running one is unharmed."""
    said = start_refusal(server.data_dir)
    assert f"another Fluxbase (process {server.process.pid}) holds {server.data_dir}" in said
    assert server.get("/ready").status_code == 200


def test_a_port_in_use_is_refused(server: Server, folder: Path) -> None:
    """The message names address and port and a way out; nothing of a database was made."""
    done = fluxbase("start", "--port", str(server.port), "--data", folder / "new", cwd=folder)
    assert done.returncode == 1
    assert f"another program listens on 127.0.0.1:{server.port}" in done.stderr
    assert "--port" in done.stderr
    assert not (folder / "new" / "postgres").exists()


def test_data_of_another_major_version_is_refused(start: Start, folder: Path) -> None:
    """PG_VERSION 17 under version 18: both are named, nothing is changed, and with the right version it starts again."""
    (folder / "data").mkdir()
    server = start(data_dir=folder / "data")
    server.stop(keep_data=True)
    mark = folder / "data" / "postgres" / "PG_VERSION"
    original = mark.read_text()
    mark.write_text("17\n")
    said = start_refusal(folder / "data")
    assert "is of PostgreSQL 17, this Fluxbase runs 18" in said
    assert mark.read_text() == "17\n"
    mark.write_text(original)
    assert start(data_dir=folder / "data").get("/ready").status_code == 200


def test_a_cut_first_start_is_begun_again(start: Start, folder: Path) -> None:
    """A directory that initdb had only begun to fill is no obstacle."""
    data = folder / "data"
    (data / "postgres" / "base").mkdir(parents=True)
    (data / "postgres" / "base" / "half").write_text("x")
    assert start(data_dir=data).get("/ready").status_code == 200


def test_a_long_path_is_no_obstacle(start: Start, folder: Path) -> None:
    """A data directory of over 107 bytes works: the socket lives elsewhere."""
    data = folder / ("a-directory-with-a-long-name/" * 6)
    data.mkdir(parents=True)
    for parent in data.relative_to(folder).parents:
        (folder / parent).chmod(0o755)
    assert len(str(data)) > 160
    assert start(data_dir=data).get("/ready").status_code == 200


@needs_root
def test_a_full_disk_is_refused(small_disk: Path, start: Start) -> None:
    """With too little room the start says how much is missing, before and after there is data; with room it goes on, data kept."""
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (330 << 20))
    data = small_disk / "data"
    assert "is full" in start_refusal(data)
    filler.unlink()
    server = start(data_dir=data)
    server.sql("create table public.kept as select 1 as n; create policy p on public.kept for select using (true)")
    server.stop(keep_data=True)
    filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - (20 << 20)))
    assert "make room or use --data" in start_refusal(data)
    filler.unlink()
    assert start(data_dir=data).get("/rest/v1/kept").json() == [{"n": 1}]


@needs_root
def test_a_read_only_directory_is_refused(small_disk: Path, folder: Path) -> None:
    """A read-only file system, and a directory of another user, are named with the reason."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "cannot be used (Read-only file system)" in start_refusal(small_disk / "data")
    assert "cannot be used (Permission denied)" in start_refusal(folder / "of-root", *AS_NOBODY)


@needs_root
def test_a_socket_directory_of_somebody_else_is_refused(folder: Path) -> None:
    """Whoever made our socket directory first (it stands in /tmp) is not trusted."""
    data = folder / "data"
    trap = Cluster(data).socket_dir
    trap.mkdir()
    os.chown(trap, pwd.getpwnam("nobody").pw_uid, -1)
    try:
        assert "belongs to another user" in start_refusal(data)
    finally:
        shutil.rmtree(trap)

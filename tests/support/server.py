"""The shipped program, started as a user would: ``fluxbase start`` on a free loopback port and an own data directory.

``Server`` also carries what a test needs of it: keys, SQL as owner or superuser, access tokens, raw HTTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.support import instance_template
from tests.support.canary import secrets_of, spilt

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
TOKEN_SECONDS = 600.0
"""A token lives 900: on a slow machine a run of the tests is longer than that."""


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running Fluxbase."""

    data_dir: Path
    port: int
    process: subprocess.Popen[bytes]
    log_path: Path
    env: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _secrets: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"{'https' if self.has_tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def has_tls(self) -> bool:
        """Whether its own listener speaks TLS; then with a certificate of the tests' own making, which is not compared."""
        return bool(self.env.get("FLUXBASE_SERVER_TLS_CERT"))

    @property
    def anon_key(self) -> str:
        """The anon JWT key."""
        return self.keys["anon_key"]

    @property
    def service_key(self) -> str:
        """The service_role JWT key."""
        return self.keys["service_key"]

    @property
    def database_url(self) -> str:
        """libpq URL of ``fluxbase_owner``."""
        return self.keys["database_url"]

    @property
    def log(self) -> str:
        """Everything the program wrote so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.is_file() else ""

    def sql(self, text: str, *params: object) -> list[tuple[Any, ...]]:
        """Run SQL as the administrator ``fluxbase_owner``; rows of the last statement."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(text, params or None)  # type: ignore[arg-type]
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    psql = sql

    def root_sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser of the embedded cluster: only twins remove objects with it."""
        from fluxbase.db.cluster import Cluster

        info = Cluster(self.data_dir).info()
        database = psycopg.conninfo.conninfo_to_dict(self.database_url)["dbname"]
        conninfo = info.conninfo(info.superuser, info.superuser_password, str(database))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            cursor = connection.execute(text)  # type: ignore[arg-type]
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def token(
        self, user_id: str, *, role: str = "authenticated", session_id: str | None = None, tenant: str = "default", **claims: object
    ) -> str:
        """An access token as sign-in will mint it."""
        arguments = {"user_id": user_id, "role": role, "session_id": session_id, "claims": claims, "tenant": tenant}
        name = json.dumps(arguments, sort_keys=True)
        token, minted_at = self._tokens.get(name, ("", -TOKEN_SECONDS))
        if time.monotonic() - minted_at >= TOKEN_SECONDS:
            from tests.support.mint import mint

            with ThreadPoolExecutor(1) as pool:
                token = pool.submit(lambda: asyncio.run(mint(self.data_dir, arguments))).result(60)
            self._tokens[name] = token, time.monotonic()
        return token

    def request(
        self, method: str, path: str, *, key: str | None = "anon", headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """One HTTP request; ``key`` is ``anon``, ``service``, a token, or None for no credential."""
        merged = dict(headers or {})
        if key is not None:
            credential = {"anon": self.keys.get("anon_key"), "service": self.keys.get("service_key")}.get(key, key)
            merged.setdefault("authorization", f"Bearer {credential}")
        with httpx.Client(
            base_url=self.url, timeout=30, trust_env=False, verify=False
        ) as client:  # to read the certificates of the system costs 20 ms
            answer = client.request(method, path, headers=merged, **options)
        self._assert_unspilt(f"the answer to {method} {path[:80]}", answer.content, str(answer.headers.raw))
        return answer

    def _assert_unspilt(self, where: str, *texts: bytes | str) -> None:
        """No secret of this server is in what left it (DESIGN invariant 10)."""
        if not self._secrets:
            self._secrets.update(secrets_of(self.data_dir, self.keys, self.env))
        found = spilt(self._secrets, texts)
        assert found == [], f"{where} has the secret {', '.join(found)}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET as anon unless told otherwise."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST as anon unless told otherwise."""
        return self.request("POST", path, **options)

    def stop(self, *, keep_data: bool = False) -> int:
        """SIGTERM, wait, and remove the data directory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        database_log = self.data_dir / "log" / "postgres.log"
        lines = [line for line in self.log.splitlines() if line.startswith("{")]  # the first start prints the keys, on purpose
        texts = ["\n".join(lines), database_log.read_text(errors="replace") if database_log.is_file() else ""]
        if not keep_data:
            shutil.rmtree(self.data_dir, ignore_errors=True)
        if self.keys:
            self._assert_unspilt("the log", *texts)
        return code


def start_server(
    *,
    is_twin: bool = False,
    env: dict[str, str] | None = None,
    data_dir: Path | None = None,
    arguments: tuple[str, ...] = (),
    prefix: tuple[str, ...] = (),
    python: str = sys.executable,
    has_keys: bool = True,
) -> Server:
    """Start and wait until ``/ready`` answers. A twin obeys ``x-twin-without`` (tests/support/twin.py); ``prefix`` may change the user."""
    data = data_dir or Path(tempfile.mkdtemp(prefix="fbt-", dir="/tmp"))
    data.chmod(0o700)
    if data_dir is None and not {"FLUXBASE_DATABASE_URL", "FLUXBASE_MASTER_KEY"} & set(env or {}):
        instance_template.fill(data, lambda made: start_server(data_dir=made).stop(keep_data=True))
    port = free_port()
    # Without PYTHONDONTWRITEBYTECODE the second start reads the bytecode of the first.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXBASE_") and k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"FLUXBASE_METRICS_PORT": "0", "FLUXBASE_LIMITS_ENABLED": "false", "PYTHONPATH": str(ROOT), **(env or {})}
    module = "tests.support.twin" if is_twin else "fluxbase"
    log_path = data.parent / f"{data.name}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [*prefix, python, "-m", module, "start", "--port", str(port), "--data", str(data), *arguments],
            cwd=data, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    server = Server(data, port, process, log_path, environment)
    wait_ready(server)
    if not has_keys:
        return server
    if not env and not prefix and python == sys.executable:
        server.keys = _shown_keys(data)
        return server
    shown = subprocess.run(
        [*prefix, python, "-m", "fluxbase", "keys", "show", "--json", "--data", str(data)],
        cwd=data, env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    if shown.returncode != 0:
        server.stop()
        raise RuntimeError(f"keys show failed: {shown.stderr.decode()[-2000:]}")
    server.keys = json.loads(shown.stdout)
    return server


def _shown_keys(data: Path) -> dict[str, str]:
    """What ``fluxbase keys show --json`` prints (that command has its own tests), without a process of its own."""
    from fluxbase.cli import keys

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(keys._run, data, True, keys._shown).result(60)


def wait_for_url(url: str, process: subprocess.Popen[bytes]) -> None:
    """Poll until the URL answers 200; raises when the program ends or takes too long."""
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False, verify=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer; the program's status is {process.poll()}")


def wait_ready(server: Server) -> None:
    """Poll ``/ready``; show the log when the program ends or hangs."""
    try:
        wait_for_url(f"{server.url}/ready", server.process)
    except RuntimeError as error:
        server.stop()
        raise RuntimeError(f"{error}:\n{server.log[-3000:]}") from None

"""PostgreSQL goes away under load: every request is answered, with 503 in the dialect's shape, and service returns by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psycopg

from fluxbase.db.cluster import Cluster
from tests.process.conftest import Start
from tests.support.server import Server

SCHEMA = """
create table thing (id int primary key, name text);
create policy everybody on thing using (true) with check (true);
insert into thing values (1, 'one');
"""
PATHS = ("/rest/v1/thing?select=id,name", "/api/v1/tables/thing")


def postmaster(server: Server) -> int:
    """The process id of the embedded PostgreSQL of this server."""
    return int((Cluster(server.data_dir).pgdata / "postmaster.pid").read_text().split("\n", 1)[0])


def ask_for(server: Server, seconds: float, act: Any) -> list[tuple[float, int, dict[str, Any] | None, float]]:
    """Sixteen clients ask without a pause; ``act`` happens after half a second. (moment, status, body of an error, seconds it took)."""

    async def work() -> list[tuple[float, int, dict[str, Any] | None, float]]:
        answers: list[tuple[float, int, dict[str, Any] | None, float]] = []
        began = time.monotonic()
        headers = {"authorization": f"Bearer {server.anon_key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20, trust_env=False) as client:

            async def ask(number: int) -> None:
                while time.monotonic() - began < seconds:
                    start = time.monotonic()
                    answer = await client.get(PATHS[number % 2])
                    now = time.monotonic()
                    answers.append((now - began, answer.status_code, answer.json() if answer.is_error else None, now - start))
                    await asyncio.sleep(0.02)

            asking = [asyncio.create_task(ask(number)) for number in range(16)]
            await asyncio.sleep(0.5)
            await asyncio.to_thread(act)
            await asyncio.gather(*asking)
        return answers

    return asyncio.run(work())


def test_a_killed_postgresql_is_503_and_comes_back(start: Start) -> None:
    """kill -9 of the postmaster's children and itself under load: 200 or 503 only, none hangs, at the end everybody is served."""
    server = start()
    server.sql(SCHEMA)
    assert server.get(PATHS[0]).status_code == 200
    answers = ask_for(server, 8, lambda: os.kill(postmaster(server), signal.SIGQUIT))
    assert set(Counter(status for _, status, _, _ in answers)) == {200, 503}
    assert max(took for *_, took in answers) < 8
    assert all(status == 200 for moment, status, _, _ in answers if moment > 7)
    for _, status, body, _ in answers:
        if status == 503:
            assert body is not None
            assert (
                body.get("code") in {"PGRST000", "PGRST001", "PGRST002", "database_unavailable", "connection_lost", "schema_loading"}
                or "error" in body
            )
            assert "postgres" not in str(body).lower()
            assert "/tmp" not in str(body)


def test_a_stopped_worker_of_postgresql_does_not_hang_a_request(start: Start) -> None:
    """PostgreSQL frozen (SIGSTOP): requests end at their deadline with 503 or 504, and go on when it does."""
    server = start(env={"FLUXBASE_SERVER_REQUEST_TIMEOUT_SECONDS": "1.5"})
    server.sql(SCHEMA)
    assert server.get(PATHS[0]).status_code == 200
    parent = postmaster(server)

    def freeze() -> None:
        os.kill(parent, signal.SIGSTOP)
        backends = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in (*backends, parent):
            os.kill(pid, signal.SIGCONT)

    answers = ask_for(server, 9, freeze)
    assert set(Counter(status for _, status, _, _ in answers)) <= {200, 503, 504}
    assert any(status in (503, 504) for _, status, _, _ in answers)
    assert max(took for *_, took in answers) < 5
    assert all(status == 200 for moment, status, _, _ in answers if moment > 8)


def test_a_schema_that_cannot_be_read_is_503(start: Start) -> None:
    """1.10: a changed schema whose catalogue is locked: 503 PGRST002 within the deadline, and service by itself afterwards."""
    server = start(env={"FLUXBASE_SERVER_REQUEST_TIMEOUT_SECONDS": "1.5"})
    server.sql(SCHEMA)
    assert server.get(PATHS[0]).status_code == 200
    info = Cluster(server.data_dir).info()
    conninfo = info.conninfo(info.superuser, info.superuser_password, "fluxbase")
    server.sql("create table public.newer (id int primary key)")
    with psycopg.connect(conninfo) as connection:
        connection.execute("lock pg_catalog.pg_attrdef in access exclusive mode")
        answer = server.get(PATHS[0])
        assert (answer.status_code, answer.json()["code"]) == (503, "PGRST002")
        assert answer.headers["proxy-status"] == "PostgREST; error=PGRST002"
        connection.rollback()
    assert server.get(PATHS[0]).status_code == 200

"""SIGTERM, SIGINT, SIGHUP and kill -9 against the real program, with requests under way."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.process.conftest import Start
from tests.support.processes import wait_until, worker_pids
from tests.support.server import Server, wait_ready

SLOW = """
create function public.slow(seconds float8) returns text language plpgsql as $$ begin perform pg_sleep(seconds); return 'done'; end $$;
grant execute on function public.slow(float8) to anon;
"""


def events(server: Server) -> list[str]:
    """The ``event`` of each log line that is no request."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line["event"] for line in lines if line["event"] != "request"]


def slow_call(server: Server, pool: ThreadPoolExecutor, seconds: float) -> Future[httpx.Response]:
    """A request that PostgreSQL works on; returns when it is running there."""
    future = pool.submit(server.post, "/rest/v1/rpc/slow", json={"seconds": seconds})
    wait_until(
        lambda: server.root_sql(
            "select count(*) from pg_stat_activity where query like '%slow%' and state = 'active' and pid <> pg_backend_pid()"
        )[0][0]
    )
    return future


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_requests_under_way(start: Start, number: signal.Signals) -> None:
    """The slow request gets its whole answer, new connections are refused, idle ones do not delay, PostgreSQL is down at the end, status 0."""
    server = start()
    server.sql(SLOW)
    server.sql("notify pgrst")
    idle = httpx.Client(base_url=server.url, trust_env=False)
    assert idle.get("/health").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        answer = slow_call(server, pool, 1.5)
        started = time.monotonic()
        server.process.send_signal(number)
        assert answer.result(20).json() == "done"
        assert server.process.wait(20) == 0
    assert time.monotonic() - started < 15
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/health", timeout=2, trust_env=False)
    assert not (server.data_dir / "postgres" / "postmaster.pid").exists()
    assert not (server.data_dir / "instance.json").exists()


def test_a_stop_does_not_wait_for_ever(start: Start) -> None:
    """A request longer than server.graceful_stop_seconds is cut, and the program ends."""
    server = start(env={"FLUXBASE_SERVER_GRACEFUL_STOP_SECONDS": "1", "FLUXBASE_DATA_STATEMENT_TIMEOUT_SECONDS": '{"anon": 60}'})
    server.sql(SLOW)
    with ThreadPoolExecutor(1) as pool:
        answer = slow_call(server, pool, 50)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - started < 15
        with pytest.raises(httpx.TransportError):
            answer.result(20)


def test_a_reload_loses_no_request(start: Start, tmp_path: Path) -> None:
    """During SIGHUP with two workers each request is answered with 200, the slow one too, and the workers are new."""
    file = tmp_path / "fluxbase.yaml"
    file.write_text("data:\n  max_rows: 1000\n")
    server = start(arguments=("--workers", "2", "--config", str(file)))
    server.sql(SLOW)
    server.sql(
        "create table public.numbers as select generate_series(1, 50) as n; create policy p on public.numbers for select using (true)"
    )
    before = worker_pids(server)
    assert len(before) == 2
    codes: list[int] = []
    ends = threading.Event()

    def ask() -> None:
        while not ends.is_set():
            codes.append(httpx.get(f"{server.url}/ready", timeout=20, trust_env=False, verify=False).status_code)

    with ThreadPoolExecutor(4) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        answer = slow_call(server, pool, 2)
        file.write_text("data:\n  max_rows: 7\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(worker_pids(server)) == 2 and not worker_pids(server) & before, 40)
        ends.set()
        assert answer.result(20).json() == "done"
        for asker in askers:
            asker.result(20)
    assert set(codes) == {200}
    assert len(codes) > 20
    assert {len(server.get("/rest/v1/numbers").json()) for _ in range(6)} == {7}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server:\n  prot: 1\n", "server.prot is not a setting"),
        ("server:\n  workers: 2\n", "server.workers can only change with a restart"),
    ],
)
def test_a_bad_reload_changes_nothing(start: Start, tmp_path: Path, text: str, words: str) -> None:
    """A configuration that is wrong, or needs a restart, is refused with one log line; the workers stay."""
    file = tmp_path / "fluxbase.yaml"
    file.write_text("log:\n  level: info\n")
    server = start(arguments=("--config", str(file)))
    before = worker_pids(server)
    assert before
    file.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload_refused" in events(server))
    assert words in server.log
    assert worker_pids(server) == before
    assert server.get("/ready").status_code == 200


def test_a_killed_worker_is_replaced(start: Start) -> None:
    """kill -9 of one of two workers: the other one answers, a new one comes."""
    server = start(arguments=("--workers", "2"))
    before = worker_pids(server)
    time.sleep(6)  # granian takes a death in the first seconds of a replacement for a crash loop
    os.kill(min(before), signal.SIGKILL)
    assert server.get("/ready").status_code == 200
    wait_until(lambda: len(worker_pids(server)) == 2 and worker_pids(server) != before, 30)
    wait_ready(server)


def test_a_killed_program_leaves_no_worker(start: Start) -> None:
    """kill -9 of the main process: its workers end; the next start adopts PostgreSQL and keeps keys and rows."""
    server = start()
    server.sql("create table public.kept as select 1 as n; create policy p on public.kept for select using (true)")
    workers = worker_pids(server)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(10)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    again = start(data_dir=server.data_dir)
    assert again.keys["secret_key"] == server.keys["secret_key"]
    assert again.get("/rest/v1/kept").json() == [{"n": 1}]
    assert again.stop(keep_data=True) == 0
    assert not (server.data_dir / "postgres" / "postmaster.pid").exists()


def test_a_killed_postgres_is_started_again(start: Start) -> None:
    """kill -9 of PostgreSQL: 503 at worst, then the same rows again without a restart of ours."""
    server = start()
    server.sql("create table public.kept as select 1 as n; create policy p on public.kept for select using (true)")
    assert server.get("/rest/v1/kept").json() == [{"n": 1}]
    os.kill(int((server.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    seen: set[int] = set()

    def is_back() -> bool:
        answer = server.get("/rest/v1/kept")
        seen.add(answer.status_code)
        return answer.status_code == 200 and answer.json() == [{"n": 1}]

    wait_until(lambda: is_back() and "postgres_restarted" in events(server), 40)
    assert seen <= {200, 503, 504}

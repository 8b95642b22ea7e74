"""What an operator sees: health, readiness, metrics on a listener of their own, and log lines."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.process.conftest import Start
from tests.support.processes import wait_until, worker_pids
from tests.support.server import Server, start_server


def metrics(server: Server) -> dict[str, float]:
    """Every sample by name and labels, as a Prometheus server reads them."""
    port = json.loads((server.data_dir / "instance.json").read_text())["metrics_port"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return {
        sample.name + "".join(f"|{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def log_lines(server: Server, **wanted: object) -> list[dict[str, object]]:
    """The JSON lines with these members, once they are written."""
    for _ in range(100):
        lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        found = [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]
        if found:
            return found
        time.sleep(0.05)
    return []


@pytest.fixture(scope="module")
def busy() -> Iterator[Server]:
    """A server of this file's own with two workers, whose counts nobody else moves."""
    server = start_server(arguments=("--workers", "2"))
    server.sql("create table public.t as select 1 as n; create policy p on public.t for select using (true)")
    yield server
    server.stop()


def test_metrics_count_what_happened(busy: Server) -> None:
    """Over both workers: requests by surface, method and status, errors by code, a histogram whose count is the sum of the requests."""
    time.sleep(1.2)
    before = metrics(busy)
    for _ in range(12):
        assert busy.get("/rest/v1/t").status_code == 200
    for _ in range(3):
        assert busy.get("/rest/v1/none").status_code == 404
    assert busy.get("/rest/v1/t", key="not-a-key").status_code == 401
    time.sleep(1.2)
    after = metrics(busy)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown("fluxbase_requests_total|method=GET|status=200|surface=rest") == 12
    assert grown("fluxbase_requests_total|method=GET|status=404|surface=rest") == 3
    assert grown("fluxbase_requests_total|method=GET|status=401|surface=rest") == 1
    assert grown("fluxbase_errors_total|code=unknown_table") == 3
    assert grown("fluxbase_request_duration_seconds_count") == 16
    assert after["fluxbase_request_duration_seconds_bucket|le=+Inf"] == after["fluxbase_request_duration_seconds_count"]
    assert after["fluxbase_workers"] == 2
    assert after["fluxbase_request_duration_seconds_sum"] > before["fluxbase_request_duration_seconds_sum"]


def test_a_clients_method_makes_no_series(busy: Server) -> None:
    """A method nobody knows, with a character that could break a label, is counted as other."""
    for method in ("A|B", "FOO"):
        connection = http.client.HTTPConnection("127.0.0.1", busy.port, timeout=10)
        connection.request(method, "/rest/v1/t")
        assert 400 <= connection.getresponse().status < 500
    time.sleep(1.2)
    after = metrics(busy)
    assert sum(value for name, value in after.items() if "method=other" in name) == 2
    assert not [name for name in after if "FOO" in name or "A|B" in name]


def test_counters_do_not_go_back_when_workers_are_replaced(busy: Server) -> None:
    """After SIGHUP the numbers of the workers that ended are still in the sum."""
    busy.get("/rest/v1/t")
    time.sleep(1.2)
    name = "fluxbase_requests_total|method=GET|status=200|surface=rest"
    before, old = metrics(busy)[name], worker_pids(busy)
    busy.process.send_signal(signal.SIGHUP)
    assert log_lines(busy, event="reloading")
    wait_until(lambda: len(worker_pids(busy)) == 2 and not worker_pids(busy) & old, 40)
    wait_until(lambda: metrics(busy)["fluxbase_workers"] == 2, 10)
    after = metrics(busy)
    assert after[name] >= before
    assert after["fluxbase_workers"] == 2


def test_metrics_are_not_on_the_public_port(busy: Server) -> None:
    """The public listener knows no /metrics, and the metrics listener nothing else."""
    assert busy.get("/metrics", key="service").status_code == 404
    port = json.loads((busy.data_dir / "instance.json").read_text())["metrics_port"]
    for path in ("/", "/health", "/rest/v1/t", "/metrics/../etc/passwd"):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 404


def test_a_request_is_one_line_with_both_ids(server: Server) -> None:
    """Our id is in the answer and in the line, the client's beside it; query values and keys are nowhere."""
    canary = "c4n4ry-9a2b"
    answer = server.get(f"/rest/v1/none?secret=eq.{canary}", headers={"x-request-id": "client-id-1"})
    ours = answer.headers["x-request-id"]
    assert ours != "client-id-1"
    lines = log_lines(server, request_id=ours)
    assert len(lines) == 1
    line = lines[0]
    assert {name: line[name] for name in ("level", "event", "method", "path", "status", "client_request_id", "role", "address")} == {
        "level": "info", "event": "request", "method": "GET", "path": "/rest/v1/none", "status": 404, "client_request_id": "client-id-1",
        "role": "anon", "address": "127.0.0.1",
    }  # fmt: skip
    assert line["error"] == "unknown_table"
    assert isinstance(line["ms"], float)
    assert canary not in server.log
    after_banner = server.log.split("Try again", 1)[-1].split('"event"', 1)[-1]
    assert server.keys["anon_key"] not in after_banner


def test_a_client_cannot_forge_a_line(server: Server) -> None:
    """A request id or path with a newline, or one that is too long, does not become a line or a member of its own."""
    answer = server.get("/rest/v1/t%22%7D%0A%7B%22event%22:%22forged%22", headers={"x-request-id": "x" * 5000})
    assert log_lines(server, request_id=answer.headers["x-request-id"])
    assert not [line for line in server.log.splitlines() if line.startswith('{"event":"forged"')]
    assert "x" * 1000 not in server.log


def test_health_and_readiness_follow_the_database(start: Start) -> None:
    """Both are 200 with the database, 503 while it is stopped, and 200 again by themselves."""
    server = start()
    assert (server.get("/health", key=None).status_code, server.get("/ready", key=None).status_code) == (200, 200)
    pid = int((server.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    children = [int(p) for p in os.popen(f"ps -o pid= --ppid {pid}").read().split()]
    for one in (pid, *children):
        os.kill(one, signal.SIGSTOP)
    try:
        assert server.get("/health", key=None).status_code == 503
        assert server.get("/ready", key=None).json()["status"] != "ready"
    finally:
        for one in (*children, pid):
            os.kill(one, signal.SIGCONT)
    ends_at = time.monotonic() + 30
    while server.get("/ready", key=None).status_code != 200:
        assert time.monotonic() < ends_at
        time.sleep(0.1)

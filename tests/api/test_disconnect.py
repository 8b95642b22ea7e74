"""A client that leaves takes its statement with it."""

from __future__ import annotations

import socket
import time

from tests.support.server import Server

SLEEP = """
create or replace function sleep_marked(seconds float) returns text language plpgsql volatile as $$
begin perform pg_sleep(seconds); return 'slept'; end $$;
"""
RUNNING = "select count(*) from pg_stat_activity where state = 'active' and query like '%sleep_marked%' and pid <> pg_backend_pid()"


def running(server: Server) -> int:
    """Statements under way that call the marked function."""
    return int(server.root_sql(RUNNING)[0][0])


def test_a_statement_ends_when_its_client_leaves(server: Server) -> None:
    """Long before its own time; the connection serves the next request."""
    server.sql(SLEEP)
    body = b'{"seconds": 2.5}'
    head = (
        f"POST /rest/v1/rpc/sleep_marked HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {server.service_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head.encode() + body)
        ends_at = time.monotonic() + 10
        while running(server) == 0 and time.monotonic() < ends_at:
            time.sleep(0.02)
        assert running(server) == 1
        time.sleep(0.4)
        started = time.monotonic()
    while running(server) and time.monotonic() < started + 10:
        time.sleep(0.02)
    ended_after = time.monotonic() - started
    assert server.post("/rest/v1/rpc/sleep_marked", key="service", json={"seconds": 0}).json() == "slept"
    while '"status":499' not in server.log and time.monotonic() < started + 10:
        time.sleep(0.05)
    assert '"status":499' in server.log, f"the statement ended after {ended_after:.1f} s, by itself"

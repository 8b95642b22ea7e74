"""Threat B30: an execution in the background is its caller's own; to everybody else it is not there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.support.server import Server

RPC = "/api/v1/rpc"
CANARY = "canary-77ab10"
FUNCTION = f"""
create or replace function tell() returns text language sql volatile as $$ select '{CANARY}' $$;
create or replace function tell_late() returns text language plpgsql volatile as $$ begin perform pg_sleep(1.5); return 'late'; end $$;
"""
DEFINER = "security definer set search_path = pg_catalog, pg_temp"
WITHOUT_OWNER = {
    "fluxbase.caller()": f"create or replace function fluxbase.caller() returns text language sql stable {DEFINER} as $$ select 'everybody' $$",
    "fluxbase.read_execution(uuid)": f"""create or replace function fluxbase.read_execution(execution uuid) returns json language sql stable {DEFINER}
        as $$ select json_build_object('execution_id', e.id, 'result', e.result, 'logs', e.logs) from platform.executions e where e.id = execution $$""",
}
END_ANYBODYS = f"""create or replace function fluxbase.end_execution(execution uuid, outcome text, answer text, answer_rows bigint, failure jsonb)
    returns text language sql volatile {DEFINER} as $$ update platform.executions e set status = outcome, result = answer::json
    where e.id = execution and e.status in ('pending', 'running') returning outcome $$"""
BEGIN_WITHOUT_LIMIT = f"""create or replace function fluxbase.begin_execution(execution uuid, namespace text, procedure text, seconds double precision)
    returns text language sql volatile {DEFINER} as $$ insert into platform.executions (id, owner, namespace, procedure, ends_at)
    values (execution, fluxbase.caller(), namespace, procedure, now() + make_interval(secs => seconds)) returning 'pending' $$"""


@contextmanager
def replaced(server: Server, function: str, by: str) -> Iterator[None]:
    """The function without its check."""
    kept = server.root_sql(f"select pg_get_functiondef('{function}'::regprocedure)")[0][0]
    server.root_sql(by)
    try:
        yield
    finally:
        server.root_sql(kept)


def start(server: Server, key: str, name: str = "tell") -> str:
    """Begin a call in the background as the owner of ``key`` and wait for its end."""
    answer = server.post(f"{RPC}/default/{name}", key=key, json={"params": {}, "async": True})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["execution_id"])


def wait(server: Server, execution: str, key: str) -> str:
    """The final status as its owner sees it."""
    ends_at = time.monotonic() + 15
    status = "pending"
    while status in ("pending", "running") and time.monotonic() < ends_at:
        time.sleep(0.05)
        status = server.get(f"{RPC}/executions/{execution}", key=key).json().get("status", "none")
    return status


@pytest.mark.parametrize("path", ["", "/logs"])
def test_another_users_execution_is_not_there(server: Server, path: str) -> None:
    """User, anon and service key get the bytes of an unknown id: 404, no canary. The owner reads it."""
    server.sql(FUNCTION)
    owner = server.token(str(uuid4()))
    execution = start(server, owner)
    assert wait(server, execution, owner) == "completed"
    assert CANARY in server.get(f"{RPC}/executions/{execution}", key=owner).text
    for other in (server.token(str(uuid4())), "anon", "service", None):
        answer = server.get(f"{RPC}/executions/{execution}{path}", key=other)
        unknown = server.get(f"{RPC}/executions/{uuid4()}{path}", key=other)
        assert answer.status_code == unknown.status_code == 404
        assert CANARY not in answer.text
        bodies = [each.json() for each in (answer, unknown)]
        assert bodies[0] | {"request_id": ""} == bodies[1] | {"request_id": ""}


@pytest.mark.twin("function:fluxbase.caller", "function:fluxbase.read_execution")
@pytest.mark.parametrize("function", WITHOUT_OWNER)
def test_twin_without_owner_reads_anothers_execution(twin: Server, function: str) -> None:
    """Without the owner in either function, the same request shows the canary."""
    twin.sql(FUNCTION)
    with replaced(twin, function, WITHOUT_OWNER[function]):
        owner = twin.token(str(uuid4()))
        execution = start(twin, owner)
        ends_at = time.monotonic() + 15
        text = ""
        while CANARY not in text and time.monotonic() < ends_at:
            time.sleep(0.05)
            text = twin.get(f"{RPC}/executions/{execution}", key=twin.token(str(uuid4()))).text
        assert CANARY in text


def forge(server: Server) -> tuple[str, str]:
    """Begin a call as one user and end it as another: the owner's token and the execution."""
    server.sql(FUNCTION)
    server.sql(
        "create or replace function forge(execution uuid) returns text language sql volatile as "
        "$$ select fluxbase.end_execution(execution, 'completed', '\"forged\"', 1, null) $$"
    )
    owner = server.token(str(uuid4()))
    execution = start(server, owner, "tell_late")
    server.post(f"{RPC}/default/forge", key=server.token(str(uuid4())), json={"params": {"execution": execution}})
    server.sql("drop function forge(uuid)")
    return owner, execution


@pytest.mark.twin("function:fluxbase.end_execution")
def test_twin_without_owner_ends_anothers_execution(twin: Server) -> None:
    """Without the owner in fluxbase.end_execution the forged result is what the owner reads."""
    with replaced(twin, "fluxbase.end_execution(uuid, text, text, bigint, jsonb)", END_ANYBODYS):
        owner, execution = forge(twin)
        assert wait(twin, execution, owner) == "completed"
        assert twin.get(f"{RPC}/executions/{execution}", key=owner).json()["result"] == "forged"


@pytest.mark.twin("function:fluxbase.begin_execution")
def test_one_caller_cannot_fill_the_background(twin: Server) -> None:
    """The 21st call of one user that is under way is 429; without the count in fluxbase.begin_execution it is taken."""
    twin.sql(FUNCTION)

    def fill() -> int:
        owner = twin.token(str(uuid4()))
        first = start(twin, owner)
        twin.root_sql(
            "insert into platform.executions (id, owner, namespace, procedure, ends_at) select gen_random_uuid(), e.owner, 'default', 'slow', "
            f"now() + interval '1 hour' from platform.executions e, generate_series(1, 20) where e.id = '{first}'"
        )
        return twin.post(f"{RPC}/default/tell", key=owner, json={"async": True}).status_code

    assert fill() == 429
    with replaced(twin, "fluxbase.begin_execution(uuid, text, text, double precision)", BEGIN_WITHOUT_LIMIT):
        assert fill() == 202


def test_client_roles_cannot_touch_the_table(server: Server) -> None:
    """No client role may read or write platform.executions, whatever SQL it runs."""
    rows = server.sql(
        "select r, p from unnest(array['anon','authenticated','service_role']) r, unnest(array['SELECT','INSERT','UPDATE','DELETE','TRUNCATE']) p "
        "where has_table_privilege(r, 'platform.executions', p)"
    )
    assert rows == []


def test_an_execution_cannot_be_ended_for_another(server: Server) -> None:
    """A function that calls fluxbase.end_execution with another's id changes nothing."""
    owner, execution = forge(server)
    assert wait(server, execution, owner) == "completed"
    assert server.get(f"{RPC}/executions/{execution}", key=owner).json()["result"] == "late"


def test_a_revoked_session_reads_and_starts_nothing(server: Server) -> None:
    """From the denial on: 401 for the execution it began itself, for a new one, and for the lists."""
    server.sql(FUNCTION)
    session = str(uuid4())
    owner = server.token(str(uuid4()), session_id=session)
    execution = start(server, owner)
    assert wait(server, execution, owner) == "completed"
    server.root_sql(f"insert into auth.denylist (key, reason) values ('session:{session}', 'test')")
    for method, path, body in (
        ("GET", f"{RPC}/executions/{execution}", None),
        ("GET", f"{RPC}/executions/{execution}/logs", None),
        ("GET", f"{RPC}/procedures", None),
        ("GET", "/api/v1/tables", None),
        ("POST", f"{RPC}/default/tell", {"async": True}),
    ):
        answer = server.request(method, path, key=owner, content=None if body is None else json.dumps(body))
        assert (answer.status_code, answer.json()["code"]) == (401, "REVOKED_TOKEN"), path
        assert CANARY not in answer.text

"""contract-native 1.4 and "POST /rpc" of 2.10: functions, namespaces, and functions in the background."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.contract.case import ANY, Case, send
from tests.contract.native.runner import check_native
from tests.support.server import Server

RPC = "/api/v1/rpc"
CALL = "rpc: params, namespace default, execution id, status, result"
UNKNOWN = "rpc: an unknown function or namespace is 404"
ASYNC = "rpc: async answers 202; the execution and its logs are the caller's own"
PROCEDURES = "rpc: procedures lists what the role may call"


def call(sentence: str, path: str, body: Any, status: int = 200, wanted: Any = ANY, **more: Any) -> Case:
    """A POST of a function."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Case("2.5", sentence, f"POST {RPC}/{path}\n\n{text}", status, body=wanted, **more)


CASES = (
    call(CALL, "default/add", {"params": {"a": "x"}}, 400, ("error", "INVALID_FORMAT")),
    call(CALL, "default/add", {"params": [1]}, 400, ("error", "INVALID_REQUEST_BODY")),
    call(CALL, "default/add", {"params": {"a": 1}, "async": "yes"}, 400, ("error", "INVALID_REQUEST_BODY")),
    call(CALL, "default/add", "[1]", 400, ("error", "INVALID_REQUEST_BODY")),
    call(CALL, "default/broken", {}, 400, ("error", "INVALID_INPUT"), then=("GET /api/v1/tables/shops?id=eq.99", [])),
    call(UNKNOWN, "default/nope", {"params": {}}, 404, ("error", "NOT_FOUND")),
    call(UNKNOWN, "default/add", {"params": {"x": 1}}, 404, ("error", "NOT_FOUND")),
    call(UNKNOWN, "nowhere/add", {"params": {"a": 1}}, 404, ("error", "NOT_FOUND")),
    call(UNKNOWN, "auth/uid", {}, 404, ("error", "NOT_FOUND")),
    call(UNKNOWN, "fluxbase/caller", {}, 404, ("error", "NOT_FOUND")),
    call(UNKNOWN, "default/nope", {"params": {}, "async": True}, 404, ("error", "NOT_FOUND")),
    Case("2.5", ASYNC, f"GET {RPC}/executions/{UUID(int=1)}", 404, body=("error", "NOT_FOUND")),
    Case("2.5", ASYNC, f"GET {RPC}/executions/none", 404, body=("error", "NOT_FOUND")),
    Case("2.5", ASYNC, f"GET {RPC}/executions/{UUID(int=1)}/logs", 404, body=("error", "NOT_FOUND")),
    Case("2.5", PROCEDURES, f"GET {RPC}/procedures?namespace=archive", 200, body={
        "procedures": [{"name": "size", "namespace": "archive", "schema": "archive", "arguments": [], "returns": "bigint",
                        "returns_set": False, "is_read_only": True}], "count": 1}),
    Case("2.5", PROCEDURES, f"GET {RPC}/procedures?namespace=auth", 404, body=("error", "NOT_FOUND")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rpc(native: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check_native(native, case)


RESULTS: dict[str, tuple[str, Any, Any, int]] = {
    "scalar": ("default/add", {"params": {"a": 2, "b": 3}}, 5, 1),
    "default argument": ("default/add", {"params": {"a": 2}}, 3, 1),
    "set of rows": ("default/cheap", {"params": {"most": 100}}, [{"id": 1, "name": "North"}, {"id": 2, "name": "South"}], 2),
    "no rows": ("default/cheap", {"params": {"most": 0}}, [], 0),
    "void": ("default/nothing", {}, None, 0),
    "another namespace": ("archive/size", {"params": {}}, 2, 1),
    "the schema's own name": ("public/add", {"params": {"a": 1, "b": 1}, "async": False}, 2, 1),
}


@pytest.mark.parametrize("name", RESULTS)
def test_result_at_once(native: Server, name: str) -> None:
    """execution_id, status, result, rows_returned and duration_ms, without a credential too."""
    path, body, result, rows = RESULTS[name]
    answer = send(native, f"POST {RPC}/{path}\n\n{json.dumps(body)}", section="2.5", key="none")
    assert answer.status == 200
    found = answer.json
    assert UUID(found.pop("execution_id"))
    assert 0 <= found.pop("duration_ms") < 30_000
    assert found == {"status": "completed", "rows_returned": rows, "result": result}


def background(server: Server, name: str, params: dict[str, Any], key: str = "user") -> str:
    """Begin a function in the background; its id."""
    answer = send(server, f"POST {RPC}/default/{name}\n\n{json.dumps({'params': params, 'async': True})}", section="2.5", key=key)
    assert answer.status == 202, answer.body
    assert answer.json["status"] == "pending"
    return str(answer.json["execution_id"])


def ended(server: Server, execution: str, key: str = "user") -> dict[str, Any]:
    """The execution once it is no longer under way."""
    ends_at = time.monotonic() + 20
    while True:
        found = send(server, f"GET {RPC}/executions/{execution}", section="2.5", key=key).json
        if found["status"] not in ("pending", "running") or time.monotonic() > ends_at:
            return found
        time.sleep(0.05)


def test_background_result(native: Server) -> None:
    """202 at once, although the function sleeps; then running, then completed with its result."""
    began = time.monotonic()
    execution = background(native, "slow", {"seconds": 1.0})
    assert time.monotonic() - began < 0.9
    first = send(native, f"GET {RPC}/executions/{execution}", section="2.5", key="user")
    assert (first.status, first.json["status"] in ("pending", "running"), first.json["result"]) == (200, True, None)
    found = ended(native, execution)
    assert (found["status"], found["result"], found["rows_returned"]) == ("completed", "slept", 1)
    assert (found["procedure_name"], found["namespace"]) == ("slow", "default")
    assert 900 <= found["duration_ms"] < 20_000


def test_background_set_and_void(native: Server) -> None:
    """Sets, scalars and void have the same result as at once."""
    assert ended(native, background(native, "cheap", {"most": 6}))["result"] == [{"id": 2, "name": "South"}]
    found = ended(native, background(native, "nothing", {}))
    assert (found["status"], found["result"]) == ("completed", None)


def test_background_write_is_one_transaction_with_its_record(native: Server) -> None:
    """The row is there when the execution is completed; a failing function leaves neither row nor result."""
    found = ended(native, background(native, "put_shop", {"id": 77, "name": "Night"}))
    assert (found["status"], found["result"]) == ("completed", 77)
    assert native.sql("select name from shops where id = 77") == [("Night",)]
    native.sql("delete from shops where id = 77")
    failed = ended(native, background(native, "broken", {}))
    assert (failed["status"], failed["result"], failed["error"]) == ("failed", None, "No more shops")
    assert native.sql("select count(*) from shops where id = 99") == [(0,)]


def test_background_beyond_the_roles_time_is_a_timeout(native: Server) -> None:
    """anon has three seconds, in the background too."""
    found = ended(native, background(native, "slow", {"seconds": 9.0}, key="anon"), key="anon")
    assert found["status"] == "timeout"


def test_logs_behind_a_line(native: Server) -> None:
    """``logs`` (the SDK's name) and ``entries`` (the reference's) are the same lines; ``after`` leaves out what was read."""
    execution = background(native, "nothing", {})
    ended(native, execution)
    answer = send(native, f"GET {RPC}/executions/{execution}/logs", section="2.5", key="user").json
    assert [line["message"] for line in answer["logs"]] == ["Execution queued", "Execution started", "Execution completed"]
    assert [line["line_number"] for line in answer["logs"]] == [1, 2, 3]
    assert (answer["entries"], answer["count"]) == (answer["logs"], 3)
    later = send(native, f"GET {RPC}/executions/{execution}/logs?after=2", section="2.5", key="user").json
    assert [line["line_number"] for line in later["logs"]] == [3]
    assert send(native, f"GET {RPC}/executions/{execution}/logs?after=x", section="2.5", key="user").status == 400


def test_too_many_in_the_background(native: Server) -> None:
    """The 21st execution of one caller that is under way is 429."""
    key = native.token(str(uuid4()))
    first = background(native, "nothing", {}, key=key)
    native.root_sql(
        "insert into platform.executions (id, owner, namespace, procedure, ends_at) select gen_random_uuid(), e.owner, 'default', 'slow', "
        f"now() + interval '1 hour' from platform.executions e, generate_series(1, 20) where e.id = '{first}'"
    )
    answer = send(native, f'POST {RPC}/default/nothing\n\n{{"async":true}}', section="2.5", key=key)
    assert (answer.status, answer.json["code"]) == (429, "TOO_MANY_REQUESTS")


def test_procedures_name_what_the_role_may_call(native: Server) -> None:
    """A function without EXECUTE for the role is not in the list."""
    native.sql("create or replace function secret_sum() returns int language sql security definer as $$ select 1 $$")
    found = send(native, f"GET {RPC}/procedures", section="2.5", key="none").json
    names = {each["name"] for each in found["procedures"]}
    assert {"add", "cheap", "size", "slow"} <= names
    assert "secret_sum" not in names
    assert found["count"] == len(found["procedures"])
    add = next(each for each in found["procedures"] if each["name"] == "add")
    assert (add["namespace"], [each["required"] for each in add["arguments"]]) == ("default", [True, False])


def test_tables_lists_what_the_role_may_use(native: Server) -> None:
    """``GET /tables/`` names tables and views with the role's columns and rights, and nothing it has no right on."""
    native.sql("create table unseen (id int); revoke all on unseen from anon")
    found = {(each["schema"], each["name"]): each for each in send(native, "GET /api/v1/tables/", section="2.5").json}
    assert found["public", "shops"] == {
        "schema": "public", "name": "shops", "type": "table", "columns": ["id", "name"], "primary_key": ["id"],
        "privileges": ["select", "insert", "update", "delete"],
    }  # fmt: skip
    assert (found["public", "item_names"]["type"], found["public", "item_names"]["privileges"]) == ("view", ["select"])
    assert ("public", "unseen") not in found
    assert ("archive", "items") in found

"""The rules of the native SDK (contract-native 0.1) against a started server, with a client written after them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.native_sdk import Client, SdkError
from tests.support.server import Server

SCHEMA = """
drop table if exists tasks;
create table tasks (id int primary key, title text not null, done boolean, tags text[]);
create policy everybody on tasks using (true) with check (true);
insert into tasks select n, 'task ' || n, n % 2 = 0, array['t' || n] from generate_series(1, 57) n;
create function tasks_done() returns bigint language sql stable as $$ select count(*) from tasks where done $$;
"""


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    """The SDK with the anon key, on a base URL with a trailing slash."""
    server.sql(SCHEMA)
    yield Client(server.url + "/", server.anon_key)
    server.sql("drop function tasks_done(); drop table tasks")


def test_reads_with_filters_order_range_and_count(client: Client) -> None:
    """The page, and the count as the integer that ends Content-Range."""
    rows, total = client.table("tasks").select("id,title", count="exact").order("id").range(0, 9).execute()
    assert (len(rows), rows[0], total) == (10, {"id": 1, "title": "task 1"}, 57)
    rows, _ = client.table("public.tasks").select("id").where("id", "in", [1, 2, 99]).where("done", "is", True).execute()
    assert rows == [{"id": 2}]
    assert client.table("tasks").where("tags", "cs", ["t5"]).single()["id"] == 5
    assert client.table("tasks").where("done", "eq", False).count() == 29


def test_a_long_query_is_sent_as_a_body(client: Client) -> None:
    """Above 4,096 characters the same query goes by POST and has the same answer."""
    ids = list(range(1, 1000))
    rows, total = (
        client.table("tasks").select("id", count="exact").where("id", "in", ids).order("id", ascending=False).range(0, 1).execute()
    )
    assert (rows, total) == ([{"id": 57}, {"id": 56}], 57)


def test_writes(client: Client) -> None:
    """Insert one and many, upsert, update, delete, each with the body the SDK takes as data."""
    assert client.table("tasks").select("id").insert({"id": 100, "title": "new"})["title"] == "new"
    assert [row["id"] for row in client.table("tasks").insert([{"id": 101, "title": "a"}, {"id": 102, "title": "b", "done": True}])] == [
        101,
        102,
    ]
    assert client.table("tasks").upsert({"id": 100, "title": "again"})["title"] == "again"
    assert [row["title"] for row in client.table("tasks").where("id", "gte", 101).update({"title": "x"})] == ["x", "x"]
    client.table("tasks").where("id", "gte", 100).delete()
    with pytest.raises(LookupError, match="PGRST116"):
        client.table("tasks").where("id", "eq", 100).single()


def test_rpc_unwraps_the_result(client: Client) -> None:
    """The namespace is ``default``."""
    assert client.rpc("tasks_done") == 28


def test_errors_are_sentences(client: Client, server: Server) -> None:
    """``error`` of the body is the text, the status is kept, the whole body is ``details``."""
    with pytest.raises(SdkError, match="duplicate key") as caught:
        client.table("tasks").insert({"id": 1, "title": "again"})
    assert (caught.value.status, caught.value.details["code"]) == (409, "DUPLICATE_KEY")
    with pytest.raises(SdkError) as caught:
        Client(server.url, "not-a-key").table("tasks").execute()
    assert caught.value.status == 401


def test_tenant_header(client: Client, server: Server) -> None:
    """The key's own tenant by name is a narrowing; another is 404."""
    assert Client(server.url, server.anon_key, "default").rpc("tasks_done") == 28
    with pytest.raises(SdkError) as caught:
        Client(server.url, server.anon_key, "nobody").rpc("tasks_done")
    assert caught.value.status == 404


def test_browsers_may_read_the_count(client: Client, server: Server) -> None:
    """CORS exposes Content-Range and lets every header of the SDK through."""
    answer = server.get("/api/v1/tables/tasks?limit=1", headers={"origin": "http://app.example"})
    assert "content-range" in answer.headers["access-control-expose-headers"].lower()
    asked = {
        "origin": "http://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,x-fb-tenant",
    }
    allowed = server.request("OPTIONS", "/api/v1/tables/tasks", key=None, headers=asked).headers["access-control-allow-headers"].lower()
    assert {"apikey", "authorization", "content-type", "x-fb-tenant"} <= {name.strip() for name in allowed.split(",")}

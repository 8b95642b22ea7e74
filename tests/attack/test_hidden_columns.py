"""Threats E41, E42: a column the caller may not read can be used in no clause; a count is the count of the rows it may list."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.support.server import Server

CANARY = "hidden-canary"
SCHEMA = f"""
drop table if exists team cascade;
create table team (id int primary key, name text);
create table people (id int primary key, name text, secret text unique, team_id int references team (id));
create policy everybody on team using (true);
create policy everybody on people using (true) with check (true);
revoke all on people from anon;
grant select (id, name, team_id), insert (id, name), update (name), delete on people to anon;
insert into team values (1, 'red');
insert into people values (1, 'ann', '{CANARY}', 1), (2, 'bob', 'other', 1);
"""

CLAUSES: dict[str, tuple[str, str, object, dict[str, str]]] = {
    "select": ("GET", "/rest/v1/people?select=id,COLUMN", None, {}),
    "alias": ("GET", "/rest/v1/people?select=x:COLUMN", None, {}),
    "cast": ("GET", "/rest/v1/people?select=COLUMN::text", None, {}),
    "json_path": ("GET", "/rest/v1/people?select=COLUMN->>a", None, {}),
    "filter": ("GET", f"/rest/v1/people?select=id&COLUMN=eq.{CANARY}", None, {}),
    "filter_like": ("GET", "/rest/v1/people?select=id&COLUMN=like.h*", None, {}),
    "filter_not": ("GET", "/rest/v1/people?select=id&COLUMN=not.is.null", None, {}),
    "filter_json": ("GET", "/rest/v1/people?select=id&COLUMN->>a=eq.1", None, {}),
    "logic": ("GET", f"/rest/v1/people?select=id&or=(id.eq.9,COLUMN.eq.{CANARY})", None, {}),
    "order": ("GET", "/rest/v1/people?select=id&order=COLUMN", None, {}),
    "aggregate": ("GET", "/rest/v1/people?select=COLUMN.max()", None, {}),
    "embed": ("GET", "/rest/v1/team?select=id,people(COLUMN)", None, {}),
    "embed_filter": ("GET", f"/rest/v1/team?select=id,people(id)&people.COLUMN=eq.{CANARY}", None, {}),
    "embed_order": ("GET", "/rest/v1/team?select=id,people(id)&people.order=COLUMN", None, {}),
    "returning": ("POST", "/rest/v1/people?select=id,COLUMN", {"id": 7, "name": "x"}, {"prefer": "return=representation"}),
    "update_filter": ("PATCH", f"/rest/v1/people?COLUMN=eq.{CANARY}", {"name": "x"}, {}),
    "delete_filter": ("DELETE", f"/rest/v1/people?COLUMN=eq.{CANARY}", None, {}),
    "native_select": ("GET", "/api/v1/tables/people?select=id,COLUMN", None, {}),
    "native_filter": ("GET", f"/api/v1/tables/people?select=id&COLUMN=eq.{CANARY}", None, {}),
    "native_order": ("GET", "/api/v1/tables/people?select=id&order=COLUMN", None, {}),
}


@pytest.fixture(scope="module")
def people(server: Server) -> Iterator[Server]:
    """The shipped server with a column nobody but its owner may read."""
    server.sql("drop table if exists people; " + SCHEMA)
    yield server
    server.sql("drop table people, team cascade")


def ask(server: Server, clause: str, column: str, **headers: str) -> httpx.Response:
    """One request with ``column`` in the clause."""
    method, path, body, more = CLAUSES[clause]
    return server.request(method, path.replace("COLUMN", column), headers={**more, **headers}, **({} if body is None else {"json": body}))


def shape(answer: httpx.Response, column: str) -> tuple[int, str]:
    """Status and body without the column's name and the request's id."""
    body = answer.json()
    body.pop("request_id", None) if isinstance(body, dict) else None
    return answer.status_code, str(body).replace(column, "COLUMN")


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_hidden_column_is_an_unknown_column(people: Server, clause: str) -> None:
    """Used in any clause, a column without SELECT gives the very answer of a column that is not there, and changes nothing."""
    hidden, unknown = ask(people, clause, "secret"), ask(people, clause, "sekret")
    assert hidden.status_code >= 400
    assert shape(hidden, "secret") == shape(unknown, "sekret")
    assert CANARY not in hidden.text.replace(f"eq.{CANARY}", "")
    assert people.sql("select count(*), count(*) filter (where name = 'x') from people") == [(2, 0)]


@pytest.mark.parametrize(
    "path", ["/rest/v1/people", "/rest/v1/people?select=*", "/api/v1/tables/people", "/rest/v1/team?select=*,people(*)"]
)
def test_a_star_leaves_hidden_columns_out(people: Server, path: str) -> None:
    """``*`` is what the caller may read."""
    answer = people.get(path)
    assert answer.status_code == 200
    assert "ann" in answer.text
    assert CANARY not in answer.text
    assert "secret" not in answer.text


@pytest.mark.twin("data-plane:columns")
def test_twin_that_knows_every_column_tells(twin: Server) -> None:
    """With a data plane that knows hidden columns the two answers differ, so a name can be guessed."""
    twin.sql("drop table if exists people; " + SCHEMA)
    off = {"x-twin-without": "data-plane:columns"}
    assert shape(ask(twin, "filter", "secret", **off), "secret") != shape(ask(twin, "filter", "sekret", **off), "sekret")


def test_counts_are_counts_of_visible_rows(server: Server) -> None:
    """Exact count, count() and sum() of a user are those of the rows the user can list (threat E42)."""
    alice, bob = str(uuid.uuid4()), str(uuid.uuid4())
    server.sql(
        "drop table if exists ledger; create table ledger (id int primary key, owner uuid, amount int); "
        "create policy own on ledger using (owner = (select auth.uid())); "
        f"insert into ledger select n, case when n % 3 = 0 then '{alice}'::uuid else '{bob}'::uuid end, n from generate_series(1, 3000) n"
    )
    for user, expected in ((alice, 1000), (bob, 2000)):
        answer = server.get("/rest/v1/ledger?select=id&limit=1", key=server.token(user), headers={"prefer": "count=exact"})
        assert answer.headers["content-range"].endswith(f"/{expected}")
    answer = server.get("/rest/v1/ledger?select=id", headers={"prefer": "count=exact"})
    assert (answer.json(), answer.headers["content-range"]) == ([], "*/0")
    assert (
        server.get("/rest/v1/ledger?select=id&limit=1", key="service", headers={"prefer": "count=exact"}).headers["content-range"]
        == "0-0/3000"
    )

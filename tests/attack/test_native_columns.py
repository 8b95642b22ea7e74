"""Threats E41 and E44 on the native surface: a hidden column does not exist, in any clause; errors tell no values and no hidden names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.server import Server

T = "/api/v1/tables"
CANARY = "canary-5d21c4"
SCHEMA = f"""
drop table if exists vault, vaults_open cascade;
create table vault (id int primary key, name text unique, pin text not null check (pin <> 'zero'), place extensions.vector(2), tags text[], kind text);
create policy everybody on vault using (true) with check (true);
insert into vault values (1, 'front', '{CANARY}', '[1,0]', '{{a}}', 'x'), (2, 'back', '{CANARY}-2', '[0,1]', '{{b}}', 'y');
revoke select on vault from anon;
grant select (id, name) on vault to anon;
"""
CLAUSES = {
    "select": "select={0}",
    "select *, cast": "select={0}::text",
    "alias": "select=shown:{0}",
    "filter": "{0}=eq.x",
    "old form": "{0}.eq=x",
    "list": "{0}=in.(x)",
    "containers": "{0}=cs.(x)",
    "json path": "{0}->a=eq.x",
    "tree": "or=({0}.eq.x,id.eq.1)",
    "order": "order={0}.desc",
    "vector order": "order={0}.vec_cos.[1,0].asc",
    "vector filter": "{0}=vec_cos.1,[1,0]",
    "geometry filter": '{0}=st_within.{{"type":"Point","coordinates":[0,0]}}',
    "group_by": "group_by={0}",
    "aggregate": "select=count({0})",
    "named aggregate": "select=min({0})",
    "cursor": "cursor_column={0}",
    "bare name": "select=id&{0}=5&id=eq.1",
    "truncate": "select={0}&truncate=3",
}


@pytest.fixture(scope="module")
def vault(server: Server) -> Iterator[Server]:
    """A table of which anon may read two columns."""
    server.sql(SCHEMA)
    yield server
    server.sql("drop table vault cascade")


@pytest.mark.parametrize("hidden", ["pin", "place", "tags", "kind"])
@pytest.mark.parametrize("clause", CLAUSES)
def test_hidden_column_is_an_unknown_column(vault: Server, clause: str, hidden: str) -> None:
    """The same status and body as for a name that no table has, and never the canary."""
    answers = [vault.get(f"{T}/vault", params=_pairs(CLAUSES[clause].format(name))) for name in (hidden, "nowhere")]
    shown = [each.text.replace(hidden, "?").replace("nowhere", "?").replace(each.headers["x-request-id"], "") for each in answers]
    assert answers[0].status_code == answers[1].status_code
    assert shown[0] == shown[1]
    assert CANARY not in answers[0].text


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]


def test_the_same_clauses_work_on_a_column_that_may_be_read(vault: Server) -> None:
    """The positive control: otherwise every clause above could be refused for another reason."""
    for clause in ("select={0}", "{0}=eq.x", "{0}.eq=x", "or=({0}.eq.x,id.eq.1)", "order={0}.desc", "group_by={0}", "cursor_column={0}"):
        assert vault.get(f"{T}/vault", params=_pairs(clause.format("name"))).status_code == 200, clause


def test_body_query_hides_the_same_columns(vault: Server) -> None:
    """``POST …/query`` with a hidden column in each member is the unknown column's answer."""
    for member in (
        {"select": "pin"},
        {"filters": [{"column": "pin", "operator": "eq", "value": 1}]},
        {"orFilters": ["pin.eq.1"]},
        {"betweenFilters": [{"column": "pin", "min": 1, "max": 2}]},
        {"order": [{"column": "pin"}]},
        {"order": [{"column": "place", "vectorOp": "vec_l2", "vectorValue": [1, 0]}]},
        {"groupBy": ["pin"]},
    ):
        answers = [
            vault.post(f"{T}/vault/query", content=json.dumps(member).replace("pin", name).replace("place", name))
            for name in ("pin", "nowhere")
        ]
        shown = [each.text.replace("pin", "?").replace("nowhere", "?").replace(each.headers["x-request-id"], "") for each in answers]
        assert shown[0] == shown[1]
        assert answers[0].status_code == 400


WRITES = {
    "duplicate": ("POST", "vault", {"id": 3, "name": "front", "pin": f"{CANARY}-3"}),
    "duplicate key": ("POST", "vault", {"id": 1, "name": "third", "pin": f"{CANARY}-3"}),
    "check": ("POST", "vault", {"id": 3, "name": "third", "pin": "zero"}),
    "not null": ("POST", "vault", {"id": 3, "name": "third"}),
    "update to a duplicate": ("PATCH", "vault?id=eq.2", {"name": "front"}),
}


@pytest.mark.parametrize("name", WRITES)
def test_refused_writes_tell_no_row_value(vault: Server, name: str) -> None:
    """The failing row, its neighbours and the values in it are in no error body."""
    method, path, body = WRITES[name]
    answer = vault.request(method, f"{T}/{path}", json=body, headers={"prefer": "return=minimal"})
    assert answer.status_code in (400, 409)
    assert CANARY not in answer.text
    assert "front" not in answer.text
    assert "Failing row" not in answer.text


def test_hints_name_no_hidden_table(vault: Server) -> None:
    """A table the role has no right on is named by no hint."""
    vault.sql("create table vaults_open (id int); revoke all on vaults_open from anon")
    assert "vaults_open" not in vault.get(f"{T}/vaults_opem").text
    assert "vaults_open" not in vault.get(f"{T}").text


def test_twin_with_select_granted_shows_the_column(vault: Server) -> None:
    """With the column's grant given, the same select shows the canary: the grant is what hides it."""
    vault.sql("grant select (pin) on vault to anon")
    try:
        assert CANARY in vault.get(f"{T}/vault?select=pin").text
    finally:
        vault.sql("revoke select (pin) on vault from anon")

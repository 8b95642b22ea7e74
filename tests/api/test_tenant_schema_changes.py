"""A change in a tenant's database is seen by its next request, with nobody saying NOTIFY: the schema epoch travels with every request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server
from tests.support.tenant import TenantHandle, make_tenants

CHANGES: tuple[tuple[str, str, str, tuple[int, object]], ...] = (
    ("a new table", "create table things (id int primary key); create policy all_of_it on things using (true)", "/things", (200, [])),
    ("a new column", "alter table things add label text default 'x'; insert into things values (1)", "/things", (200, [{"id": 1, "label": "x"}])),
    ("a renamed column", "alter table things rename label to name", "/things?select=name", (200, [{"name": "x"}])),
    ("a dropped column", "alter table things drop name", "/things", (200, [{"id": 1}])),
    ("a new function", "create function how_many() returns int language sql stable as 'select 1'", "/rpc/how_many", (200, 1)),
    ("a replaced function", "create or replace function how_many() returns int language sql stable as 'select 2'", "/rpc/how_many", (200, 2)),
    (
        "a function with other arguments",
        "drop function how_many(); create function how_many(n int) returns int language sql stable as 'select n'",
        "/rpc/how_many?n=3",
        (200, 3),
    ),
    ("a policy", "drop policy all_of_it on things; create policy none_of_it on things using (false)", "/things", (200, [])),
    ("a right", "revoke select on things from anon", "/things", (401, None)),
    ("a dropped table", "drop table things", "/things", (404, None)),
)  # fmt: skip


@pytest.fixture(scope="module")
def tenants(server: Server) -> Iterator[list[TenantHandle]]:
    """One with a database of its own, and one with a schema."""
    made = make_tenants(server, ("changing", "database"), ("changing-schema", "schema"))
    yield made
    for tenant in made:
        assert server.request("DELETE", f"/api/v1/admin/tenants/{tenant.id}?hard=true", key="service").status_code == 204


@pytest.mark.parametrize("number", [0, 1], ids=["database", "schema"])
def test_a_change_of_a_tenants_schema_is_seen_by_its_next_request(server: Server, tenants: list[TenantHandle], number: int) -> None:
    """Tables, columns, functions, policies, rights: one after the other, the very next answer has each."""
    tenant = tenants[number]
    for name, change, path, (status, body) in CHANGES:
        tenant.sql(f"set search_path = {tenant.schema}; {change}")
        answer = server.get(f"/rest/v1{path}", key=str(tenant.keys["anon_key"]))
        assert (name, answer.status_code) == (name, status), answer.text
        assert body is None or answer.json() == body, name

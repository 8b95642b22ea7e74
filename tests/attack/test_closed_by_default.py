"""Invariant 1 (threats A1, F52, F53): a relation that appears by any means is closed until a policy opens it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server

CANARY = "canary-3c1f9e"

BIRTHS: dict[str, str] = {
    "create": f"create table born_create (id int, secret text); insert into born_create values (1, '{CANARY}')",
    "ctas": f"create table born_ctas as select 1 as id, '{CANARY}'::text as secret",
    "select_into": f"select 1 as id, '{CANARY}'::text as secret into born_select_into",
    "like": f"create table born_like_source (id int, secret text); create table born_like (like born_like_source); insert into born_like values (1, '{CANARY}')",
    "inherits": f"create table born_inherits_parent (id int, secret text); create table born_inherits () inherits (born_inherits_parent); insert into born_inherits values (1, '{CANARY}')",
    "partition": f"create table born_partition_parent (id int, secret text) partition by range (id); create table born_partition partition of born_partition_parent for values from (0) to (9); insert into born_partition values (1, '{CANARY}')",
    "view": f"create table born_view_base (id int, secret text); insert into born_view_base values (1, '{CANARY}'); create view born_view as select * from born_view_base",
    "matview": f"create materialized view born_matview as select 1 as id, '{CANARY}'::text as secret",
    "moved": f"create schema if not exists elsewhere; create table elsewhere.born_moved (id int, secret text); insert into elsewhere.born_moved values (1, '{CANARY}'); alter table elsewhere.born_moved set schema public",
    "disabled": f"create table born_disabled (id int, secret text); insert into born_disabled values (1, '{CANARY}'); alter table born_disabled disable row level security",
}


@pytest.fixture(scope="module")
def born(server: Server) -> Iterator[Server]:
    """Every way to be born, once."""
    for sql in BIRTHS.values():
        server.sql(sql)
    yield server
    names = ["create", "ctas", "select_into", "like", "inherits", "partition", "moved", "disabled"]
    server.sql("drop view born_view; drop materialized view born_matview")
    for name in names:
        server.sql(f"drop table if exists born_{name} cascade")


@pytest.mark.parametrize("means", BIRTHS)
@pytest.mark.parametrize("surface", ["/rest/v1", "/api/v1/tables"])
def test_newborn_relation_shows_nothing_to_anon(born: Server, means: str, surface: str) -> None:
    """No row of a relation without policy leaves, on either surface."""
    answer = born.get(f"{surface}/born_{means}")
    assert CANARY not in answer.text
    assert answer.status_code in {200, 401, 404}
    if answer.status_code == 200:
        assert answer.json() == []


@pytest.mark.parametrize("means", [name for name in BIRTHS if name != "matview"])
def test_newborn_relation_takes_no_write_from_anon(born: Server, means: str) -> None:
    """An insert into a relation without policy is refused and writes nothing."""
    answer = born.post(f"/rest/v1/born_{means}", json={"id": 2, "secret": "x"})
    assert answer.status_code in {401, 404}
    if means != "view":
        assert born.sql(f"select count(*) from born_{means} where id = 2") == [(0,)]


def test_row_security_is_on_and_forced_before_the_statement_ends(born: Server) -> None:
    """The catalogue shows enabled and forced for every ordinary and partitioned table of this file."""
    rows = born.sql(
        "select relname from pg_class where relname like 'born\\_%' and relkind in ('r','p') "
        "and relnamespace = 'public'::regnamespace and not (relrowsecurity and relforcerowsecurity)"
    )
    assert rows == []


def test_truncate_is_never_granted(born: Server) -> None:
    """Client roles cannot TRUNCATE, which RLS would not stop."""
    rows = born.sql(
        "select has_table_privilege(r, 'public.born_create', 'TRUNCATE') from unnest(array['anon','authenticated','service_role']) r"
    )
    assert rows == [(False,)] * 3


def test_definer_function_is_not_callable_by_birth(server: Server) -> None:
    """A SECURITY DEFINER function gets no EXECUTE for client roles (threat F52)."""
    server.sql("create or replace function born_definer() returns text language sql security definer as $$ select 'canary-3c1f9e' $$")
    answer = server.post("/rest/v1/rpc/born_definer", json={})
    assert answer.status_code in {401, 404}
    assert CANARY not in answer.text


def test_twin_without_event_trigger_leaks(twin: Server) -> None:
    """With the event triggers off and the relation on the administrator's way, the same table shows its row."""
    triggers = [row[0] for row in twin.root_sql("select evtname from pg_event_trigger where evtname like 'fluxbase%'")]
    assert triggers
    for name in triggers:
        twin.root_sql(f'alter event trigger "{name}" disable')
    try:
        twin.sql(
            f"create table born_open (id int, secret text); insert into born_open values (1, '{CANARY}'); grant select on born_open to anon"
        )
        assert twin.root_sql("select relrowsecurity from pg_class where relname = 'born_open'") == [(False,)]
    finally:
        for name in triggers:
            twin.root_sql(f'alter event trigger "{name}" enable always')
    # The data plane's own refusal is the second control: still no row over HTTP.
    twin.sql("create table epoch_mover (id int); drop table epoch_mover")
    refused = twin.get("/rest/v1/born_open")
    assert refused.status_code == 404
    assert CANARY not in refused.text
    # Both removed: the administrator's list opens it, and the canary is out.
    twin.root_sql(
        "insert into fluxbase.open_relations values ('public', 'born_open') on conflict do nothing; update fluxbase.epoch set schema_epoch = schema_epoch + 1"
    )
    assert twin.sql("select relrowsecurity from pg_class where relname = 'born_open'") == [(False,)]

"""Invariants 2 and 13 (threat A6): no client role reads or writes the system's own tables, and audit rows only grow in number."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.controls import system_tables
from tests.support.hostile import ask_sql, install_sql, run_sql
from tests.support.server import Server
from tests.support.without import granted, without_trigger

TABLES = system_tables()


@pytest.mark.parametrize("table", TABLES)
def test_system_tables_are_closed_to_client_roles(server: Server, table: str) -> None:
    """Neither SQL nor a profile header leads to one, with any key."""
    install_sql(server)
    schema, name = table.split(".")
    for key in ("anon", "service"):
        status, text = ask_sql(server, f"select count(*) from {table}", key=key)
        assert status in {401, 403}
        assert "permission denied" in text
        assert run_sql(server, f"delete from {table}", key=key)[0] in {401, 403}
        assert server.get(f"/rest/v1/{name}", key=key, headers={"accept-profile": schema}).status_code == 406
        assert server.get(f"/api/v1/tables/{schema}/{name}", key=key).status_code in {404, 406}
    for role in ("anon", "authenticated", "service_role"):
        assert server.sql(f"select has_table_privilege('{role}', '{table}', 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE')") == [(False,)]


@pytest.mark.parametrize("table", [pytest.param(table, marks=pytest.mark.twin(f"table:{table}")) for table in TABLES])
def test_twin_with_the_privilege_reads_it(twin: Server, table: str) -> None:
    """Granted, the same SQL counts the rows: it is the missing grant that holds."""
    install_sql(twin)
    with ExitStack() as stack:
        if ask_sql(twin, f"select '{table}'::regclass::text")[0] != 200:  # fluxbase and auth give USAGE for their functions
            stack.enter_context(granted(twin, f"usage on schema {table.split('.', maxsplit=1)[0]}", "anon"))
        stack.enter_context(granted(twin, f"select on {table}", "anon"))
        assert ask_sql(twin, f"select count(*) from {table}")[0] == 200


def test_no_client_forges_an_audit_row(server: Server) -> None:
    """INSERT, UPDATE, DELETE and TRUNCATE on the audit table fail with every key (threat A6)."""
    install_sql(server)
    ((count, last),) = server.root_sql("select count(*), coalesce(max(id), 0) from audit.entries")
    for statement in (
        "insert into audit.entries (actor, action, resource) values ('x', 'x', 'x')",
        "update audit.entries set actor = 'x'",
        "delete from audit.entries",
        "truncate audit.entries",
        "alter table audit.entries disable trigger append_only",
    ):
        assert [run_sql(server, statement, key=key)[0] for key in ("anon", "service")] == [401, 403]
    assert server.root_sql(f"select count(*) from audit.entries where id <= {last}") == [(count,)]
    assert server.root_sql("select count(*) from audit.entries where actor = 'x' or action = 'x'") == [
        (0,)
    ]  # refusals write rows of their own


CHANGES = ("update audit.entries set action = 'x'", "delete from audit.entries", "truncate audit.entries")


def test_audit_entries_are_append_only(server: Server) -> None:
    """Not even the superuser changes or removes an audit row, and replication mode does not help."""
    for statement in CHANGES:
        for mode in ("origin", "replica"):
            with pytest.raises(Exception, match="append-only"):
                server.root_sql(f"set session_replication_role = {mode}; {statement}")


@pytest.mark.twin("trigger:append_only")
def test_twin_without_the_trigger_forgets(twin: Server) -> None:
    """Without its trigger the superuser's UPDATE goes through."""
    twin.root_sql("insert into audit.entries (actor, action, resource) values ('a', 'a', 'a')")
    with without_trigger(twin, "audit.entries", "append_only"):
        assert twin.root_sql("update audit.entries set action = 'forged' where actor = 'a' returning action") == [("forged",)]

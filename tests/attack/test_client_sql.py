"""Invariants 2 and 3 against a client with SQL power (threats F48, F50, F51, F55, F57).

A careless invoker function runs what it is given. Whatever a client role can say to PostgreSQL with it, it changes no schema,
becomes no other role, reads no catalogue of others' doings, and does not spoil the login it came through.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.hostile import ALICE, BOB, ask_sql, install_sql, run_sql
from tests.support.server import Server
from tests.support.tenant import cluster_sql
from tests.support.without import changed_function, granted, line_removed, without_event_trigger

VAULT = f"""
drop table if exists vault cascade;
create table vault (id int primary key, owner uuid, text text);
create policy own on vault using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create policy shared on vault for select to authenticated using (id = 3);
create policy not_for_aal1 on vault as restrictive to authenticated using (coalesce(auth.jwt() ->> 'aal', 'aal1') = 'aal2' or id <> 3);
insert into vault values (1, '{ALICE}', 'alices-canary'), (2, '{BOB}', 'bobs-canary'), (3, null, 'shared-canary');
"""


def open_vault(server: Server) -> None:
    """The tables and functions under attack."""
    install_sql(server)
    server.sql(VAULT)


@pytest.fixture(scope="module")
def vault(server: Server) -> Iterator[Server]:
    """The shipped server with the vault."""
    open_vault(server)
    yield server
    server.sql("drop table vault cascade")


def catalogue(server: Server) -> list[tuple[object, ...]]:
    """What no client may change: rights, policies, roles, defaults, triggers."""
    return server.root_sql(
        "select 'class', oid::text, relacl::text || relrowsecurity::text || relowner::text from pg_class where oid > 16384 "
        "union all select 'proc', oid::text, proacl::text || prosecdef::text from pg_proc where oid > 16384 "
        "union all select 'policy', oid::text, polname || polroles::text || pg_get_expr(polqual, polrelid) from pg_policy "
        "union all select 'schema', oid::text, nspname || nspacl::text from pg_namespace "
        "union all select 'role', oid::text, rolname || rolsuper::text || rolbypassrls::text || rolcreaterole::text from pg_roles "
        "union all select 'member', oid::text, roleid::text || member::text from pg_auth_members "
        "union all select 'event', oid::text, evtname || evtenabled::text from pg_event_trigger "
        "union all select 'default', oid::text, defaclacl::text from pg_default_acl "
        "union all select 'comment', objoid::text, description from pg_shdescription union all select 'db', oid::text, datacl::text from pg_database "
        "order by 1, 2"
    )


STATEMENTS = [
    "drop owned by authenticated", "drop owned by current_user cascade",
    "alter default privileges grant all on tables to anon", "grant all on vault to anon", "revoke all on vault from authenticated",
    "create table x (a int)", "create temp table x (a int)", "select 1 as a into x", "select 1 as a into temp x", "create schema x",
    "create view x as select 1", "create materialized view x as select 1", "create sequence x", "create type x as enum ('a')", "create domain x as int",
    "create function x() returns int language sql return 1", "create function pg_temp.auth() returns int language sql return 1",
    "create operator === (leftarg = int, rightarg = int, function = int4eq)", "create extension hstore",
    "create policy x on vault using (true)", "alter policy own on vault using (true)", "drop policy own on vault", "alter table vault disable row level security",
    "alter table vault no force row level security", "alter table vault owner to current_user", "drop table vault", "truncate vault",
    "create trigger x before insert on vault execute function suppress_redundant_updates_trigger()", "create rule x as on insert to vault do also notify x",
    "create index on vault (id)", "create statistics x on id, text from vault", "comment on table vault is 'x'", "comment on role authenticated is 'x'",
    "alter function ask_sql(text) security definer", "alter function auth.uid() volatile", "drop function ask_sql(text)",
    "alter event trigger fluxbase_ddl disable", "drop event trigger fluxbase_client_ddl", "create role x", "drop role anon", "grant authenticated to anon",
    "grant service_role to authenticated", "alter role service_role login", "alter database fluxbase set search_path = x", "create publication x for all tables",
    "create server x foreign data wrapper postgres_fdw", "import foreign schema x from server y into public", "set session authorization service_role",
    "set role service_role", "set role fluxbase_owner", "set session_replication_role = replica", "set event_triggers = off", "set log_statement = 'all'",
    "set local role service_role", "copy vault to '/tmp/x'", "copy vault to program 'id'", "copy vault from program 'id'", "load 'plpgsql'", "checkpoint",
    "alter system set log_statement = 'all'", "do $x$ begin execute 'reset role'; execute 'drop owned by authenticated'; end $x$",
    "do $x$ begin execute 'reset role'; execute 'set role service_role'; end $x$", "security label on table vault is 'x'", "cluster vault", "reindex table vault",
]  # fmt: skip


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_statement_of_a_client_changes_the_schema(vault: Server, role: str) -> None:
    """Each is refused, and the catalogue is what it was."""
    key = "anon" if role == "anon" else vault.token(ALICE)
    before = catalogue(vault)
    run_sql(vault, "reassign owned by current_user to current_user", key=key)  # nothing is owned, so nothing happens
    taken = [statement for statement in STATEMENTS if run_sql(vault, statement, key=key)[0] < 400]
    assert taken == []
    assert catalogue(vault) == before


def test_policies_that_name_a_role_cannot_be_left_by_it(vault: Server) -> None:
    """DROP OWNED BY itself does not take ``authenticated`` out of a restrictive policy (threat F48)."""
    run_sql(vault, "drop owned by authenticated", key=vault.token(ALICE))
    assert "shared-canary" not in vault.get("/rest/v1/vault", key=vault.token(ALICE)).text


@pytest.mark.twin("event-trigger:fluxbase_client_ddl")
def test_twin_without_the_refusal_of_client_ddl_leaks(twin: Server) -> None:
    """Without it the restrictive policy is gone and its row is out for everybody it stood before."""
    open_vault(twin)
    twin.sql("create policy everybody on vault for select using (id = 3)")
    with without_event_trigger(twin, "fluxbase_client_ddl"):
        assert "shared-canary" not in twin.get("/rest/v1/vault", key=twin.token(ALICE)).text
        run_sql(twin, "drop owned by authenticated", key=twin.token(ALICE))
        assert "shared-canary" in twin.get("/rest/v1/vault", key=twin.token(ALICE)).text


def test_row_security_cannot_be_switched_off(vault: Server) -> None:
    """``row_security = off`` makes PostgreSQL refuse, not bypass."""
    status, text = run_sql(vault, "set row_security = off; select * from vault", key=vault.token(ALICE))
    assert (status, "canary" in text) == (403, False)


# -- identity -------------------------------------------------------------------------------------------------------------

TAKEN_AWAY = (
    "with taken as materialized (select set_config('request.jwt.claims', '', true) a, set_config('fluxbase.identity', '', true) b) "
    "select string_agg(v.text, ',') from taken, lateral (select text from vault_of_nobody where a is not null and b is not null) v"
)


def open_vault_of_nobody(server: Server) -> None:
    """A policy that tests for NULL: rows for those who are nobody, as maintenance jobs are."""
    install_sql(server)
    server.sql(
        "create table if not exists vault_of_nobody (text text); drop policy if exists nobody on vault_of_nobody; "
        "create policy nobody on vault_of_nobody using ((select auth.uid()) is null and (select auth.jwt()) is null); "
        "insert into vault_of_nobody values ('nobodys-canary')"
    )


def test_an_identity_that_was_taken_away_is_no_identity(server: Server) -> None:
    """SQL that clears both settings gets 42501, not NULL: a policy may test for NULL."""
    open_vault_of_nobody(server)
    status, text = ask_sql(server, TAKEN_AWAY, key=server.token(ALICE))
    assert (status, "canary" in text) == (403, False)


@pytest.mark.twin("function:fluxbase.verified_claims")
def test_twin_that_takes_nothing_for_nobody_leaks(twin: Server) -> None:
    """With a verified_claims() that does not ask whose connection it is, the same SQL reads the row."""
    open_vault_of_nobody(twin)
    with changed_function(twin, "fluxbase.verified_claims", line_removed("and session_user not like 'fb\\_%'")):
        assert "nobodys-canary" in ask_sql(twin, TAKEN_AWAY, key=twin.token(ALICE))[1]


# -- the login ------------------------------------------------------------------------------------------------------------

SPOILERS = {
    "password": "alter role LOGIN password 'x'",
    "read_only": "alter role LOGIN set default_transaction_read_only = on",
    "timeout": "alter role LOGIN set statement_timeout = 1",
    "in_database": "alter role LOGIN in database fluxbase set search_path = pg_temp",
}


def login_of(server: Server, role: str) -> str:
    """The login of a client role in the main database."""
    from fluxbase.db.provision import login_name

    return login_name("fluxbase", role)


def spoil(server: Server, spoiler: str) -> None:
    """As anon: leave the role, change the login; then every connection ends, as it does sooner or later."""
    login = login_of(server, "anon")
    statement = SPOILERS[spoiler].replace("LOGIN", login)
    run_sql(server, f"do $x$ begin execute 'reset role'; execute $s${statement}$s$; end $x$")
    server.root_sql(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{login}'")
    time.sleep(0.2)


def repair(server: Server) -> None:
    """What the program would do itself."""
    from tests.support.mint import login_password

    login = login_of(server, "anon")
    server.root_sql(f"alter role {login} password '{login_password(server.data_dir, login)}'; alter role {login} reset all")
    server.root_sql(f"alter role {login} in database fluxbase reset all")


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_a_login_that_its_own_sql_spoilt_is_repaired(vault: Server, spoiler: str) -> None:
    """Every role may change its own password and defaults; the next connection notices and everybody is served."""
    time.sleep(2.1)  # a login is renewed at most once in two seconds
    spoil(vault, spoiler)
    answers = [vault.request(method, "/rest/v1/rpc/ask_sql", json={"query": "select 'served'"}) for method in ("POST", "POST")]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, '"served"')] * 2
    assert vault.root_sql(f"select count(*) from pg_db_role_setting where setrole = '{login_of(vault, 'anon')}'::regrole") == [(0,)]


@pytest.mark.twin("pool:login-renewal")
def test_twin_that_renews_no_login_is_locked_out(twin: Server) -> None:
    """Without the renewal one client's SQL locks every anonymous caller out."""
    install_sql(twin)
    spoil(twin, "password")
    try:
        answer = twin.post("/rest/v1/rpc/ask_sql", json={"query": "select 'served'"}, headers={"x-twin-without": "pool:login-renewal"})
        assert answer.status_code == 503
    finally:
        repair(twin)


# -- what belongs to others ----------------------------------------------------------------------------------------------

OTHERS = {
    "catalogue:relations": [
        ("select on pg_catalog.pg_prepared_statements", "select count(*)::text from pg_prepared_statements", "permission denied for function"),
        ("select on pg_catalog.pg_stat_activity", "select count(*)::text from pg_stat_activity", "permission denied for function"),
        ("select on pg_catalog.pg_locks", "select count(*)::text from pg_locks", "permission denied for function"),
        ("select on pg_catalog.pg_stats", "select count(*)::text from pg_stats", None),
        ("select on pg_catalog.pg_stats_ext", "select count(*)::text from pg_stats_ext", None),
        ("select on pg_catalog.pg_stat_user_tables", "select count(*)::text from pg_stat_user_tables", None),
        ("select on pg_catalog.pg_largeobject_metadata", "select count(*)::text from pg_largeobject_metadata", None),
    ],
    "catalogue:functions": [
        ("execute on function pg_catalog.pg_terminate_backend(int, bigint)", "select pg_terminate_backend(1, 0)::text", None),
        ("execute on function pg_catalog.pg_cancel_backend(int)", "select pg_cancel_backend(1)::text", None),
        ("execute on function pg_catalog.lo_create(oid)", "select lo_create(0)::text", None),
        ("execute on function pg_catalog.pg_export_snapshot()", "select pg_export_snapshot()", None),
        ("execute on function pg_catalog.pg_stat_get_activity(int)", "select count(*)::text from pg_stat_get_activity(null)", None),
        ("execute on function pg_catalog.pg_prepared_statement()", "select count(*)::text from pg_prepared_statement()", None),
        ("execute on function pg_catalog.pg_logical_emit_message(boolean, text, text, boolean)", "select pg_logical_emit_message(false, 'a', 'b')::text", None),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("query"), [query for cases in OTHERS.values() for _, query, _ in cases])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service"])
def test_activity_of_others_is_closed(vault: Server, query: str, role: str) -> None:
    """No client role, the service key neither, reads activity or statistics, signals a backend or keeps a large object."""
    status, text = ask_sql(vault, query, key=vault.token(ALICE) if role == "authenticated" else role)
    assert status in {401, 403}
    assert "permission denied" in text


@pytest.mark.parametrize(
    ("privilege", "query", "then"),
    [pytest.param(*case, marks=pytest.mark.twin(control), id=case[0].split(".")[1]) for control, cases in OTHERS.items() for case in cases],
)
def test_twin_with_the_privilege_gets_further(twin: Server, privilege: str, query: str, then: str | None) -> None:
    """Granted back, the same query answers (or falls at the function behind the view, which is revoked too)."""
    install_sql(twin)
    with granted(twin, privilege, "public"):
        status, text = ask_sql(twin, query, key=twin.token(ALICE))
    if then is None:
        assert "permission denied" not in text
        assert status in {200, 400, 404, 500}
    else:
        assert then in text


@pytest.mark.twin("database:create-temporary")
def test_twin_with_temporary_tables_shadows(twin: Server) -> None:
    """With TEMPORARY granted and client DDL allowed, a client makes a table that its own later SQL finds first."""
    install_sql(twin)
    assert run_sql(twin, "create temp table shadow as select 1")[0] == 401
    with granted(twin, "temporary on database fluxbase", "public"), without_event_trigger(twin, "fluxbase_client_ddl"):
        assert run_sql(twin, "create temp table shadow as select 1")[0] == 200


def test_temporary_and_create_are_nobodys(server: Server) -> None:
    """Each alone would hold: no client role has TEMPORARY or CREATE on the database or CREATE on any schema."""
    rows = server.root_sql(
        "select r, n.nspname from unnest(array['anon', 'authenticated', 'service_role']) r, pg_namespace n where has_schema_privilege(r, n.oid, 'create') "
        "or has_database_privilege(r, current_database(), 'temporary') or has_database_privilege(r, current_database(), 'create')"
    )
    assert rows == []


def test_the_login_may_do_nothing(server: Server) -> None:
    """Logins own nothing, inherit nothing, and are a member of exactly their role."""
    rows = server.root_sql(
        "select l.rolname, l.rolinherit, count(m.roleid) from pg_roles l left join pg_auth_members m on m.member = l.oid "
        "where l.rolname like 'fb\\_%' group by 1, 2 having l.rolinherit or count(m.roleid) <> 1"
    )
    assert rows == []
    from tests.support.mint import login_password

    login = login_of(server, "authenticated")
    password = login_password(server.data_dir, login)
    for statement in ("select * from vault", "select auth.uid()", "select fluxbase.admit('{}', -1)", "set role service_role"):
        with pytest.raises(Exception, match=r"permission denied|does not exist"):
            cluster_sql(server, "fluxbase", statement, user=login, password=password)


# -- time and errors of ours ------------------------------------------------------------------------------------------------


def test_a_client_cannot_give_itself_more_time(vault: Server) -> None:
    """``statement_timeout = 0`` inside SQL changes nothing for the statement that runs: anon is cut after its three seconds."""
    started = time.monotonic()
    status, text = run_sql(vault, "set statement_timeout = 0; select set_config('statement_timeout', '0', true), pg_sleep(20)")
    assert (status, '"57014"' in text) == (504, True)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("sqlstate", ["FB001", "FB002", "FB003", "26000"])
def test_our_own_error_codes_raised_by_a_client_are_its_own_problem(vault: Server, sqlstate: str) -> None:
    """RAISE with one of our codes neither loops nor harms the next request."""
    status, _ = run_sql(vault, f"do $x$ begin raise exception 'x' using errcode = '{sqlstate}'; end $x$")
    assert 400 <= status < 600
    assert ask_sql(vault, "select 'served'") == (200, '"served"')


def test_statements_of_ours_cannot_be_replaced(vault: Server) -> None:
    """DEALLOCATE ALL costs a round trip; what a client prepares is not what the next request runs."""
    for _ in range(6):
        run_sql(vault, "deallocate all")
        run_sql(vault, "prepare fb_1 as select 'stolen-canary'")
        answer = vault.get("/rest/v1/vault?select=text", key=vault.token(BOB))
        assert answer.json() == [{"text": "bobs-canary"}]


def test_admit_called_by_a_client_tells_nothing_but_its_answer(vault: Server) -> None:
    """A client may call admit(): it refuses or returns the epochs, and lets nobody in."""
    assert ask_sql(vault, "select fluxbase.admit('{}', -1)")[0] == 200
    vault.root_sql("insert into auth.denylist (key, reason) values ('user:asked', 'test') on conflict do nothing")
    assert ask_sql(vault, "select fluxbase.admit('{user:asked}', -1)")[0] >= 400
    assert ask_sql(vault, "select string_agg(key, ',') from auth.denylist")[0] == 401

"""Invariant 1 (threats A1, A2, F52, F53): a relation that appears by any means is closed until a policy opens it.

Each newborn holds a canary and is granted to ``anon`` in so many words, so that only row security stands before it. Two ways
lead to it: the surfaces, where the data plane also refuses what is not protected, and SQL inside a careless function.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fluxbase.db.provision import EVENT_TRIGGERS
from tests.support.hostile import ask_sql, install_sql
from tests.support.server import Server, start_server
from tests.support.without import changed_function, replaced_by, without_event_trigger

CANARY = "canary-3c1f9e"
ROW = f"1 as id, '{CANARY}'::text as secret"

BIRTHS: dict[str, str] = {
    "create": f"create table NAME (id int, secret text); insert into NAME values (1, '{CANARY}')",
    "ctas": f"create table NAME as select {ROW}",
    "ctas_execute": f"prepare birth as select {ROW}; create table NAME as execute birth; deallocate birth",
    "select_into": f"select {ROW} into NAME",
    "inside_function": f"do $$ begin execute 'create table NAME as select {ROW.replace(chr(39), chr(39) * 2)}'; end $$",
    "like": f"create table NAME_source (id int, secret text); create table NAME (like NAME_source); insert into NAME values (1, '{CANARY}')",
    "inherits": f"create table NAME_parent (id int, secret text); create table NAME () inherits (NAME_parent); insert into NAME values (1, '{CANARY}')",
    "partition": f"create table NAME_parent (id int, secret text) partition by range (id); create table NAME partition of NAME_parent for values from (0) to (9); insert into NAME values (1, '{CANARY}')",
    "attached": f"create table NAME_parent (id int, secret text) partition by range (id); create table NAME as select {ROW}; alter table NAME_parent attach partition NAME for values from (0) to (9)",
    "moved": f"create schema if not exists elsewhere; create table elsewhere.NAME as select {ROW}; alter table elsewhere.NAME set schema public",
    "renamed": f"create table NAME_before as select {ROW}; alter table NAME_before rename to NAME",
    "disabled": f"create table NAME as select {ROW}; alter table NAME disable row level security",
    "not_forced": f"create table NAME as select {ROW}; alter table NAME no force row level security, disable row level security",
    "setting": f"set fluxbase.ddl_depth = 'inside'; create table NAME as select {ROW}",
    "view": f"create table NAME_base as select {ROW}; create view NAME as select * from NAME_base",
    "view_replaced": f"create table NAME_base as select {ROW}; create view NAME as select * from NAME_base; create or replace view NAME as select * from NAME_base where id > 0",
    "view_reset": f"create table NAME_base as select {ROW}; create view NAME as select * from NAME_base; alter view NAME reset (security_invoker)",
}
UNGRANTED: dict[str, str] = {
    "matview": f"create materialized view NAME as select {ROW}",
    "owner_view": f"create table NAME_base as select {ROW}; create view NAME with (security_invoker = false) as select * from NAME_base",
    "view_turned": f"create table NAME_base as select {ROW}; create view NAME as select * from NAME_base; alter view NAME set (security_invoker = false)",
    "view_turned_by_replace": f"create table NAME_base as select {ROW}; create view NAME as select * from NAME_base; create or replace view NAME with (security_invoker = off) as select * from NAME_base",
}
"""What no policy can protect: nobody is granted anything at its birth, and a view that turns into one loses its grants."""


def give_birth(server: Server, prefix: str) -> None:
    """Every relation of BIRTHS and UNGRANTED, named ``<prefix>_<means>``."""
    for means, sql in (BIRTHS | UNGRANTED).items():
        name = f"{prefix}_{means}"
        server.sql(sql.replace("NAME", name))
        if means in BIRTHS:
            server.sql(f"grant select, insert on {name} to anon")


def bury(server: Server, prefix: str) -> None:
    """Remove them."""
    server.sql(
        f"do $$ declare item record; begin for item in select oid, oid::regclass as name, relkind from pg_class where relname like '{prefix}\\_%' "
        "and relkind in ('r', 'p', 'v', 'm') and relnamespace = 'public'::regnamespace loop "
        "if exists (select from pg_class c where c.oid = item.oid) then execute format('drop %s %s cascade', "
        "case item.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, item.name); end if; end loop; end $$"
    )


@pytest.fixture(scope="module")
def born(server: Server) -> Iterator[Server]:
    """Every way to be born, once."""
    install_sql(server)
    give_birth(server, "born")
    yield server
    bury(server, "born")


@pytest.mark.parametrize("means", BIRTHS | UNGRANTED)
@pytest.mark.parametrize("surface", ["/rest/v1", "/api/v1/tables"])
def test_newborn_relation_shows_nothing_to_anon(born: Server, means: str, surface: str) -> None:
    """No row of a relation without policy leaves, on either surface."""
    answer = born.get(f"{surface}/born_{means}")
    assert CANARY not in answer.text
    assert answer.status_code in {200, 401, 404}
    if answer.status_code == 200:
        assert answer.json() == []


@pytest.mark.parametrize("means", BIRTHS | UNGRANTED)
def test_newborn_relation_shows_nothing_to_sql(born: Server, means: str) -> None:
    """Nor to SQL that runs under the client role, past the data plane."""
    assert CANARY not in ask_sql(born, f"select string_agg(t::text, ',') from born_{means} t")[1]


@pytest.mark.parametrize("means", [name for name in BIRTHS if not name.startswith("view")])
@pytest.mark.parametrize("surface", ["/rest/v1", "/api/v1/tables"])
def test_newborn_relation_takes_no_write_from_anon(born: Server, means: str, surface: str) -> None:
    """An insert into a relation without policy is refused and writes nothing, on either surface."""
    answer = born.post(f"{surface}/born_{means}", json={"id": 2, "secret": "x"})
    assert answer.status_code in {401, 404}
    assert born.sql(f"select count(*) from born_{means} where id = 2") == [(0,)]


def test_row_security_is_on_and_forced_before_the_statement_ends(born: Server) -> None:
    """The catalogue shows enabled and forced for every ordinary and partitioned table of this file."""
    rows = born.sql(
        "select relname from pg_class where relname like 'born\\_%' and relkind in ('r','p') "
        "and relnamespace = 'public'::regnamespace and not (relrowsecurity and relforcerowsecurity)"
    )
    assert rows == []


@pytest.mark.twin("event-trigger:fluxbase_ddl", "function:fluxbase.close_relation")
@pytest.mark.parametrize("removed", ["event trigger", "function"])
def test_twin_without_closing_leaks(twin: Server, removed: str) -> None:
    """Without the event trigger, or with a close_relation() that does nothing, every newborn shows its row to the same SQL."""
    install_sql(twin)
    with ExitStack() as stack:
        if removed == "function":
            stack.enter_context(changed_function(twin, "fluxbase.close_relation", replaced_by("return;")))
        else:
            stack.enter_context(without_event_trigger(twin, "fluxbase_ddl"))
        give_birth(twin, "naked")
        try:
            hidden = [n for n in BIRTHS if CANARY not in ask_sql(twin, f"select string_agg(t::text, ',') from naked_{n} t")[1]]
            shown = [n for n in BIRTHS if CANARY in twin.get(f"/rest/v1/naked_{n}").text]
        finally:
            bury(twin, "naked")
    assert hidden == []
    assert shown == [], "the data plane refuses on its own what is not protected"


@pytest.mark.twin("data-plane:refusal")
def test_twin_without_the_data_planes_refusal_leaks(twin: Server) -> None:
    """An owner's view that was granted is refused by the data plane alone: without its refusal the row is out."""
    twin.sql(
        f"create table refused_base as select {ROW}; create view refused with (security_invoker = false) as select * from refused_base; "
        "grant select on refused to anon"
    )
    assert twin.get("/rest/v1/refused").status_code == 404
    assert CANARY in twin.get("/rest/v1/refused", headers={"x-twin-without": "data-plane:refusal"}).text


@pytest.mark.twin("event-trigger:fluxbase_drop")
def test_twin_without_the_drop_trigger_remembers_the_dead(twin: Server) -> None:
    """What was dropped is forgotten, so that a relation which gets its number is born closed; without the trigger it is not."""
    orphans = "select count(*) from fluxbase.known_relations k where not exists (select from pg_class c where c.oid = k.relation)"
    twin.sql("create table mortal (id int); drop table mortal")
    assert twin.root_sql(orphans) == [(0,)]
    with without_event_trigger(twin, "fluxbase_drop"):
        twin.sql("create table mortal (id int); drop table mortal")
    assert twin.root_sql(orphans) == [(1,)]
    twin.root_sql("delete from fluxbase.known_relations k where not exists (select from pg_class c where c.oid = k.relation)")


def test_event_triggers_fire_always(server: Server) -> None:
    """session_replication_role does not switch them off."""
    assert server.root_sql("select count(*) from pg_event_trigger where evtname like 'fluxbase%' and evtenabled = 'A'") == [
        (len(EVENT_TRIGGERS),)
    ]


# -- grants ---------------------------------------------------------------------------------------------------------------


@pytest.mark.twin("grant:birth")
def test_truncate_is_never_granted(twin: Server) -> None:
    """Client roles cannot TRUNCATE, which row security would not stop; granted, the same request empties the table."""
    install_sql(twin)
    twin.sql("create table kept (id int); insert into kept values (1)")
    truncate = {"statement": "truncate kept"}
    assert twin.post("/rest/v1/rpc/run_sql", json=truncate).status_code == 401
    assert twin.sql("select count(*) from kept") == [(1,)]
    twin.sql("grant truncate on kept to anon")
    assert twin.post("/rest/v1/rpc/run_sql", json=truncate).status_code == 200
    assert twin.sql("select count(*) from kept") == [(0,)]


def test_a_revoked_grant_is_not_given_again(server: Server) -> None:
    """An ALTER of a known table, view, function or schema does not undo its owner's REVOKE."""
    server.sql(
        "create table shut (id int); create view shut_view as select * from shut; create function shut_call() returns int language sql return 1; "
        "revoke all on shut, shut_view from anon; revoke execute on function shut_call() from anon"
    )
    server.sql("alter table shut add more int; alter view shut_view rename to shut_view_too; alter function shut_call() stable")
    rows = server.sql(
        "select has_table_privilege('anon', 'shut', 'select'), has_table_privilege('anon', 'shut_view_too', 'select'), "
        "has_function_privilege('anon', 'shut_call()', 'execute')"
    )
    assert rows == [(False, False, False)]


# -- functions ------------------------------------------------------------------------------------------------------------

DEFINER = f"returns text language sql security definer as $$ select '{CANARY}'::text $$"
DEFINERS: dict[str, str] = {
    "created": f"create function NAME() {DEFINER}",
    "replaced": f"create function NAME() returns text language sql as $$ select 'x'::text $$; create or replace function NAME() {DEFINER}",
    "altered": f"create function NAME() {DEFINER.replace('security definer', '')}; alter function NAME() security definer",
    "moved": f"create schema if not exists elsewhere; create function elsewhere.NAME() {DEFINER}; alter function elsewhere.NAME() set schema public",
    "moved_and_altered": f"create function NAME() {DEFINER.replace('security definer', '')}; create schema if not exists elsewhere; "
    "alter function NAME() set schema elsewhere; alter function elsewhere.NAME() security definer; alter function elsewhere.NAME() set schema public",
    "by_routine": f"create function NAME() {DEFINER.replace('security definer', '')}; alter routine NAME() security definer",
}
AGGREGATE = (
    f"create function NAME_step(state text, value text) returns text language sql security definer as $$ select '{CANARY}'::text $$; "
    "create aggregate NAME(text) (sfunc = NAME_step, stype = text)"
)


def make_definers(server: Server, prefix: str) -> None:
    """Every function of DEFINERS, and the aggregate."""
    for means, sql in (DEFINERS | {"aggregate": AGGREGATE}).items():
        server.sql(sql.replace("NAME", f"{prefix}_{means}"))


def leaking_definers(server: Server, prefix: str) -> list[str]:
    """Those that anon can call, over HTTP or in SQL."""
    over_http = [n for n in DEFINERS if CANARY in server.post(f"/rest/v1/rpc/{prefix}_{n}", json={}).text]
    in_sql = [n for n in DEFINERS if CANARY in ask_sql(server, f"select {prefix}_{n}()")[1]]
    if CANARY in ask_sql(server, f"select {prefix}_aggregate(v) from (values ('a'), ('b')) t(v)")[1]:
        in_sql.append("aggregate")
    return sorted({*over_http, *in_sql})


def test_definer_function_is_not_callable_by_birth(server: Server) -> None:
    """A SECURITY DEFINER function gets no EXECUTE for client roles, however it came to be one (threat F52)."""
    install_sql(server)
    make_definers(server, "born_definer")
    assert leaking_definers(server, "born_definer") == []


@pytest.mark.twin("function:fluxbase.close_function")
def test_twin_without_closing_of_functions_leaks(twin: Server) -> None:
    """With a close_function() that does nothing every one of them answers."""
    install_sql(twin)
    with changed_function(twin, "fluxbase.close_function", replaced_by("return;")):
        make_definers(twin, "naked_definer")
    assert leaking_definers(twin, "naked_definer") == sorted([*DEFINERS, "aggregate"])


# -- schemas --------------------------------------------------------------------------------------------------------------

SCHEMA_BIRTHS: dict[str, str] = {
    "elements": f"create schema shop create table wares (id int, secret text); insert into shop.wares values (1, '{CANARY}')",
    "renamed": f"create schema workshop; create table workshop.wares as select {ROW}; create function workshop.tell() {DEFINER}; alter schema workshop rename to shop",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    """A twin server that exposes a second schema."""
    running = start_server(is_twin=True, env={"FLUXBASE_DATA_SCHEMAS": "public,shop"})
    install_sql(running)
    yield running
    running.stop()


def wares(server: Server, sql: str) -> str:
    """Make the schema anew; everything anon can get out of it."""
    server.sql(f"drop schema if exists shop cascade; {sql}; grant usage on schema shop to anon; grant select on shop.wares to anon")
    profile = {"accept-profile": "shop", "content-profile": "shop"}
    return (
        server.get("/rest/v1/wares", headers=profile).text
        + server.post("/rest/v1/rpc/tell", json={}, headers=profile).text
        + ask_sql(server, "select string_agg(t::text, ',') from shop.wares t")[1]
    )


@pytest.mark.parametrize("means", SCHEMA_BIRTHS)
def test_a_schema_that_takes_an_exposed_name_is_closed(shop: Server, means: str) -> None:
    """CREATE SCHEMA with elements, and a rename to an exposed name, close what is inside."""
    assert CANARY not in wares(shop, SCHEMA_BIRTHS[means])


@pytest.mark.twin("function:fluxbase.close_schema")
def test_twin_without_closing_of_schemas_leaks(shop: Server) -> None:
    """With a close_schema() that does nothing the renamed schema shows its rows."""
    with changed_function(shop, "fluxbase.close_schema", replaced_by("return;")):
        assert CANARY in wares(shop, SCHEMA_BIRTHS["renamed"])


@pytest.mark.twin("function:fluxbase.close_everything")
def test_twin_without_closing_what_was_there_leaks(shop: Server) -> None:
    """What was born while nobody watched is closed by close_everything(), which provisioning calls; not by one that does nothing."""
    with without_event_trigger(shop, "fluxbase_ddl"):
        assert CANARY in wares(shop, SCHEMA_BIRTHS["renamed"])
    asked = "select string_agg(t::text, ',') from shop.wares t"
    with changed_function(shop, "fluxbase.close_everything", replaced_by("return;")):
        shop.root_sql("select fluxbase.close_everything()")
        assert CANARY in ask_sql(shop, asked)[1]
    shop.root_sql("select fluxbase.close_everything()")
    assert CANARY not in ask_sql(shop, asked)[1]

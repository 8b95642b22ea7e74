"""Tenants are apart (invariant 6; threats A4, A5, F57): keys, tokens, headers, logins and foreign servers of one are noise to another."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from fluxbase.config import load_config
from fluxbase.crypto.master import MasterKey
from fluxbase.db.provision import login_name
from fluxbase.db.tenant_database import fdw_login_name
from fluxbase.parts.target import target_of
from tests.support.server import Server, start_server
from tests.support.tenant import TenantHandle, cluster_sql, make_tenant

USER = "7d0f4a52-0000-4000-8000-000000000001"
SCHEMA = """
create table notes (id int primary key, text text);
create policy everybody on notes to public using (true) with check (true);
"""
FORGED_VIEW = """
create or replace view shared_export.tenant with (security_barrier = true) as
  select t.id, t.slug, t.name, t.status, t.metadata, t.created_at
    from platform.tenants t where t.id::text = current_setting('app.current_tenant_id', true)
"""


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that this file fills with tenants."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def databases(own_server: Server) -> tuple[TenantHandle, TenantHandle]:
    """Two tenants with a database each, a table of the same name and a canary in it."""
    tenants = make_tenant(own_server, "acme"), make_tenant(own_server, "beta")
    for tenant in tenants:
        tenant.sql(SCHEMA + f"insert into notes values (1, '{canary(tenant)}')")
    return tenants


@pytest.fixture(scope="module")
def rows(own_server: Server) -> tuple[TenantHandle, TenantHandle]:
    """Two tenants in the rows of one database."""
    tenants = make_tenant(own_server, "gamma", "row"), make_tenant(own_server, "delta", "row")
    tenants[0].sql("set role fluxbase_owner;" + SCHEMA)
    for number, tenant in enumerate(tenants):
        tenant.sql(f"insert into notes (id, text, tenant_id) values ({number}, '{canary(tenant)}', '{tenant.id}')")
    return tenants


@pytest.fixture(scope="module")
def schemas(own_server: Server) -> tuple[TenantHandle, TenantHandle]:
    """Two tenants with a schema each in the shared database, a table of the same name and a canary in it."""
    tenants = make_tenant(own_server, "epsilon", "schema"), make_tenant(own_server, "zeta", "schema")
    for tenant in tenants:
        tenant.sql(f"set role fluxbase_owner; set search_path = {tenant.schema}; {SCHEMA} insert into notes values (1, '{canary(tenant)}')")
    return tenants


@pytest.fixture(params=["databases", "schemas", "rows"])
def pair(request: pytest.FixtureRequest) -> tuple[TenantHandle, TenantHandle]:
    """Each strength of isolation: the same claims hold for all."""
    return request.getfixturevalue(request.param)


def canary(tenant: TenantHandle) -> str:
    """What only this tenant's answers may contain."""
    return f"canary-of-{tenant.keys['slug']}"


def credentials(tenant: TenantHandle) -> dict[str, str]:
    """Every kind of credential a tenant has."""
    token = tenant.server.token(USER, tenant=str(tenant.keys["slug"]))
    return {name: str(tenant.keys[name]) for name in ("anon_key", "service_key", "publishable_key", "secret_key")} | {"access_token": token}


def login_secret(server: Server, login: str) -> str:
    """The password the server itself uses."""
    config = load_config(data_dir=server.data_dir, environ={})
    return target_of(config, MasterKey.load(server.data_dir / "master.key", None)).login_secret(login).reveal()


def test_every_credential_reads_its_own_tenant_and_never_the_other(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """The positive control and the attack in one: own canary always, the other's never."""
    for own, other in (pair, pair[::-1]):
        for name, credential in credentials(own).items():
            answer = own.server.get("/rest/v1/notes", key=credential)
            assert answer.status_code == 200, (name, answer.text)
            assert canary(own) in answer.text
            assert canary(other) not in answer.text


def test_a_header_never_leads_into_another_tenant(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """A credential of one and the header of the other, of the default one and of nobody: one and the same 404."""
    acme, beta = pair
    for credential in credentials(acme).values():
        bodies = set()
        for named in (beta.id, str(beta.keys["slug"]), "default", "nobody", "00000000-0000-4000-8000-000000000000"):
            answer = acme.server.get("/rest/v1/notes", key=credential, headers={"x-fb-tenant": named})
            assert answer.status_code == 404, answer.text
            bodies.add(answer.content)
        assert len(bodies) == 1
    assert (
        acme.server.get("/rest/v1/notes", key=str(acme.keys["anon_key"]), headers={"x-fb-tenant": str(acme.keys["slug"])}).status_code
        == 200
    )


def test_two_valid_credentials_of_different_tenants_are_refused(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """In every combination of headers, 403 and no canary."""
    acme, beta = pair
    for header in ("apikey", "x-client-key", "x-service-key"):
        for mine in credentials(acme).values():
            for theirs in credentials(beta).values():
                answer = acme.server.get("/rest/v1/notes", key=mine, headers={header: theirs})
                assert answer.status_code == 403, answer.text
                assert "canary" not in answer.text


def test_the_instances_own_key_is_no_key_to_a_tenant(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """A platform credential enters a tenant only through a session minted there."""
    server = pair[0].server
    for key in ("service_key", "anon_key", "secret_key"):
        assert server.get("/rest/v1/notes", key=server.keys[key], headers={"x-fb-tenant": pair[0].id}).status_code == 404


def test_a_tenants_service_key_is_no_instance_administrator(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """Instance-wide routes want the default tenant's key."""
    for key in ("service_key", "secret_key"):
        answer = pair[0].server.get("/api/v1/admin/status", key=str(pair[0].keys[key]))
        assert answer.status_code == 403
    assert pair[0].server.get("/api/v1/admin/status", key="service").status_code == 200


def test_a_tenants_login_cannot_enter_another_tenants_database(databases: tuple[TenantHandle, TenantHandle]) -> None:
    """The role ``authenticated`` belongs to the whole cluster, so CONNECT is what keeps logins apart. Twin: CONNECT for everybody."""
    acme, beta = databases
    login = login_name(acme.database, "authenticated")
    password = login_secret(acme.server, login)

    def read_notes() -> list[tuple[object, ...]]:
        return beta.sql("set role authenticated; select text from notes", user=login, password=password)

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        read_notes()
    cluster_sql(acme.server, "postgres", f'grant connect on database "{beta.database}" to public')
    try:
        assert read_notes() == [(canary(beta),)]
    finally:
        cluster_sql(acme.server, "postgres", f'revoke connect on database "{beta.database}" from public')


def test_the_foreign_login_sees_its_own_tenant_whatever_it_sets(databases: tuple[TenantHandle, TenantHandle]) -> None:
    """The far side looks at session_user, not at a setting the login may change. Twin: a view that trusts the setting."""
    acme, beta = databases
    login = fdw_login_name(acme.id)  # type: ignore[arg-type]
    password = login_secret(acme.server, login)

    def visible() -> list[tuple[object, ...]]:
        text = f"set app.current_tenant_id = '{beta.id}'; select slug from shared_export.tenant"
        return cluster_sql(acme.server, "fluxbase", text, user=login, password=password)

    assert visible() == [("acme",)]
    definition = cluster_sql(acme.server, "fluxbase", "select pg_get_viewdef('shared_export.tenant'::regclass)")[0][0]
    acme.server.root_sql(FORGED_VIEW)
    try:
        assert visible() == [("beta",)]
    finally:
        acme.server.root_sql(f"create or replace view shared_export.tenant with (security_barrier = true) as {definition}")


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from platform.tenants",
        "select * from platform.fdw_logins",
        "insert into platform.fdw_logins values (current_user, '00000000-0000-4000-8000-000000000000')",
        "update platform.fdw_logins set tenant_id = '00000000-0000-4000-8000-000000000000'",
        "set role fluxbase_system",
        "set role authenticated",
        "set session authorization fluxbase_owner",
        "select * from auth.keys",
        "select * from fluxbase.identity_key",
        "select umoptions from pg_user_mappings",
        "select query from pg_stat_activity",
        "create table shared_export.mine (id int)",
        "create temp table mine (id int)",
        "create view shared_export.more as select 1",
    ],
)
def test_the_foreign_login_can_do_nothing_else(databases: tuple[TenantHandle, TenantHandle], attempt: str) -> None:
    """Member of nothing, no right but one view."""
    acme = databases[0]
    login = fdw_login_name(acme.id)  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster_sql(acme.server, "fluxbase", attempt, user=login, password=login_secret(acme.server, login))


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_no_client_role_reaches_the_foreign_server(databases: tuple[TenantHandle, TenantHandle], role: str) -> None:
    """Neither the foreign table, nor the mapping's password, nor a foreign table of one's own; only the function, and it tells one's own."""
    acme = databases[0]
    for attempt in (
        "select * from shared.tenant",
        "select umoptions from pg_user_mappings",
        "select umoptions from pg_user_mapping",
        "create foreign table mine (id int) server fluxbase_main",
        "create user mapping for current_user server fluxbase_main",
        "import foreign schema shared_export from server fluxbase_main into public",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acme.sql(f"set role {role}; {attempt}")
    assert acme.sql(f"set role {role}; select auth.tenant() ->> 'slug'") == [("acme",)]


def test_a_frozen_tenant_is_refused_on_its_next_request(pair: tuple[TenantHandle, TenantHandle]) -> None:
    """Inside its own transaction, so no cache matters; the neighbour does not notice."""
    from tests.support.tenant import command

    acme, beta = pair
    assert acme.server.get("/rest/v1/notes", key=str(acme.keys["anon_key"])).status_code == 200
    assert command(acme.server, "freeze", acme.id).returncode == 0
    try:
        assert acme.server.get("/rest/v1/notes", key=str(acme.keys["anon_key"])).status_code == 503
        assert beta.server.get("/rest/v1/notes", key=str(beta.keys["anon_key"])).status_code == 200
    finally:
        assert command(acme.server, "freeze", acme.id, "--off").returncode == 0
    assert acme.server.get("/rest/v1/notes", key=str(acme.keys["anon_key"])).status_code == 200


def test_the_tenant_in_sql_is_the_databases_own(databases: tuple[TenantHandle, TenantHandle]) -> None:
    """auth.tenant_id() answers with the database's tenant whatever a client sets."""
    for tenant in databases:
        rows = tenant.sql(
            "set role anon; set app.current_tenant_id = '00000000-0000-4000-8000-000000000000'; select auth.tenant_id()::text"
        )
        assert rows == [(tenant.id,)]


def test_a_row_tenant_cannot_write_into_another(rows: tuple[TenantHandle, TenantHandle]) -> None:
    """Neither name another tenant on insert, nor give a row away, nor change one, with any of its credentials."""
    gamma, delta = rows
    for credential in credentials(gamma).values():
        stolen = {"id": 99, "text": "planted", "tenant_id": delta.id}
        assert gamma.server.post("/rest/v1/notes", key=credential, json=stolen).status_code in {401, 403}
        given = gamma.server.request("PATCH", "/rest/v1/notes?id=eq.0", key=credential, json={"tenant_id": delta.id})
        assert given.status_code in {401, 403}
        gamma.server.request("PATCH", "/rest/v1/notes?id=eq.1", key=credential, json={"text": "overwritten"})
        gamma.server.request("DELETE", "/rest/v1/notes?id=eq.1", key=credential)
    assert delta.server.get("/rest/v1/notes?select=text", key=str(delta.keys["anon_key"])).json() == [{"text": canary(delta)}]


FORGING = """
create or replace function forge(other uuid) returns setof notes language plpgsql volatile as $$
begin
  perform set_config('app.current_tenant_id', other::text, true);
  perform set_config('request.jwt.claims', json_build_object('role', 'anon', 'tenant_id', other)::text, true);
  return query select * from notes;
end $$;
"""
TRUSTING = """
create or replace function auth.tenant_id() returns uuid language sql stable as
$$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'tenant_id')::uuid $$;
"""


def test_a_row_tenant_cannot_forge_the_tenant_in_sql(rows: tuple[TenantHandle, TenantHandle]) -> None:
    """The claims are signed: forged ones are 42501. Twin: auth.tenant_id() that trusts the setting."""
    gamma, delta = rows
    gamma.sql(FORGING)

    def attack() -> str:
        return gamma.server.post("/rest/v1/rpc/forge", key=str(gamma.keys["anon_key"]), json={"other": delta.id}).text

    assert "42501" in attack()
    shipped = gamma.sql("select pg_get_functiondef('auth.tenant_id()'::regprocedure)")[0][0]
    gamma.sql(TRUSTING)
    try:
        assert canary(delta) in attack()
    finally:
        gamma.sql(shipped)


@pytest.mark.parametrize(
    "undo",
    [
        "drop policy fluxbase_tenant on notes",
        "alter policy fluxbase_tenant on notes using (true) with check (true)",
        "alter policy fluxbase_tenant on notes to authenticated",
        "alter table notes disable row level security",
        "alter policy fluxbase_tenant on notes rename to other",
    ],
)
def test_the_wall_between_rows_stands_again_before_the_statement_ends(rows: tuple[TenantHandle, TenantHandle], undo: str) -> None:
    """Whatever the application's owner runs. Twin: the event triggers off."""
    gamma, delta = rows

    def sees_the_other() -> bool:
        return canary(delta) in gamma.server.get("/rest/v1/notes", key=str(gamma.keys["anon_key"])).text

    gamma.sql(f"set role fluxbase_owner; {undo}")
    assert not sees_the_other()
    gamma.sql("drop policy if exists other on notes")


@pytest.mark.parametrize(
    "undo",
    [
        "drop policy fluxbase_tenant on notes",
        "alter policy fluxbase_tenant on notes using (true) with check (true)",
        "alter policy fluxbase_tenant on notes using ((select auth.tenant_id()) = '{other}'::uuid)",
        "alter table notes disable row level security",
    ],
)
def test_the_wall_around_a_schema_stands_again(schemas: tuple[TenantHandle, TenantHandle], undo: str) -> None:
    """The data plane serves a tenant its own schema; SQL of the other one finds the wall. Twin: the policy gone behind the trigger's back."""
    epsilon, zeta = schemas
    epsilon.sql(
        f"set role fluxbase_owner; create or replace function {epsilon.schema}.peep() returns setof text language plpgsql as "
        f"$$ begin return query execute 'select text from {zeta.schema}.notes'; end $$"
    )

    def seen() -> str:
        return epsilon.server.post("/rest/v1/rpc/peep", key=str(epsilon.keys["service_key"])).text

    zeta.sql(f"set role fluxbase_owner; set search_path = {zeta.schema}; {undo.format(other=epsilon.id)}")
    assert canary(zeta) not in seen()
    zeta.sql(f"alter event trigger fluxbase_shared_ddl disable; drop policy fluxbase_tenant on {zeta.schema}.notes")
    try:
        assert canary(zeta) in seen()
    finally:
        zeta.sql("alter event trigger fluxbase_shared_ddl enable always; select fluxbase.keep_all_rows_apart()")
    assert canary(zeta) not in seen()


def test_a_dropped_schema_tenant_leaves_nothing(own_server: Server, schemas: tuple[TenantHandle, TenantHandle]) -> None:
    """A hard delete removes its schema and keys; the neighbour is served as before."""
    from tests.support.tenant import command

    theta = make_tenant(own_server, "theta", "schema")
    assert command(own_server, "delete", "theta", "--hard", "--yes").returncode == 0
    assert theta.sql(f"select from pg_namespace where nspname = '{theta.schema}'") == []
    assert theta.sql(f"select from auth.keys where tenant_id = '{theta.id}'") == []
    assert canary(schemas[0]) in own_server.get("/rest/v1/notes", key=str(schemas[0].keys["anon_key"])).text


def test_without_the_trigger_the_wall_can_be_taken_down(rows: tuple[TenantHandle, TenantHandle]) -> None:
    """The twin of the test above."""
    gamma, delta = rows
    gamma.sql("alter event trigger fluxbase_shared_ddl disable; drop policy fluxbase_tenant on notes")
    try:
        assert canary(delta) in gamma.server.get("/rest/v1/notes", key=str(gamma.keys["anon_key"])).text
    finally:
        gamma.sql("alter event trigger fluxbase_shared_ddl enable always; select fluxbase.keep_all_rows_apart()")
    assert canary(delta) not in gamma.server.get("/rest/v1/notes", key=str(gamma.keys["anon_key"])).text


def test_a_dropped_row_tenant_leaves_no_row(own_server: Server, rows: tuple[TenantHandle, TenantHandle]) -> None:
    """A hard delete removes its rows and keys and nobody else's."""
    from tests.support.tenant import command

    omega = make_tenant(own_server, "omega", "row")
    omega.sql(f"insert into notes (id, text, tenant_id) values (77, 'last words', '{omega.id}')")
    assert own_server.get("/rest/v1/notes?select=id", key=str(omega.keys["service_key"])).json() == [{"id": 77}]
    assert command(own_server, "delete", "omega", "--hard", "--yes").returncode == 0
    assert omega.sql("select count(*) from notes where id = 77") == [(0,)]
    assert rows[0].sql("select count(*) from notes") == [(2,)]
    assert rows[0].sql(f"select count(*) from auth.keys where tenant_id = '{omega.id}'") == [(0,)]


def test_a_row_tenants_table_made_without_tenant_id_is_written_as_its_own(rows: tuple[TenantHandle, TenantHandle]) -> None:
    """contract-native 2.5: the column is there before the statement ends, so a write is 201 and the row stays with its tenant."""
    gamma, delta = rows
    gamma.sql(
        "set role fluxbase_owner; create table if not exists plain (id int primary key); create policy p on plain using (true) with check (true)"
    )
    for attempt in range(2):
        answer = gamma.server.post("/api/v1/tables/plain", key=str(gamma.keys["anon_key"]), json={"id": attempt})
        assert (answer.status_code, answer.json()["tenant_id"]) == (201, gamma.id)
    assert delta.server.get("/api/v1/tables/plain", key=str(delta.keys["anon_key"])).json() == []
    gamma.sql("set role fluxbase_owner; drop table plain")

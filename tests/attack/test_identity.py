"""Invariants 2, 3, 4 and 5 over HTTP (threats A5, F55, F56): identity in SQL cannot be forged, kept or outlived."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.server import Server

ALICE, BOB = str(uuid.uuid4()), str(uuid.uuid4())

SCHEMA = """
create table if not exists diary (id int primary key, owner uuid not null default auth.uid(), text text);
drop policy if exists own on diary;
create policy own on diary using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
insert into diary values (1, '{alice}', 'alice-secret'), (2, '{bob}', 'bob-secret') on conflict do nothing;

create or replace function forge_claims(victim text) returns setof diary language plpgsql volatile as $$
begin
  perform set_config('request.jwt.claims', json_build_object('sub', victim, 'role', 'authenticated')::text, true);
  return query select * from diary;
end $$;

create or replace function forge_claims_for_session(victim text) returns int language plpgsql volatile as $$
begin
  perform set_config('request.jwt.claims', json_build_object('sub', victim, 'role', 'authenticated')::text, false);
  perform set_config('request.jwt.claim.sub', victim, false);
  return 1;
end $$;

create or replace function become(role_name text) returns setof diary language plpgsql volatile as $$
begin
  perform set_config('role', role_name, true);
  return query select * from diary;
end $$;

create or replace function reset_role_for_session() returns text language plpgsql volatile as $$
begin
  execute 'reset role';
  return current_user::text;
end $$;

create or replace function keep_lock() returns int language plpgsql volatile as $$
begin
  perform pg_advisory_lock(4711);
  perform set_config('search_path', 'pg_temp', false);
  return pg_backend_pid();
end $$;

create or replace function whoami() returns json language sql stable as $$
  select json_build_object('uid', auth.uid(), 'role', auth.role(), 'path', current_setting('search_path'),
    'claims', auth.jwt())
$$;
"""

PLAIN_JWT = """
create or replace function auth.jwt() returns jsonb language sql stable as
$$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create or replace function auth.uid() returns uuid language sql stable as
$$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
"""


def install(server: Server) -> None:
    """Tables and hostile functions, as a careless schema owner would write them."""
    server.sql(SCHEMA.format(alice=ALICE, bob=BOB))


@pytest.fixture(scope="module")
def diary(server: Server) -> Iterator[Server]:
    """The server with the diary."""
    install(server)
    return server


def call(server: Server, name: str, token: str, **body: object) -> tuple[int, str]:
    """POST an RPC; status and text."""
    answer = server.post(f"/rest/v1/rpc/{name}", key=token, json=body)
    return answer.status_code, answer.text


def test_policy_shows_each_user_its_own_rows(diary: Server) -> None:
    """Alice reads hers, Bob his, anon none."""
    assert [row["text"] for row in diary.get("/rest/v1/diary", key=diary.token(ALICE)).json()] == ["alice-secret"]
    assert [row["text"] for row in diary.get("/rest/v1/diary", key=diary.token(BOB)).json()] == ["bob-secret"]
    assert diary.get("/rest/v1/diary").json() == []


def test_forged_claims_in_sql_are_refused(diary: Server) -> None:
    """SQL under the client role that sets the claims gets an error, not the victim's rows and not NULL."""
    status, text = call(diary, "forge_claims", diary.token(ALICE), victim=BOB)
    assert status == 403
    assert "bob-secret" not in text
    assert '"42501"' in text


@pytest.mark.twin("function:fluxbase.verified_claims")
def test_twin_with_plain_settings_leaks(twin: Server) -> None:
    """The same call against auth.* functions that trust plain settings shows the victim's rows."""
    install(twin)
    saved = twin.root_sql("select pg_get_functiondef('auth.uid'::regproc), pg_get_functiondef('auth.jwt'::regproc)")[0]
    twin.root_sql(PLAIN_JWT)
    try:
        status, text = call(twin, "forge_claims", twin.token(ALICE), victim=BOB)
        assert status == 200
        assert "bob-secret" in text
    finally:
        for definition in saved:
            twin.root_sql(definition)


@pytest.mark.parametrize("role", ["service_role", "none", "fluxbase_system", "fluxbase_owner", "postgres"])
def test_role_cannot_be_changed_from_sql(diary: Server, role: str) -> None:
    """set_config('role', …) inside user SQL leads nowhere."""
    status, text = call(diary, "become", diary.token(ALICE), role_name=role)
    assert "bob-secret" not in text
    assert status >= 400


@pytest.mark.twin("login:one-role")
def test_twin_whose_login_is_member_of_service_role_leaks(twin: Server) -> None:
    """With the login of ``authenticated`` also a member of service_role, the same call shows every row."""
    install(twin)
    login = twin.root_sql("select usename from pg_stat_activity where usename like 'fb\\_%authenticated' limit 1") or twin.root_sql(
        "select rolname from pg_roles where rolname like 'fb\\_%authenticated' limit 1"
    )
    name = login[0][0]
    twin.root_sql(f'grant service_role to "{name}"')
    try:
        status, text = call(twin, "become", twin.token(ALICE), role_name="service_role")
        assert (status, "bob-secret" in text) == (200, True)
    finally:
        twin.root_sql(f'revoke service_role from "{name}"')


def test_nothing_is_left_for_the_next_request(diary: Server) -> None:
    """Session settings, a reset role and an advisory lock of one request do not reach the following ones."""
    alice, bob = diary.token(ALICE), diary.token(BOB)
    for _ in range(12):
        call(diary, "forge_claims_for_session", alice, victim=BOB)
        call(diary, "reset_role_for_session", alice)
        call(diary, "keep_lock", alice)
        seen = diary.post("/rest/v1/rpc/whoami", key=bob, json={}).json()
        assert seen["uid"] == BOB
        assert "pg_temp" not in seen["path"]
        assert [row["text"] for row in diary.get("/rest/v1/diary", key=bob).json()] == ["bob-secret"]
        anonymous = diary.post("/rest/v1/rpc/whoami", json={}).json()
        assert (anonymous["uid"], anonymous["role"]) == (None, "anon")
    assert diary.sql("select count(*) from pg_locks where locktype = 'advisory' and objid = 4711") == [(0,)]


def test_revoked_session_is_refused_on_the_next_request(diary: Server) -> None:
    """A denied session, key or user is 401 at once (invariant 5)."""
    session = str(uuid.uuid4())
    token = diary.token(ALICE, session_id=session)
    assert diary.get("/rest/v1/diary", key=token).status_code == 200
    diary.root_sql(f"insert into auth.denylist (key, reason) values ('session:{session}', 'test')")
    assert diary.get("/rest/v1/diary", key=token).status_code == 401
    assert diary.get("/api/v1/tables/diary", key=token).status_code == 401


@pytest.mark.twin("function:fluxbase.admit")
def test_twin_without_the_denylist_lookup_still_answers(twin: Server) -> None:
    """With admit() replaced by one that looks nothing up, the revoked session reads on."""
    install(twin)
    session = str(uuid.uuid4())
    token = twin.token(ALICE, session_id=session)
    twin.root_sql(f"insert into auth.denylist (key, reason) values ('session:{session}', 'test')")
    assert twin.get("/rest/v1/diary", key=token).status_code == 401
    signature = twin.root_sql(
        "select oid::regprocedure::text, pg_get_functiondef(oid) from pg_proc where proname = 'admit' and pronamespace = 'fluxbase'::regnamespace"
    )[0]
    twin.root_sql(
        "create or replace function fluxbase.admit(deny_keys text[], expected_schema_epoch bigint) returns text "
        "language sql security definer as $$ select schema_epoch || ':' || key_epoch || ':' || freeze_epoch from fluxbase.epoch $$"
    )
    try:
        assert twin.get("/rest/v1/diary", key=token).status_code == 200
    finally:
        twin.root_sql(signature[1])

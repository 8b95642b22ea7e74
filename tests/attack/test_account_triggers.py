"""A trigger of the application on auth.users works, and has its owner's rights only: it runs in the server's own session (threats F51, F52)."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.without import changed_function, replaced_by

SETUP = """
create table if not exists public.profile (id uuid primary key, email text); alter table public.profile enable row level security;
create table if not exists public.loot (what text); delete from public.loot;
grant insert, select on public.loot to public; drop policy if exists anybody on public.loot; create policy anybody on public.loot using (true);
"""
THIEF = """create or replace function public.thief() returns trigger language plpgsql {security} as $$
begin insert into public.loot select string_agg(k::text, ' ') from auth.signing_keys k; return new; end $$"""
TRIGGER = "create trigger a_{name} after insert on auth.users for each row {when} execute function public.{name}()"


@pytest.fixture
def owner(twin: Server) -> Iterator[Server]:
    """The data's administrator, in a database that is clean again afterwards."""
    twin.sql(SETUP)
    yield twin
    twin.root_sql("drop function if exists public.thief cascade; drop function if exists public.handle_new_user cascade")
    twin.root_sql("drop function if exists public.peep cascade; drop trigger if exists zzz_fluxbase_search_path on auth.users")
    twin.root_sql("drop table public.profile, public.loot")


@contextmanager
def unguarded(server: Server) -> Generator[None]:
    """Without the look at new triggers and their functions."""
    with changed_function(server, "fluxbase.guard_trigger", replaced_by("")):
        yield


def enter(server: Server) -> str:
    """Somebody signs up; his id."""
    return sign_up(server, headers={"x-twin-without": "AddressLimit"}).id


def loot(server: Server) -> str:
    """What a trigger read that its owner may not."""
    return " ".join(str(row[0]) for row in server.root_sql("select what from public.loot"))


def test_the_trigger_everybody_writes_works(owner: Server) -> None:
    """A definer function that makes a profile for each new account, as applications of Supabase have it."""
    owner.sql("""create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
        begin insert into public.profile values (new.id, new.email); return new; end $$""")
    owner.sql(TRIGGER.format(name="handle_new_user", when=""))
    made = enter(owner)
    assert owner.sql("select id::text from public.profile") == [(made,)]


@pytest.mark.twin("function:fluxbase.guard_trigger")
def test_a_trigger_with_the_servers_rights_is_refused(owner: Server) -> None:
    """An invoker function would read the signing keys at the next sign-up: refused. The twin that does not look loses them."""
    owner.sql(THIEF.format(security=""))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="server's own session"):
        owner.sql(TRIGGER.format(name="thief", when=""))
    enter(owner)
    assert loot(owner) == ""
    with unguarded(owner):
        owner.sql(TRIGGER.format(name="thief", when=""))
    enter(owner)
    assert len(loot(owner)) > 100


def test_a_definer_function_has_its_owners_rights(owner: Server) -> None:
    """The thief as a definer function breaks the sign-up (its owner may not read signing keys) and takes nothing."""
    owner.sql(THIEF.format(security="security definer"))
    owner.sql(TRIGGER.format(name="thief", when=""))
    answer = owner.post("/api/v1/auth/signup", json={"email": f"{uuid.uuid4().hex}@example.test", "password": "violet tunnel 93 cup"},
                        headers={"x-twin-without": "AddressLimit"})  # fmt: skip
    assert answer.status_code >= 400
    assert loot(owner) == ""


@pytest.mark.parametrize(
    "statement",
    [
        "alter function public.thief() security invoker",
        THIEF.format(security=""),
        "create trigger b after update on auth.users for each row when (public.peep(new.email)) execute function public.thief()",
        "create constraint trigger c after insert on auth.users deferrable for each row execute function public.thief()",
        "create trigger zzzz after insert on auth.users for each row execute function public.thief()",
        "create trigger e after insert on auth.users for each row execute function fluxbase.peeping()",
        "create trigger d after insert on auth.identities for each row execute function public.peeping()",
    ],
)
def test_a_guarded_trigger_is_not_loosened_later(owner: Server, statement: str) -> None:
    """Its function is not made an invoker's, nor replaced by one; conditions that call functions, deferred ones and names after ours are refused."""
    owner.sql(THIEF.format(security="security definer"))
    owner.sql("create or replace function public.peep(text) returns boolean language sql as 'select true'")
    owner.sql("create or replace function public.peeping() returns trigger language plpgsql as 'begin return new; end'")
    owner.sql("create or replace function fluxbase.peeping() returns trigger language plpgsql as 'begin return new; end'")
    owner.sql(TRIGGER.format(name="thief", when=""))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="server's own session"):
        owner.sql(statement)
    owner.sql("drop function public.peeping(); drop function fluxbase.peeping()")


def test_what_a_trigger_leaves_in_the_session_decides_nothing(owner: Server) -> None:
    """It hides our functions behind its own by search_path, and prepares statements under the names a driver counts: neither is run."""
    owner.sql("""create or replace function public.lower(text) returns text language plpgsql as $$
        begin insert into public.loot select string_agg(k::text, ' ') from auth.signing_keys k; return pg_catalog.lower($1); end $$""")
    owner.sql("""create or replace function public.thief() returns trigger language plpgsql security definer as $$
        begin
          execute 'deallocate all';
          for i in 0..30 loop
            execute format('prepare "_pg3_%s" as insert into public.loot select string_agg(k::text, '' '') from auth.signing_keys k returning 1', i);
          end loop;
          perform set_config('search_path', 'public, pg_catalog', false);
          return new;
        end $$""")
    owner.sql(TRIGGER.format(name="thief", when=""))
    try:
        for _ in range(8):
            enter_anyhow(owner)
    finally:
        owner.sql("drop function public.lower(text)")
    assert loot(owner) == ""


def enter_anyhow(server: Server) -> None:
    """Sign up and in; what the trigger broke in its own tenant does not matter here."""
    body = {"email": f"{uuid.uuid4().hex}@example.test", "password": "violet tunnel 93 cup"}
    for path in ("signup", "signin"):
        server.post(f"/api/v1/auth/{path}", json=body, headers={"x-twin-without": "AddressLimit"})

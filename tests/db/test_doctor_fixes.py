"""Each lint that can be mended fires on the bad case and not on the good one, its SQL mends it, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from fluxbase.db.doctor import Fix, examine, lints, mend
from tests.db.migrate_database import Scratch, scratch_cluster

ALICE, BOB = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"


@dataclass(frozen=True)
class Illness:
    """``bad`` makes the lint find ``object``, ``good`` beside it must not be found; ``probes`` answer the same before and after the fix."""

    lint: str
    bad: str
    good: str
    object: str
    probes: tuple[tuple[str, str], ...] = ()
    """(role, SQL) that must answer the same."""
    closes: tuple[tuple[str, str], ...] = ()
    """(role, SQL) that worked and must be refused or empty afterwards: what the fix is for."""


TABLE = (
    "create table {0} (id int primary key, owner uuid not null, note text);"
    f"insert into {{0}} values (1, '{ALICE}', 'a'), (2, '{BOB}', 'b');"
)
OWN = "owner = (select auth.uid())"

ILLNESSES = (
    Illness(
        "tables_without_policy", TABLE.format("ill"), TABLE.format("well") + "create policy p on well using (true); create index on well (owner);",
        "public.ill", (("anon", "select count(*) from ill"), ("authenticated", "select count(*) from ill"), ("service_role", "select count(*) from ill")),
    ),
    Illness(
        "tables_without_rls", TABLE.format("ill") + "alter table ill disable row level security;", TABLE.format("well"), "public.ill",
        (("service_role", "select count(*) from ill"),), (("anon", "select 1 from ill"),),
    ),
    Illness(
        "policies_per_row", TABLE.format("ill") + "create policy p on ill for select using (owner = auth.uid()); create index on ill (owner);",
        TABLE.format("well") + f"create policy p on well for select using ({OWN});", "public.ill: p",
        (("anon", "select id from ill"), ("authenticated", "select id from ill order by id")),
    ),
    Illness(
        "policy_columns", TABLE.format("ill") + f"create policy p on ill for select using ({OWN});",
        TABLE.format("well") + f"create policy p on well for select using ({OWN}); create index on well (owner, id);", "public.ill: owner",
        (("anon", "select id from ill"), ("authenticated", "select id from ill")),
    ),
    Illness(
        "unindexed_foreign_keys", "create table target (id int primary key); create table ill (id int primary key, target_id int references target);",
        "create table well (target_id int references target, at int, primary key (target_id, at));", "public.ill: ill_target_id_fkey",
    ),
    Illness(
        "definer_functions",
        "create function ill() returns int language sql security definer set search_path = '' as 'select 1'; grant execute on function ill() to anon;",
        "create function well() returns int language sql as 'select 1';", "public.ill()", (("anon", "select well()"), ("service_role", "select ill()")),
        (("anon", "select ill()"),),
    ),
    Illness(
        "owner_rights_views", TABLE.format("ill_t") + "create view ill with (security_invoker = false) as select id from ill_t; grant select on ill to anon;",
        "create view well with (security_invoker = true) as select id from ill_t;", "public.ill",
        (("service_role", "select count(*) from ill"),), (("anon", "select 1 from ill"),),
    ),
    Illness(
        "truncate_granted", TABLE.format("ill") + "grant truncate on ill to anon;", TABLE.format("well"), "public.ill",
        (("anon", "select 1 from ill"),), (("anon", "truncate ill"),),
    ),
    Illness(
        "anonymous_writes", TABLE.format("ill") + "create policy p on ill for all using (true);",
        TABLE.format("well") + "create policy r on well for select using (true); create policy w on well for insert to authenticated with check (true);"
        + "create policy o on well for insert to anon with check (owner is null);",
        "public.ill: p",
        (("anon", "select id from ill order by id"), ("authenticated", "select id from ill order by id"),
         ("authenticated", "update ill set note = 'c' where id = 1 returning id")),
        (("anon", "update ill set note = 'x' where id = 1 returning id"), ("anon", "delete from ill where id = 2 returning id"),
         ("anon", f"insert into ill values (3, '{ALICE}', 'x') returning id")),
    ),
    Illness(
        "anonymous_writes", TABLE.format("ill") + "create policy r on ill for select using (true); create policy p on ill for insert to anon with check (true);",
        TABLE.format("well") + "create policy p on well for delete using (false);", "public.ill: p",
        (("anon", "select id from ill order by id"),), (("anon", f"insert into ill values (3, '{ALICE}', 'x') returning id"),),
    ),
    Illness(
        "several_policies",
        TABLE.format("ill") + f"create policy a on ill for update to authenticated using ({OWN}) with check (note <> 'no');"
        + "create policy b on ill for update to authenticated using (note = 'b'); create policy r on ill for select using (true);",
        TABLE.format("well") + "create policy a on well for select to anon using (id = 1); create policy b on well for update to anon using (id = 2);"
        + "create policy c on well as restrictive for select to anon using (true);",
        "public.ill: a, b",
        (("authenticated", "update ill set note = 'c' returning id"), ("authenticated", "update ill set note = 'b' where id = 2 returning id"),
         ("anon", "update ill set note = 'c' returning id")),
    ),
    Illness(
        "credential_columns",
        TABLE.format("ill") + "alter table ill add password_hash text, add key text; create policy p on ill for select to anon using (true);",
        "create table well (id int primary key, token_count int, password_hint_shown bool, reset_token text); revoke select on well from anon, authenticated;"
         "grant select (id, token_count) on well to anon; create policy p on well for select using (true);",
        "public.ill to anon", (("anon", "select id, owner, note, key from ill order by id"), ("service_role", "select password_hash from ill")),
        (("anon", "select password_hash from ill"),),
    ),
    Illness(
        "policies_read_settings",
        TABLE.format("ill") + "create policy p on ill for select using (owner::text = current_setting('request.jwt.claims', true)::json ->> 'sub');",
        TABLE.format("well") + f"create policy p on well for select using ({OWN});", "public.ill: p", (("anon", "select id from ill"),),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Scratch]:
    """One cluster for this file."""
    with scratch_cluster() as scratch:
        yield scratch


def _as_role(conninfo: str, role: str, sql: str) -> Any:
    """The answer of a statement under a role, undone afterwards; the SQLSTATE when it is refused."""
    with psycopg.connect(conninfo) as connection:
        try:
            connection.execute(f"set local role {role}")  # type: ignore[arg-type]
            cursor = connection.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else "done"
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            connection.rollback()


@pytest.mark.parametrize("illness", ILLNESSES, ids=lambda illness: illness.lint)
def test_lint_fires_and_its_fix_mends(cluster: Scratch, illness: Illness) -> None:
    """The lint names the bad object alone; after its SQL it is silent, the probes answer as before, and the hole is closed."""
    database = cluster.database(is_closed_at_birth=True)
    owner = cluster.conninfo(database, "fluxbase_owner")
    root = cluster.conninfo(database, "root_admin")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(illness.bad + illness.good)  # type: ignore[arg-type]
    before = [_as_role(root, role, sql) for role, sql in illness.probes]
    assert all(answer not in ("42501", []) for answer in (_as_role(root, role, sql) for role, sql in illness.closes))

    found = [finding for finding in examine(owner, schemas=["public"]).findings if finding.lint == illness.lint]
    assert [finding.object for finding in found] == [illness.object]
    assert found[0].mend is not Fix.HAND
    mend(owner, found[0])

    assert [finding.object for finding in examine(owner, schemas=["public"]).findings if finding.lint == illness.lint] == []
    assert [_as_role(root, role, sql) for role, sql in illness.probes] == before
    assert [_as_role(root, role, sql) for role, sql in illness.closes if _as_role(root, role, sql) not in ("42501", [])] == []


def test_every_mendable_lint_is_tested() -> None:
    """A lint whose SQL doctor may run has a case here, or is about roles and servers (test_doctor.py)."""
    about_roles = {"event_triggers", "bypassrls", "superuser_login"}
    assert {lint.name for lint in lints() if lint.fix is not Fix.HAND} == {illness.lint for illness in ILLNESSES} | about_roles


def test_a_vague_name_needs_a_secret_inside(cluster: Scratch) -> None:
    """A column ``key`` is found when its values are long and all different, not when they are few words."""
    database = cluster.database(is_closed_at_birth=True)
    owner = cluster.conninfo(database, "fluxbase_owner")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "create table a (key text); create table b (key text); create policy p on a for select using (true);"
            "create policy p on b for select using (true); insert into a select md5(i::text) from generate_series(1, 500) i;"
            "insert into b select 'word' from generate_series(1, 500); analyze a; analyze b;"
        )
    found = [finding.object for finding in examine(owner, schemas=["public"]).findings if finding.lint == "credential_columns"]
    assert found == ["public.a to anon", "public.a to authenticated"]

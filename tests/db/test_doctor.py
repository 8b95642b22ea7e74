"""Each lint finds its fault in a real database and is silent in a sound one."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fluxbase.db.doctor import DoctorError, Fix, Level, Report, examine, lints, mend
from tests.db.migrate_database import Scratch, scratch_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Scratch]:
    """One cluster for this file."""
    with scratch_cluster() as scratch:
        yield scratch


class Patient:
    """A database to examine."""

    def __init__(self, cluster: Scratch, *, is_closed_at_birth: bool) -> None:
        self.cluster = cluster
        self.database = cluster.database(is_closed_at_birth=is_closed_at_birth)
        self.conninfo = cluster.conninfo(self.database, "fluxbase_owner")

    def run(self, sql: str, user: str = "fluxbase_owner") -> list[tuple[Any, ...]]:
        """SQL as the owner."""
        with psycopg.connect(self.cluster.conninfo(self.database, user), autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def found(self, lint: str, **options: Any) -> list[tuple[Level, str]]:
        """Level and object of one lint's findings."""
        report = examine(self.conninfo, schemas=["public"], **options)
        return [(finding.level, finding.object) for finding in report.findings if finding.lint == lint]


@pytest.fixture
def patient(cluster: Scratch) -> Patient:
    """A database whose tables are closed at birth."""
    return Patient(cluster, is_closed_at_birth=True)


def test_a_sound_database_is_ok(patient: Patient) -> None:
    """Closed tables, wrapped policies and invoker views give no finding and exit status 0."""
    patient.run(
        "create table a (owner uuid); create policy p on a to authenticated using (owner = (select auth.uid())); create index on a (owner);"
        "create view v with (security_invoker = true) as select * from a; create function f() returns int return 1;"
    )
    report = examine(patient.conninfo, schemas=["public"])
    assert report.findings == ()
    assert report.exit_status == 0


def test_every_lint_says_what_and_why() -> None:
    """Each file has a unique name, a title and a reason."""
    assert len({lint.name for lint in lints()}) == len(lints()) >= 11
    assert all(lint.title and lint.why for lint in lints())


def test_missing_and_disabled_event_triggers_are_found(cluster: Scratch, patient: Patient) -> None:
    """None at all (managed PostgreSQL) is a warning; one that is switched off is red."""
    assert Patient(cluster, is_closed_at_birth=False).found("event_triggers") == [(Level.WARN, "event triggers")]
    patient.run("alter event trigger close_at_birth disable", user="root_admin")
    assert patient.found("event_triggers") == [(Level.RED, "close_at_birth")]


def test_an_open_table_is_red_unless_it_is_on_the_list(patient: Patient) -> None:
    """RLS off is red; the administrator's list turns it into a reminder."""
    patient.run("create table a (id int); alter table a disable row level security, no force row level security;")
    assert patient.found("tables_without_rls") == [(Level.RED, "public.a")]
    assert patient.found("tables_without_rls", open_relations=["public.a"]) == []
    assert patient.found("open_relations", open_relations=["public.a", "public.gone"]) == [
        (Level.WARN, "public.a"),
        (Level.NOTE, "public.gone"),
    ]


def test_a_table_not_forced_and_one_without_policy(patient: Patient) -> None:
    """NO FORCE is a warning, no policy a note that does not change the exit status."""
    patient.run("create table a (id int)")
    report = examine(patient.conninfo, schemas=["public"])
    assert [(finding.lint, finding.level) for finding in report.findings] == [("tables_without_policy", Level.NOTE)]
    assert report.exit_status == 0
    patient.run("alter table a no force row level security")
    assert patient.found("tables_without_rls") == [(Level.WARN, "public.a")]


def test_truncate_for_clients_is_red(patient: Patient) -> None:
    """TRUNCATE passes every policy."""
    patient.run("create table a (id int); grant truncate on a to authenticated;")
    assert patient.found("truncate_granted") == [(Level.RED, "public.a")]


def test_definer_functions_of_clients_are_found(patient: Patient) -> None:
    """A SECURITY DEFINER function that PUBLIC may execute is named; one that nobody may is not, nor a trigger function."""
    patient.run(
        "create function open() returns int language sql security definer as 'select 1';"
        "create function shut() returns int language sql security definer as 'select 1'; revoke execute on function shut() from public;"
        "create function tr() returns trigger language plpgsql security definer as 'begin return new; end';"
    )
    assert patient.found("definer_functions") == [(Level.WARN, "public.open()")]


def test_owner_rights_views_are_red(patient: Patient) -> None:
    """Views without security_invoker, and granted materialised views, show what their owner sees."""
    patient.run(
        "create view plain as select 1 as a; create view off with (security_invoker = false) as select 1 as a;"
        "create view good with (security_invoker = on) as select 1 as a; create materialized view shut as select 1 as a; revoke all on shut from anon, authenticated;"
        "create materialized view mat as select 1 as a; grant select on mat to anon;"
    )
    assert patient.found("owner_rights_views") == [(Level.RED, "public.mat"), (Level.RED, "public.off"), (Level.RED, "public.plain")]


def test_fix_rewrites_per_row_policies_and_nothing_else(patient: Patient) -> None:
    """--fix hoists auth.uid() on both sides, keeps roles and command, and leaves the other findings alone."""
    patient.run(
        """create table "O'dd" (owner uuid, "ta""g" text); create policy "p 1" on "O'dd" for update to authenticated
           using (owner = auth.uid() or "ta""g" = 'auth.uid()') with check (owner = auth.uid());
           create table b (id int); alter table b disable row level security;"""
    )
    report = examine(patient.conninfo, schemas=["public"])
    safe = [finding for finding in report.findings if finding.lint == "policies_per_row"]
    assert [(finding.object, finding.mend) for finding in safe] == [('public."O\'dd": p 1', Fix.SAFE)]
    mend(patient.conninfo, safe[0])
    assert patient.found("policies_per_row") == []
    assert patient.found("tables_without_rls") == [(Level.RED, "public.b")]
    (row,) = patient.run("select qual, with_check, cmd, roles::text from pg_policies where policyname = 'p 1'")
    assert row[0] == """((owner = ( SELECT auth.uid() AS uid)) OR ("ta""g" = 'auth.uid()'::text))"""
    assert row[1:] == ("(owner = ( SELECT auth.uid() AS uid))", "UPDATE", "{authenticated}")


def test_policies_that_read_settings_are_found_with_a_fix_that_runs(patient: Patient) -> None:
    """Reading request.jwt.claims trusts what any client SQL can set; the printed SQL reads the verified claims."""
    patient.run(
        "create table a (t text); create policy p on a using (t = current_setting('request.jwt.claims', true)::json ->> 'sub');"
        "create policy q on a using (t = current_setting('app.mode', true));"
    )
    report = examine(patient.conninfo, schemas=["public"])
    (finding,) = [finding for finding in report.findings if finding.lint == "policies_read_settings"]
    assert (finding.level, finding.object, finding.mend) == (Level.WARN, "public.a: p", Fix.ASKS)
    assert "request.jwt.claims" in finding.detail
    patient.run(finding.fix)
    assert patient.found("policies_read_settings") == []
    assert patient.found("policies_per_row") == []


def test_a_superuser_login_and_bypassing_client_roles_are_found(patient: Patient) -> None:
    """The administrator's superuser login is a warning; a client role that passes policies is red."""
    report = examine(patient.cluster.conninfo(patient.database, "root_admin"), schemas=["public"])
    assert [(finding.lint, finding.level) for finding in report.findings] == [("superuser_login", Level.WARN)]
    patient.run("create role too_strong bypassrls", user="root_admin")
    assert patient.found("superuser_login", client_roles=["anon", "too_strong"]) == [(Level.RED, "too_strong")]


def test_missing_bypassrls_is_a_warning(patient: Patient) -> None:
    """Where BYPASSRLS may not be granted, doctor says so."""
    patient.run("alter role service_role nobypassrls", user="root_admin")
    try:
        assert patient.found("bypassrls") == [(Level.WARN, "service_role")]
    finally:
        patient.run("alter role service_role bypassrls", user="root_admin")


@pytest.mark.parametrize(
    ("number", "count"), [(150019, 1), (150020, 0), (160015, 1), (170011, 1), (170012, 0), (180005, 1), (180006, 0), (140009, 1)]
)
def test_minors_with_known_holes_are_red(patient: Patient, number: int, count: int) -> None:
    """The lint compares against the first good minor of each major version."""
    (lint,) = [lint for lint in lints() if lint.name == "postgresql_minor"]
    rows = patient.run(lint.sql.replace("pg_catalog.current_setting('server_version_num')", f"'{number}'"))
    assert len(rows) == count


def test_exit_status_is_the_worst() -> None:
    """No finding is 0."""
    assert Report((), ()).exit_status == 0
    assert [int(level) for level in (Level.NOTE, Level.WARN, Level.RED)] == [0, 1, 2]


def test_an_unreachable_database_is_one_line() -> None:
    """No traceback and no password in the message."""
    with pytest.raises(DoctorError) as caught:
        examine("host=/nowhere user=x password=hush dbname=y", schemas=["public"])
    assert "hush" not in str(caught.value)

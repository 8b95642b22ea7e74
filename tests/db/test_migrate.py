"""User migrations against a real PostgreSQL: whole or not at all, once, in order, never past the kernel."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fluxbase.db.user_migration_files import MigrationError
from fluxbase.db.user_migrations import EventKind, MigrationEvent, State, apply_pending, new_file, status, take_back
from tests.db.migrate_database import Scratch, scratch_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Scratch]:
    """One cluster for this file."""
    with scratch_cluster() as scratch:
        yield scratch


class Project:
    """A database and a migrations directory."""

    def __init__(self, cluster: Scratch, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        self.database = cluster.database()
        self.conninfo = cluster.conninfo(self.database, "fluxbase_owner")
        self.events: list[MigrationEvent] = []
        self._number = 0

    def write(self, sql: str, name: str = "step") -> Path:
        """The next file."""
        self._number += 1
        path = self.directory / f"{20260101000000 + self._number}_{name}.sql"
        path.write_text(sql)
        return path

    def up(self) -> list[str]:
        """Apply; the files that were."""
        return [applied.file for applied in apply_pending(self.conninfo, self.directory, on_event=self.events.append)]

    def ask(self, sql: str) -> Any:
        """The first value of a query."""
        with psycopg.connect(self.conninfo) as connection:
            row = connection.execute(sql).fetchone()  # type: ignore[arg-type]
            return row[0] if row else None


@pytest.fixture
def project(cluster: Scratch, tmp_path: Path) -> Project:
    """An empty project."""
    return Project(cluster, tmp_path)


def test_files_are_applied_once_and_in_order(project: Project) -> None:
    """Two files run in the order of their versions; a second run does nothing."""
    project.write("create table a (id int);")
    project.write("insert into a values (1);")
    assert len(project.up()) == 2
    assert project.up() == []
    assert project.ask("select count(*) from a") == 1


def test_a_failing_file_leaves_nothing_behind(project: Project) -> None:
    """The error names file, line, statement and PostgreSQL's message; the file is undone, the one before stays."""
    project.write("create table a (id int);")
    bad = project.write("create table b (id int);\n\n-- comment\ninsert into b\nselect 1 / zero;\n")
    with pytest.raises(MigrationError) as caught:
        project.up()
    error = caught.value
    assert (error.file, error.line, error.sqlstate) == (bad.name, 5, "42703")
    assert 'column "zero" does not exist' in str(error)
    assert "insert into b" in str(error)
    assert project.ask("select to_regclass('b') is null and to_regclass('a') is not null")
    assert [line.state for line in status(project.conninfo, project.directory)] == [State.APPLIED, State.PENDING]


def test_an_error_at_commit_is_the_files_error(project: Project) -> None:
    """A deferred constraint that fails at COMMIT undoes the file and names it."""
    bad = project.write(
        "create table p (id int primary key); create table c (p int references p deferrable initially deferred); insert into c values (1);"
    )
    with pytest.raises(MigrationError) as caught:
        project.up()
    assert (caught.value.file, caught.value.sqlstate) == (bad.name, "23503")
    assert project.ask("select to_regclass('p') is null")


def test_a_changed_applied_file_is_refused(project: Project) -> None:
    """Whoever edits the past is told the file's name, and nothing runs."""
    path = project.write("create table a (id int);")
    project.up()
    path.write_text("create table a (id bigint);")
    project.write("create table b (id int);")
    with pytest.raises(MigrationError, match=f"{path.name}.*has changed"):
        project.up()
    assert project.ask("select to_regclass('b') is null")
    assert status(project.conninfo, project.directory)[0].state is State.CHANGED


def test_line_ends_do_not_change_a_checksum(project: Project) -> None:
    """A checkout with CRLF is the same file."""
    path = project.write("create table a (id int);\nselect 1;\n")
    project.up()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.up() == []


def test_a_renamed_applied_file_is_refused(project: Project) -> None:
    """A rename would run the same SQL twice."""
    path = project.write("create table a (id int);")
    project.up()
    path.rename(path.with_name("20270101000000_other.sql"))
    with pytest.raises(MigrationError, match="already applied under the name"):
        project.up()


def test_two_runs_at_once_apply_each_file_once(project: Project) -> None:
    """One run waits for the other and then has nothing to do."""
    project.write("create table a (id int); select pg_sleep(0.3);")
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(project.up())) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(map(len, results)) == [0, 1]
    assert EventKind.WAITING in {event.kind for event in project.events}


def test_a_superuser_is_refused(project: Project) -> None:
    """User SQL never runs with rights that could switch the security kernel off."""
    project.write("create table a (id int);")
    with pytest.raises(MigrationError, match="superuser 'root_admin'"):
        apply_pending(project.cluster.conninfo(project.database, "root_admin"), project.directory)


@pytest.mark.parametrize(
    ("sql", "message", "line"),
    [
        ("create table a (id int);\n\\dt\n", "psql meta-commands", 2),
        ("create table a (id int);\ncopy a from stdin;\n1\n\\.\n", "syntax error|meta-commands", 3),
        ("create table a (id int);\ncopy a from stdin;\n", "COPY FROM STDIN", 2),
        ("create table a (id int);\ncommit;\n", "transaction control", 2),
        ("create table a (id int);\nselect 'open", "unterminated", 2),
        ("create table a (id int);\ncreate tabel b ();", "syntax error", 2),
    ],
)
def test_what_cannot_run_whole_is_refused_before_it_starts(project: Project, sql: str, message: str, line: int) -> None:
    """psql commands, inline COPY, transaction control and broken SQL are refused with their line; nothing ran."""
    project.write(sql)
    with pytest.raises(MigrationError, match=message) as caught:
        project.up()
    assert caught.value.line == line
    assert project.ask("select to_regclass('a') is null")


def test_a_stray_name_is_refused(project: Project) -> None:
    """A typo in a file name is an error, not a file that is silently skipped."""
    (project.directory / "2026_add.sql").write_text("select 1")
    with pytest.raises(MigrationError, match=r"2026_add\.sql"):
        project.up()


def test_policies_are_rewritten_and_the_file_is_not(project: Project) -> None:
    """The database gets (select auth.uid()), a note says so, the file keeps its text."""
    path = project.write("create table a (owner uuid);\ncreate policy p on a using (owner = auth.uid());")
    text = path.read_text()
    project.up()
    assert "SELECT auth.uid()" in project.ask("select qual from pg_policies where policyname = 'p'")
    assert path.read_text() == text
    notes = [event.text for event in project.events if event.kind is EventKind.NOTE]
    assert len(notes) == 1
    assert notes[0].startswith("policy p on a: 1 identity call")


def test_a_no_transaction_file_goes_on_where_it_failed(project: Project) -> None:
    """CREATE INDEX CONCURRENTLY runs; after a failure and a repair only the rest runs."""
    project.write("create table a (id int);")
    path = project.write(
        "-- migrate:no-transaction\ninsert into a values (1);\ncreate index concurrently a_id on a (id);\ninsert into missing values (1);"
    )
    with pytest.raises(MigrationError, match="missing"):
        project.up()
    assert status(project.conninfo, project.directory)[1].state is State.UNFINISHED
    path.write_text(path.read_text().replace("missing", "a"))
    assert project.up() == [path.name]
    assert project.ask("select count(*) from a") == 2


def test_a_no_transaction_file_whose_applied_part_changed_is_refused(project: Project) -> None:
    """What is done already may not be edited."""
    project.write("create table a (id int);")
    path = project.write("-- migrate:no-transaction\ninsert into a values (1);\ninsert into missing values (1);")
    with pytest.raises(MigrationError):
        project.up()
    path.write_text("-- migrate:no-transaction\ninsert into a values (2);\ninsert into a values (3);")
    with pytest.raises(MigrationError, match="first 1 statements are applied and have changed"):
        project.up()


def test_down_takes_back_the_newest_first(project: Project) -> None:
    """down 2 runs two down sections in reverse; status shows them pending and up applies them again."""
    project.write("create table a (id int);\n-- migrate:down\ndrop table a;")
    project.write("create table b (id int);\n-- migrate:down\ndrop table b;")
    project.write("create view v as select a.id from a, b where '-- migrate:down' = '';\n-- migrate:down\ndrop view v;")
    project.up()
    assert [done.file[-11:] for done in take_back(project.conninfo, project.directory, 3)] == ["03_step.sql", "02_step.sql", "01_step.sql"]
    assert {line.state for line in status(project.conninfo, project.directory)} == {State.PENDING}
    assert len(project.up()) == 3


def test_down_without_a_section_changes_nothing(project: Project) -> None:
    """All down sections are there or none runs."""
    project.write("create table a (id int);")
    project.write("create table b (id int);\n-- migrate:down\ndrop table b;")
    project.up()
    with pytest.raises(MigrationError, match="no down section"):
        take_back(project.conninfo, project.directory, 2)
    assert project.ask("select to_regclass('b') is not null")


def test_a_file_cannot_leave_its_role_or_settings_to_the_next(project: Project) -> None:
    """SET ROLE and SET search_path end with their file."""
    project.write("set search_path = nowhere; set lock_timeout = '1s';")
    project.write("create table a (id int);")
    project.up()
    assert project.ask("select to_regclass('public.a') is not null")


def test_clients_cannot_read_the_history(project: Project) -> None:
    """The history belongs to the owner only."""
    project.write("create table a (id int);")
    project.up()
    with psycopg.connect(project.cluster.conninfo(project.database, "member")) as connection:
        connection.execute("set role authenticated")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from fluxbase.user_migrations")


def test_new_makes_a_file_that_applies(project: Project) -> None:
    """The name is folded, the version is the UTC time, and an empty migration is a migration."""
    path = new_file(project.directory, "Add Orders!")
    assert path.name[14:] == "_add_orders.sql"
    assert project.up() == [path.name]

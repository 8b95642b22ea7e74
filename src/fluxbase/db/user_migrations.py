"""Applies the user's SQL files: checksummed, locked, one transaction each (``fluxbase migrate``).

Run by ``fluxbase_owner`` and never by a superuser: a migration is user SQL and must not be able to undo the security kernel.
A file is applied whole or not at all; one marked ``-- migrate:no-transaction`` keeps count of the statements that are done
and goes on behind them. The history is ``fluxbase.user_migrations``, readable by the owner only.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import errors

from fluxbase.db.named_sql import named_sql
from fluxbase.db.user_migration_files import (
    DOWN_MARK,
    FileStatement,
    MigrationError,
    MigrationFile,
    parse_file,
    prefix_checksum,
    read_directory,
)

LOCK_KEY = 0x666C7578_6D696772
"""Advisory lock of every migration run ("fluxmigr")."""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Applied:
    """One file that was applied or taken back."""

    file: str
    statements: int
    seconds: float


HISTORY = "fluxbase.user_migrations"
"""The table of applied files."""


class EventKind(StrEnum):
    """What :data:`OnEvent` is told about."""

    WAITING = "waiting"
    STARTED = "started"
    NOTE = "note"
    NOTICE = "notice"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class MigrationEvent:
    """Progress for a terminal; ``index`` of ``total`` files, ``text`` in plain words."""

    kind: EventKind
    file: str = ""
    text: str = ""
    index: int = 0
    total: int = 0


OnEvent = Callable[[MigrationEvent], None]


class State(StrEnum):
    """Where one migration stands."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    UNFINISHED = "unfinished"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One line of ``fluxbase migrate status``."""

    file: str
    state: State
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Entry:
    file: str
    checksum: str
    statements_done: int
    applied_at: datetime | None


def new_file(directory: Path, name: str, *, now: datetime | None = None) -> Path:
    """Create an empty migration named after the UTC time; the name is folded to ``a-z0-9_``."""
    folded = "_".join("".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split())
    if not folded:
        raise MigrationError("a migration's name needs at least one letter or digit", hint="fluxbase migrate new create_orders")
    directory.mkdir(parents=True, exist_ok=True)
    stamp = now or datetime.now(UTC)
    path = directory / f"{stamp:%Y%m%d%H%M%S}_{folded[:80]}.sql"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"-- {folded}\n\n\n{DOWN_MARK}\n\n")
    except FileExistsError as error:
        raise MigrationError("exists already", file=path.name) from error
    return path


def apply_pending(conninfo: str, directory: Path, *, on_event: OnEvent | None = None, prefix: str = "") -> list[Applied]:
    """Apply the files of ``directory`` that are not in the history, in order. Nothing to do costs one connection and one query.

    Raises :class:`MigrationError`: an applied file has changed, a file was renamed, the connection is a superuser's, SQL failed
    (then that file is undone and the files before it stay). ``prefix`` tells the histories of several schemas of one database apart.
    """
    files = [replace(file, prefix=prefix) for file in read_directory(directory)]
    if not files:
        return []
    tell = on_event or _silent
    with _connect(conninfo, tell) as connection:
        if not _pending(files, _history(connection, prefix)):
            return []
        with _locked(conninfo, tell):
            _ensure_history(connection)
            entries = _history(connection, prefix)
            pending = _pending(files, entries)
            done = [_apply(connection, file, entries.get(file.file), tell, i, len(pending)) for i, file in enumerate(pending, 1)]
    return done


def ensure_history(conninfo: str) -> None:
    """Make the history table where it is missing: a dump reads it, a restore fills it. Raises :class:`MigrationError`."""
    with _connect(conninfo, _silent) as connection:
        _ensure_history(connection)


def take_back(conninfo: str, directory: Path, count: int = 1, *, on_event: OnEvent | None = None) -> list[Applied]:
    """Run the down sections of the last ``count`` applied files, newest first. All are checked before the first one runs."""
    if count < 1:
        raise MigrationError("the number of migrations to take back must be at least 1")
    files = {file.file: file for file in read_directory(directory)}
    tell = on_event or _silent
    with _connect(conninfo, tell) as connection, _locked(conninfo, tell):
        entries = _history(connection)
        newest = list(reversed(entries.values()))[:count]
        plan: list[tuple[MigrationFile, Sequence[FileStatement], bool]] = []
        for entry in newest:
            file = files.get(entry.file)
            if file is None:
                raise MigrationError(f"is applied but not in {directory}", file=entry.file)
            if entry.applied_at is not None and file.checksum != entry.checksum:
                raise _changed(file)
            parsed = parse_file(file)
            if parsed.down is None:
                raise MigrationError(
                    "has no down section", file=file.file, hint=f"add the line {DOWN_MARK!r} and the SQL that takes it back"
                )
            plan.append((file, parsed.down, parsed.is_transactional))
        done: list[Applied] = []
        for index, (file, statements, is_transactional) in enumerate(plan, 1):
            tell(MigrationEvent(EventKind.STARTED, file.file, index=index, total=len(plan)))
            started = time.monotonic()
            with _unit(connection, file, is_transactional):
                for statement in statements:
                    _execute(connection, file, statement, tell)
                _reset(connection)
                connection.execute(_sql("forget"), {"file": file.file})
            done.append(Applied(file.file, len(statements), time.monotonic() - started))
            tell(MigrationEvent(EventKind.APPLIED, file.file, index=index, total=len(plan)))
    return done


def status(conninfo: str, directory: Path) -> list[MigrationStatus]:
    """Every file and every history entry with its state; changes nothing."""
    files = read_directory(directory)
    with _connect(conninfo, _silent) as connection:
        entries = _history(connection)
    lines: list[MigrationStatus] = []
    for file in files:
        entry = entries.pop(file.file, None)
        if entry is None:
            state = State.PENDING
        elif entry.applied_at is None:
            state = State.UNFINISHED
        else:
            state = State.APPLIED if entry.checksum == file.checksum else State.CHANGED
        lines.append(MigrationStatus(file.file, state, entry.applied_at if entry else None))
    lines.extend(MigrationStatus(entry.file, State.MISSING, entry.applied_at) for entry in entries.values())
    return sorted(lines, key=lambda line: line.file)


def _silent(event: MigrationEvent) -> None:
    del event


@contextmanager
def _connect(conninfo: str, tell: OnEvent) -> Generator[Connection]:
    try:
        connection: Connection = psycopg.connect(conninfo, autocommit=True, application_name="fluxbase migrate")
    except psycopg.Error as error:
        raise MigrationError(f"cannot connect: {str(error).strip()}") from error
    with connection:
        connection.add_notice_handler(
            lambda diagnostic: tell(MigrationEvent(EventKind.NOTICE, text=f"{diagnostic.severity}: {diagnostic.message_primary}"))
        )
        row = connection.execute(_sql("whoami")).fetchone()
        if row is not None and row[1]:
            raise MigrationError(
                f"migrations do not run as the superuser {row[0]!r}: user SQL could switch the security kernel off",
                hint="connect as fluxbase_owner, or any role without SUPERUSER that owns the schema",
            )
        yield connection


@contextmanager
def _locked(conninfo: str, tell: OnEvent) -> Generator[None]:
    """Hold the run's lock on a connection of its own, where no migration can release it."""
    with psycopg.connect(conninfo, autocommit=True, application_name="fluxbase migrate lock") as lock:
        row = lock.execute(_sql("try_lock"), {"key": LOCK_KEY}).fetchone()
        if row is not None and not row[0]:
            tell(MigrationEvent(EventKind.WAITING, text="another migration is running; waiting for it to end"))
            lock.execute(_sql("lock"), {"key": LOCK_KEY})
        yield


def _ensure_history(connection: Connection) -> None:
    row = connection.execute(_sql("history_exists")).fetchone()
    if row is not None and row[0]:
        return
    try:
        connection.execute(_sql("create_history"))
    except psycopg.Error as error:
        raise MigrationError(f"cannot create the history table fluxbase.user_migrations: {_words(error)}") from error


def _history(connection: Connection, prefix: str = "") -> dict[str, _Entry]:
    try:
        rows = connection.execute(_sql("history")).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return {}
    except psycopg.Error as error:
        raise MigrationError(f"cannot read the history table fluxbase.user_migrations: {_words(error)}") from error
    return {row[0]: _Entry(*row) for row in rows if row[0].startswith(prefix) and (prefix or ":" not in row[0])}


def _pending(files: Sequence[MigrationFile], entries: dict[str, _Entry]) -> list[MigrationFile]:
    """Files to apply; refuses when the past was edited."""
    present = {file.file for file in files}
    gone = {entry.checksum: entry.file for entry in entries.values() if entry.file not in present}
    pending: list[MigrationFile] = []
    for file in files:
        entry = entries.get(file.file)
        if entry is None:
            if file.checksum in gone and file.text.strip():
                raise MigrationError(f"is already applied under the name {gone[file.checksum]}", file=file.file, hint="rename it back")
            pending.append(file)
        elif entry.applied_at is None:
            pending.append(file)
        elif entry.checksum != file.checksum:
            raise _changed(file)
    return pending


def _changed(file: MigrationFile) -> MigrationError:
    return MigrationError(
        "has changed since it was applied",
        file=file.file,
        hint="restore the file, and put the change in a new one: fluxbase migrate new NAME",
    )


def _apply(connection: Connection, file: MigrationFile, entry: _Entry | None, tell: OnEvent, index: int, total: int) -> Applied:
    parsed = parse_file(file)
    tell(MigrationEvent(EventKind.STARTED, file.file, index=index, total=total))
    started = time.monotonic()
    record: dict[str, object] = {"file": file.file, "checksum": file.checksum}
    if parsed.is_transactional:
        with _unit(connection, file, is_transactional=True):
            for statement in parsed.up:
                _execute(connection, file, statement, tell)
            _reset(connection)
            _record(connection, record, len(parsed.up), started)
    else:
        done = entry.statements_done if entry else 0
        if entry is not None and prefix_checksum(parsed.up, done) != entry.checksum:
            raise MigrationError(
                f"its first {done} statements are applied and have changed since",
                file=file.file,
                hint="restore them; only the statements behind may change",
            )
        for number, statement in enumerate(parsed.up, 1):
            if number <= done:
                continue
            _execute(connection, file, statement, tell)
            if number < len(parsed.up):
                progress = {"file": file.file, "checksum": prefix_checksum(parsed.up, number), "done": number}
                connection.execute(_sql("progress"), progress)
        _reset(connection)
        _record(connection, record, len(parsed.up), started)
    connection.execute("discard all")
    tell(MigrationEvent(EventKind.APPLIED, file.file, index=index, total=total))
    return Applied(file.file, len(parsed.up), time.monotonic() - started)


@contextmanager
def _unit(connection: Connection, file: MigrationFile, is_transactional: bool) -> Generator[None]:
    """One transaction around a file; an error at COMMIT (deferred constraints) is the file's error too."""
    if not is_transactional:
        yield
        return
    try:
        with connection.transaction():
            yield
    except psycopg.Error as error:
        raise _failed(file, None, error) from error


def _execute(connection: Connection, file: MigrationFile, statement: FileStatement, tell: OnEvent) -> None:
    for policy in statement.executed.policies:
        text = f"policy {policy.policy} on {policy.table}: {policy.calls} identity call(s) per row rewritten to (select …), once per query"
        tell(MigrationEvent(EventKind.NOTE, file.file, text))
    try:
        # The user's own file is the one text that is SQL by definition; it runs with the owner's rights only.
        connection.execute(cast("LiteralString", statement.executed.sql))
    except psycopg.Error as error:
        raise _failed(file, statement, error) from error


def _reset(connection: Connection) -> None:
    """The file may have changed role or search_path; the history is written as the login, with names in full."""
    connection.execute("reset session authorization")
    connection.execute("reset role")


def _record(connection: Connection, record: dict[str, object], statements: int, started: float) -> None:
    connection.execute(_sql("record"), {**record, "done": statements, "milliseconds": int((time.monotonic() - started) * 1000)})


def _failed(file: MigrationFile, statement: FileStatement | None, error: psycopg.Error) -> MigrationError:
    line = None
    if statement is not None:
        line = statement.line
        position = error.diag.statement_position
        if position is not None:  # counted in the executed text; wrapping a call never adds a line
            line += statement.executed.sql.count("\n", 0, int(position) - 1)
    return MigrationError(
        _words(error),
        file=file.file,
        line=line,
        statement=statement.text if statement else "",
        sqlstate=error.sqlstate or "",
        hint=error.diag.message_hint or "",
    )


def _words(error: psycopg.Error) -> str:
    """PostgreSQL's message with its detail; the reader is the administrator, who may see values."""
    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    return f"{message}. {error.diag.message_detail}" if error.diag.message_detail else message


def _sql(name: str) -> LiteralString:
    return named_sql("user_migrations", name)

"""The user's migration files: names, checksums, the down section, and the cut into statements.

A file is cut by PostgreSQL's own grammar and scanner (pglast), so a semicolon in a string or a function body, or
``-- migrate:down`` inside a string, never confuses it. What could leave a file half applied is refused here,
before anything runs: psql meta-commands, COPY FROM STDIN, transaction control inside a transactional file.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fluxbase.db.policy_rewrite import Rewritten, rewrite_policies

FILE_NAME = re.compile(r"(\d{14})_([a-z0-9][a-z0-9_-]*)\.sql")
DOWN_MARK = "-- migrate:down"
NO_TRANSACTION_MARK = "-- migrate:no-transaction"


class MigrationError(Exception):
    """A migration was refused or failed. ``str()`` is the whole message: file, line, statement, PostgreSQL's words."""

    def __init__(
        self, message: str, *, file: str = "", line: int | None = None, statement: str = "", sqlstate: str = "", hint: str = ""
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.statement = statement
        self.sqlstate = sqlstate
        self.hint = hint
        super().__init__(self._text())

    def _text(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}" if place else self.message
        if self.sqlstate:
            text += f" (SQLSTATE {self.sqlstate})"
        if self.statement:
            text += "\n  in: " + _shorten(self.statement)
        if self.hint:
            text += "\n  hint: " + self.hint
        return text


def _shorten(statement: str) -> str:
    lines = statement.strip().splitlines()
    text = "\n      ".join(lines[:8])
    return text[:600] + (" …" if len(lines) > 8 or len(text) > 600 else "")


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One file of the migrations directory, read but not parsed (a checksum costs no parser)."""

    path: Path
    version: str
    name: str
    text: str
    checksum: str
    prefix: str = ""
    """Tells the histories of several schemas of one database apart."""

    @property
    def file(self) -> str:
        """The file name; the key of the history."""
        return self.prefix + self.path.name


@dataclass(frozen=True, slots=True)
class FileStatement:
    """One statement: as written, the 1-based line of its first character, and what is executed after rewriting."""

    text: str
    line: int
    executed: Rewritten


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A file cut into its statements."""

    up: tuple[FileStatement, ...]
    down: tuple[FileStatement, ...] | None
    """None when the file has no ``-- migrate:down`` section."""
    is_transactional: bool


def read_directory(directory: Path) -> list[MigrationFile]:
    """All migration files in order. A stray ``.sql`` name or two files of one version are refused; no directory is no files."""
    if not directory.is_dir():
        return []
    found: list[MigrationFile] = []
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(
                "the name is not <yyyymmddHHMMSS>_<name>.sql", file=path.name, hint="make files with: fluxbase migrate new NAME"
            )
        if found and found[-1].version == match[1]:
            raise MigrationError(f"has the same version as {found[-1].file}", file=path.name, hint="give one of them another time stamp")
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise MigrationError(f"is not UTF-8 (byte {error.start})", file=path.name) from error
        if "\0" in text:
            raise MigrationError("contains a NUL byte", file=path.name)
        found.append(MigrationFile(path, match[1], match[2], text, hashlib.sha256(text.encode()).hexdigest()))
    return found


def parse_file(migration: MigrationFile) -> ParsedFile:
    """Cut ``migration`` into statements; raises :class:`MigrationError` with file and line for what cannot be run safely."""
    from pglast import parser

    text = migration.text
    down_at: int | None = None
    is_transactional = True
    try:
        tokens = parser.scan(text)
    except parser.ParseError as error:
        raise _syntax_error(migration, text, 0, error) from error
    for token in tokens:
        if token.name == "SQL_COMMENT":
            comment = text[token.start : token.end + 1].strip()
            if comment == DOWN_MARK and down_at is None:
                down_at = token.start
            elif comment == NO_TRANSACTION_MARK:
                is_transactional = False
    up_text = text if down_at is None else text[:down_at]
    up = _cut(migration, up_text, 0, is_transactional)
    down = None if down_at is None else _cut(migration, text[down_at:], down_at, is_transactional)
    return ParsedFile(up, down, is_transactional)


def _cut(migration: MigrationFile, text: str, offset: int, is_transactional: bool) -> tuple[FileStatement, ...]:
    from pglast import parser

    try:
        parsed = parser.parse_sql(text)
    except parser.ParseError as error:
        raise _syntax_error(migration, text, offset, error) from error
    statements: list[FileStatement] = []
    for raw in parsed:
        start = raw.stmt_location or 0
        statement = text[start : start + length] if (length := raw.stmt_len) else text[start:].rstrip().rstrip(";")
        line = migration.text.count("\n", 0, offset + start) + 1
        _refuse(migration, raw.stmt, statement, line, is_transactional)
        statements.append(FileStatement(statement, line, rewrite_policies(statement)))
    return tuple(statements)


def _refuse(migration: MigrationFile, node: object, statement: str, line: int, is_transactional: bool) -> None:
    from pglast import ast, enums

    if isinstance(node, ast.CopyStmt) and node.filename is None:
        raise MigrationError(
            "COPY FROM STDIN / TO STDOUT is psql's, not SQL a server runs",
            file=migration.file,
            line=line,
            statement=statement,
            hint="put the rows in seeds/NNN_<schema>.<table>.csv, or write INSERT",
        )
    if not is_transactional or not isinstance(node, ast.TransactionStmt):
        return
    savepoints = (
        enums.TransactionStmtKind.TRANS_STMT_SAVEPOINT,
        enums.TransactionStmtKind.TRANS_STMT_RELEASE,
        enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_TO,
    )
    if node.kind not in savepoints:
        raise MigrationError(
            "transaction control in a file that already runs as one transaction",
            file=migration.file,
            line=line,
            statement=statement,
            hint=f"remove it, or put the line {NO_TRANSACTION_MARK!r} at the top of the file",
        )


def _syntax_error(migration: MigrationFile, text: str, offset: int, error: Exception) -> MigrationError:
    message = str(error.args[0])
    at = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0
    line = migration.text.count("\n", 0, offset + at) + 1
    source = migration.text.splitlines()[line - 1 : line]
    statement = source[0] if source else ""
    if text[at : at + 1] == "\\":
        return MigrationError(
            "psql meta-commands are not supported",
            file=migration.file,
            line=line,
            statement=statement,
            hint="only SQL; run the file's psql part with: fluxbase db psql",
        )
    return MigrationError(message, file=migration.file, line=line, statement=statement, sqlstate="42601")


def prefix_checksum(statements: Sequence[FileStatement], count: int) -> str:
    """Checksum of the first ``count`` statements: what of a failed no-transaction file has already been applied."""
    return hashlib.sha256("\0".join(statement.text for statement in statements[:count]).encode()).hexdigest()

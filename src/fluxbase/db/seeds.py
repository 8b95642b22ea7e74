"""Loads ``seeds/NNN_<schema>.<table>.csv`` into empty tables with COPY, in the order of the numbers.

The header line names the columns; an empty field is NULL. A table that has a row is left alone, so running it again changes nothing.
All files are one transaction: either every empty table is filled or none is.
"""

import csv
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from fluxbase.db.named_sql import named_sql
from fluxbase.db.user_migration_files import MigrationError

SEED_NAME = re.compile(r"(\d+)_([^.]+)\.([^.]+)\.csv")
LOCK_KEY = 0x666C7578_73656564
"""Advisory lock of seeding ("fluxseed"), so two starts at once do not both see an empty table."""


class SeedError(MigrationError):
    """A seed file was refused; the message names the file and says PostgreSQL's reason. Nothing was loaded."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """One table that was filled."""

    file: str
    table: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Seed:
    path: Path
    schema: str
    table: str

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)


def load_seeds(conninfo: str, directory: Path) -> list[Seeded]:
    """Fill the empty tables that ``directory`` has rows for; raises :class:`SeedError`. A few ms when nothing is empty."""
    seeds = _read_directory(directory)
    if not seeds:
        return []
    try:
        with psycopg.connect(conninfo, application_name="fluxbase seeds") as connection:
            _check_tables(connection, seeds)
            if not _any_empty(connection, seeds):
                return []
            connection.execute(named_sql("user_migrations", "seed_lock"), {"key": LOCK_KEY})
            return [_load(connection, seed) for seed in seeds if _any_empty(connection, [seed])]
    except psycopg.OperationalError as error:
        raise SeedError(f"cannot load seeds: {str(error).strip()}") from error


def _read_directory(directory: Path) -> list[_Seed]:
    if not directory.is_dir():
        return []
    seeds: list[tuple[int, _Seed]] = []
    for path in directory.glob("*.csv"):
        match = SEED_NAME.fullmatch(path.name)
        if match is None:
            raise SeedError(f"{path.name}: the name is not NNN_<schema>.<table>.csv")
        seeds.append((int(match[1]), _Seed(path, match[2], match[3])))
    return [seed for _, seed in sorted(seeds, key=lambda item: (item[0], item[1].path.name))]


def _check_tables(connection: psycopg.Connection[Any], seeds: Sequence[_Seed]) -> None:
    wanted = {"schemas": [seed.schema for seed in seeds], "tables": [seed.table for seed in seeds]}
    for seed, (_, exists) in zip(seeds, connection.execute(named_sql("user_migrations", "seed_targets"), wanted), strict=True):
        if not exists:
            raise SeedError(f"{seed.path.name}: there is no table {seed.schema}.{seed.table}; is its migration applied?")


def _any_empty(connection: psycopg.Connection[Any], seeds: Sequence[_Seed]) -> bool:
    checks = [sql.SQL("not exists (select from {})").format(seed.name) for seed in seeds]
    row = connection.execute(sql.SQL("select {}").format(sql.SQL(" or ").join(checks))).fetchone()
    return row is not None and bool(row[0])


def _load(connection: psycopg.Connection[Any], seed: _Seed) -> Seeded:
    started = time.monotonic()
    data = seed.path.read_bytes()
    header: list[str] = next(csv.reader(io.StringIO(data.partition(b"\n")[0].decode("utf-8-sig").rstrip("\r"))), list[str]())
    if not header:
        raise SeedError(f"{seed.path.name}: the first line must name the columns")
    columns = sql.SQL(", ").join(map(sql.Identifier, header))
    where = {"schema": seed.schema, "table": seed.table}
    try:
        # COPY refuses a table whose policies apply to us (a managed PostgreSQL without BYPASSRLS): there, by way of a temporary table.
        active = connection.execute(named_sql("user_migrations", "seed_rules_apply"), where).fetchone()
        is_indirect = active is not None and bool(active[0])
        target = seed.name
        if is_indirect:
            target = sql.Identifier("fluxbase_seed_rows")
            connection.execute(
                sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(target, columns, seed.name)
            )
        with connection.cursor() as cursor:
            with cursor.copy(sql.SQL("copy {} ({}) from stdin (format csv, header true)").format(target, columns)) as copy:
                copy.write(data)
            rows = cursor.rowcount
            if is_indirect:
                cursor.execute(sql.SQL("insert into {} ({}) select {} from {}").format(seed.name, columns, columns, target))
                cursor.execute(sql.SQL("drop table {}").format(target))
            for column, sequence in cursor.execute(named_sql("user_migrations", "seed_sequences"), {**where, "columns": header}).fetchall():
                cursor.execute(
                    sql.SQL("select setval({}::regclass, (select max({}) from {}))").format(
                        sql.Literal(sequence), sql.Identifier(column), seed.name
                    )
                )
            cursor.execute(sql.SQL("analyze {}").format(seed.name))
    except psycopg.Error as error:
        detail = f" ({error.diag.context.splitlines()[0]})" if error.diag.context else ""
        raise SeedError(f"{seed.path.name}: {error.diag.message_primary or error}{detail}") from error
    return Seeded(seed.path.name, f"{seed.schema}.{seed.table}", rows, time.monotonic() - started)

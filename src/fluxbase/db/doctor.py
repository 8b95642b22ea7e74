"""What is open, weak or slow in a database: a list of lints, each one file ``sql/doctor/NNN_<name>.sql``.

A lint's header says ``-- title:``, ``-- why:``, ``-- how:`` and ``-- fix:``; its query returns rows (level, object, detail, fix), and no
row means all is well. ``fix`` is SQL that mends it, or a comment or command for a human.
It reads the text[] settings ``doctor.schemas``, ``doctor.client_roles`` and ``doctor.open_relations``, so psql can run it too.
Where SQL cannot decide, ``-- judge:`` names a function of this module that sees PostgreSQL's parse tree. A new lint is a new file.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg

from fluxbase.db.policy_rewrite import PolicyParseError, compared_columns, replace_claim_settings, rewrite_policies


class Fix(StrEnum):
    """Who decides about a lint's fix."""

    SAFE = "safe"
    """Nobody sees more or less afterwards: ``--fix`` runs it."""
    ASKS = "asks"
    """It changes who may do what: ``--fix`` asks, or takes the lint's name for a yes."""
    HAND = "hand"
    """Not a matter of SQL."""


class DoctorError(Exception):
    """The examination could not be made; one line."""


class Level(IntEnum):
    """How bad a finding is; the exit status of ``fluxbase doctor`` is the worst one's."""

    NOTE = 0
    WARN = 1
    RED = 2

    @property
    def word(self) -> str:
        """The word in the lint files and in JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, and the SQL (or the step) that mends it."""

    lint: str
    title: str
    why: str
    level: Level
    object: str
    detail: str
    fix: str
    mend: Fix


@dataclass(frozen=True, slots=True)
class Lint:
    """One file under ``sql/doctor``."""

    name: str
    title: str
    why: str
    how: str
    fix: Fix
    judge: str
    sql: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found, worst first."""

    findings: tuple[Finding, ...]
    lints: tuple[Lint, ...]

    @property
    def exit_status(self) -> int:
        """0 ok, 1 warnings, 2 red."""
        return max([0, *(finding.level for finding in self.findings)])


@cache
def lints() -> tuple[Lint, ...]:
    """All lints in the order of their file names."""
    folder = files("fluxbase") / "sql" / "doctor"
    found: list[Lint] = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".sql"):
            continue
        text = entry.read_text(encoding="utf-8")
        header = dict(
            line[3:].split(": ", 1)
            for line in text.splitlines()
            if line.startswith(("-- title: ", "-- why: ", "-- how: ", "-- fix: ", "-- judge: "))
        )
        name = entry.name.removesuffix(".sql").partition("_")[2]
        found.append(Lint(name, header["title"], header["why"], header["how"], Fix(header["fix"]), header.get("judge", ""), text))
    return tuple(found)


def examine(
    conninfo: str,
    *,
    schemas: Sequence[str],
    open_relations: Sequence[str] = (),
    client_roles: Sequence[str] = ("anon", "authenticated"),
    without: Collection[str] = (),
) -> Report:
    """Run every lint but those named ``without`` in one read-only transaction.

    Raises :class:`DoctorError` when the database cannot be reached.
    """
    settings = {"doctor.schemas": schemas, "doctor.open_relations": open_relations, "doctor.client_roles": client_roles}
    chosen = tuple(lint for lint in lints() if lint.name not in without)
    findings: list[Finding] = []
    try:
        with psycopg.connect(conninfo, application_name="fluxbase doctor") as connection:
            connection.read_only = True
            # Deparsed policies must name every object with its schema.
            connection.execute("select set_config('search_path', 'pg_catalog', true)")
            for name, values in settings.items():
                connection.execute("select set_config(%s, %s::text[]::text, true)", (name, list(values)))
            for lint in chosen:
                rows = connection.execute(cast("LiteralString", lint.sql)).fetchall()
                findings.extend(finding for row in rows for finding in _judged(lint, row))
    except psycopg.Error as error:
        raise DoctorError(f"cannot examine the database: {str(error).strip()}") from error
    return Report(tuple(sorted(dict.fromkeys(findings), key=lambda finding: -finding.level)), chosen)


def mend(conninfo: str, finding: Finding) -> None:
    """Run the SQL of one finding in a transaction of its own. Raises :class:`DoctorError`; then nothing was changed."""
    try:
        with psycopg.connect(conninfo, application_name="fluxbase doctor --fix") as connection:
            connection.execute("select set_config('search_path', 'pg_catalog', true)")
            connection.execute(cast("LiteralString", finding.fix))
    except psycopg.Error as error:
        raise DoctorError(f"{finding.object} was not mended: {str(error).strip()}") from error


def _judged(lint: Lint, row: tuple[Any, ...]) -> list[Finding]:
    level, name, detail, fix = row
    finding = Finding(lint.name, lint.title, lint.why, Level[level.upper()], name, detail, fix, lint.fix)
    findings = _JUDGES[lint.judge](finding) if lint.judge else [finding]
    return [each if _is_sql(each.fix) else replace(each, mend=Fix.HAND) for each in findings]


def _is_sql(fix: str) -> bool:
    return fix.endswith(";") and not fix.startswith("--")


def _unparsed(finding: Finding) -> list[Finding]:
    return [replace(finding, detail="could not be parsed; look at it yourself", mend=Fix.HAND)]


def _per_row(finding: Finding) -> list[Finding]:
    """Keep a policy whose statement changes when identity calls are hoisted; the changed statement is the fix."""
    if "auth." not in finding.fix:
        return []
    try:
        rewritten = rewrite_policies(finding.fix)
    except PolicyParseError:
        return _unparsed(finding)
    return [replace(finding, fix=rewritten.sql)] if rewritten.policies else []


def _claim_settings(finding: Finding) -> list[Finding]:
    """Keep a policy that reads ``request.*`` settings; the fix reads the verified claims instead where that is the same text."""
    if "current_setting" not in finding.fix:
        return []
    try:
        replaced, names = replace_claim_settings(finding.fix)
    except PolicyParseError:
        return _unparsed(finding)
    if not names:
        return []
    remark = "" if replaced != finding.fix else "-- replace current_setting(…) by auth.uid() or auth.jwt() in: "
    return [replace(finding, detail=f"{finding.detail}: {', '.join(names)}", fix=remark + replaced)]


def _compared_columns(finding: Finding) -> list[Finding]:
    """One finding for each column without index that the policy compares; the policies of a table share it."""
    table = finding.object.rpartition(": ")[0]
    try:
        compared = compared_columns(finding.fix)
    except PolicyParseError:
        return []  # 030 says so already
    return [
        replace(finding, object=f"{table}: {column}", detail="is compared by a policy and no index begins with it", fix=statement)
        for column, statement in json.loads(finding.detail).items()
        if column in compared
    ]


_JUDGES: dict[str, Callable[[Finding], list[Finding]]] = {
    "per_row": _per_row,
    "claim_settings": _claim_settings,
    "compared_columns": _compared_columns,
}

"""What is open, weak or slow in a database: a list of lints, each one file ``sql/doctor/NNN_<name>.sql``.

A lint's header says ``-- title:`` and ``-- why:``; its query returns rows (level, object, detail, fix), and no row means all is well.
It reads the text[] settings ``doctor.schemas``, ``doctor.client_roles`` and ``doctor.open_relations``, so psql can run it too.
Where SQL cannot decide, ``-- judge:`` names a function of this module that sees PostgreSQL's parse tree. A new lint is a new file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg

from fluxbase.db.policy_rewrite import PolicyParseError, replace_claim_settings, rewrite_policies

FIXED_BY_DOCTOR = "policies_per_row"
"""The lint that ``--fix`` mends: the only change here that cannot change who sees what."""


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
    is_fixable: bool
    """Whether ``fluxbase doctor --fix`` mends it."""


@dataclass(frozen=True, slots=True)
class Lint:
    """One file under ``sql/doctor``."""

    name: str
    title: str
    why: str
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
        header = dict(line[3:].split(": ", 1) for line in text.splitlines() if line.startswith(("-- title: ", "-- why: ", "-- judge: ")))
        name = entry.name.removesuffix(".sql").partition("_")[2]
        found.append(Lint(name, header["title"], header["why"], header.get("judge", ""), text))
    return tuple(found)


def examine(
    conninfo: str, *, schemas: Sequence[str], open_relations: Sequence[str] = (), client_roles: Sequence[str] = ("anon", "authenticated")
) -> Report:
    """Run every lint in one read-only transaction. Raises :class:`DoctorError` when the database cannot be reached."""
    settings = {"doctor.schemas": schemas, "doctor.open_relations": open_relations, "doctor.client_roles": client_roles}
    findings: list[Finding] = []
    try:
        with psycopg.connect(conninfo, application_name="fluxbase doctor") as connection:
            connection.read_only = True
            # Deparsed policies must name every object with its schema.
            connection.execute("select set_config('search_path', 'pg_catalog', true)")
            for name, values in settings.items():
                connection.execute("select set_config(%s, %s::text[]::text, true)", (name, list(values)))
            for lint in lints():
                rows = connection.execute(cast("LiteralString", lint.sql)).fetchall()
                findings.extend(finding for row in rows if (finding := _judged(lint, row)) is not None)
    except psycopg.Error as error:
        raise DoctorError(f"cannot examine the database: {str(error).strip()}") from error
    return Report(tuple(sorted(findings, key=lambda finding: -finding.level)), lints())


def mend(conninfo: str, report: Report) -> list[Finding]:
    """Run the SQL of the fixable findings, all in one transaction; returns what was mended."""
    fixable = [finding for finding in report.findings if finding.is_fixable]
    if not fixable:
        return []
    try:
        with psycopg.connect(conninfo, application_name="fluxbase doctor --fix") as connection:
            connection.execute("select set_config('search_path', 'pg_catalog', true)")
            for finding in fixable:
                connection.execute(cast("LiteralString", finding.fix))
    except psycopg.Error as error:
        raise DoctorError(f"nothing was mended: {str(error).strip()}") from error
    return fixable


def _judged(lint: Lint, row: tuple[Any, ...]) -> Finding | None:
    level, name, detail, fix = row
    finding = Finding(lint.name, lint.title, lint.why, Level[level.upper()], name, detail, fix, lint.name == FIXED_BY_DOCTOR)
    return _JUDGES[lint.judge](finding) if lint.judge else finding


def _per_row(finding: Finding) -> Finding | None:
    """Keep a policy whose statement changes when identity calls are hoisted; the changed statement is the fix."""
    if "auth." not in finding.fix:
        return None
    try:
        rewritten = rewrite_policies(finding.fix)
    except PolicyParseError:
        return replace(finding, detail="could not be parsed; look at it yourself", is_fixable=False)
    return replace(finding, fix=rewritten.sql) if rewritten.policies else None


def _claim_settings(finding: Finding) -> Finding | None:
    """Keep a policy that reads ``request.*`` settings; the fix reads the verified claims instead where that is the same text."""
    if "current_setting" not in finding.fix:
        return None
    try:
        replaced, names = replace_claim_settings(finding.fix)
    except PolicyParseError:
        return replace(finding, detail="could not be parsed; look at it yourself")
    if not names:
        return None
    remark = "" if replaced != finding.fix else "-- replace current_setting(…) by auth.uid() or auth.jwt() in: "
    return replace(finding, detail=f"{finding.detail}: {', '.join(names)}", fix=remark + replaced)


_JUDGES: dict[str, Callable[[Finding], Finding | None]] = {"per_row": _per_row, "claim_settings": _claim_settings}

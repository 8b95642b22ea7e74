"""``fluxbase doctor``: what is open, weak or slow, with the SQL that mends it. Exit status 0 ok, 1 warnings, 2 red."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from fluxbase.cli.options import Data, Json, refuse
from fluxbase.cli.owner import OwnerConnectionError, owner_connection
from fluxbase.config import ConfigError
from fluxbase.db.doctor import DoctorError, Finding, Level, Report, examine, mend
from fluxbase.db.instance import running_config

EXAMPLES = """
Examples:

  fluxbase doctor             exit status 0 ok, 1 warnings, 2 red, 3 it could not look

  fluxbase doctor --fix       rewrite policies that call auth.uid() once per row

  fluxbase doctor --json --data /srv/app/.fluxbase
"""

app = typer.Typer(add_completion=False)

_COLOURS = {Level.RED: "bold red", Level.WARN: "yellow", Level.NOTE: "dim"}


@app.command(epilog=EXAMPLES)
def doctor(
    data: Data = None,
    is_json: Json = False,
    is_fixing: Annotated[
        bool, typer.Option("--fix", help="Rewrite policies that call auth.uid() once per row; print the SQL for the rest.")
    ] = False,
) -> None:
    """Check the database for what is open, weak or slow."""
    try:
        rules = running_config(data).data
        roles = ["anon", "authenticated", *rules.custom_roles]
        with owner_connection(data) as conninfo:
            report = examine(conninfo, schemas=rules.schemas, open_relations=rules.open_relations, client_roles=roles)
            mended = mend(conninfo, report) if is_fixing else []
            if mended:
                report = examine(conninfo, schemas=rules.schemas, open_relations=rules.open_relations, client_roles=roles)
    except (DoctorError, OwnerConnectionError, ConfigError) as error:
        refuse("doctor", error, is_json=is_json)
        raise typer.Exit(3) from error
    if is_json:
        sys.stdout.write(json.dumps(_as_json(report, mended)) + "\n")
    else:
        _print(report, mended)
    raise typer.Exit(report.exit_status)


def _as_json(report: Report, mended: list[Finding]) -> dict[str, object]:
    def entry(finding: Finding) -> dict[str, object]:
        return {
            "lint": finding.lint,
            "level": finding.level.word,
            "object": finding.object,
            "detail": finding.detail,
            "why": finding.why,
            "fix": finding.fix,
        }

    return {
        "status": ("ok", "warn", "red")[report.exit_status],
        "findings": [entry(finding) for finding in report.findings],
        "mended": [entry(finding) for finding in mended],
        "lints": [lint.name for lint in report.lints],
    }


def _print(report: Report, mended: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in mended:
        console.print(f"mended  {finding.object}", style="green", markup=False)
    for finding in report.findings:
        console.print(f"{finding.level.word:<5} {finding.object}: {finding.detail}", style=_COLOURS[finding.level], markup=False)
        console.print(f"      {finding.why}", style="dim", markup=False)
        console.print(f"      {finding.fix}", markup=False)
    wrong = {finding.lint for finding in report.findings if finding.level > Level.NOTE}
    console.print(f"{len(report.lints) - len(wrong)} of {len(report.lints)} checks pass", style="green" if not wrong else "", markup=False)

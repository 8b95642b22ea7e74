"""``fluxbase doctor``: what is open, weak or slow, with the SQL that mends it. Exit status 0 ok, 1 warnings, 2 red."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from fluxbase.cli.options import Data, Json, refuse
from fluxbase.cli.owner import OwnerConnectionError, owner_connection
from fluxbase.config import Config, ConfigError
from fluxbase.db.doctor import DoctorError, Finding, Fix, Level, Report, examine, mend
from fluxbase.db.instance import ClusterError, running_config

EXAMPLES = """
Examples:

  fluxbase doctor                              exit status 0 ok (notes at most), 1 warnings, 2 red, 3 it could not look

  fluxbase doctor --fix                        mend what changes nobody's rights; ask about the rest

  fluxbase doctor --fix --yes definer_functions --yes anonymous_writes

  fluxbase doctor --production                 the checklist of docs/security/checklist.md; status 2 when something is red

  fluxbase doctor --json --data /srv/app/.fluxbase
"""

app = typer.Typer(add_completion=False)

_COLOURS = {Level.RED: "bold red", Level.WARN: "yellow", Level.NOTE: "dim"}


@app.command(epilog=EXAMPLES)
def doctor(
    data: Data = None,
    is_json: Json = False,
    is_fixing: Annotated[bool, typer.Option("--fix", help="Run the SQL that mends, shown first, each in its own transaction.")] = False,
    is_production: Annotated[
        bool, typer.Option("--production", help="The checklist before strangers come, against the running instance.")
    ] = False,
    accepted: Annotated[list[str] | None, typer.Option("--yes", help="With --fix: mend this lint without asking; may be repeated.")] = None,
) -> None:
    """Check the database for what is open, weak or slow."""
    mended: list[Finding] = []
    failed: list[str] = []
    try:
        config = running_config(data)
        if not config.database.manage:
            _finish(_peer_report(config), [], [], is_json=is_json)
        rules = config.data
        roles = ["anon", "authenticated", *rules.custom_roles]
        with owner_connection(data) as conninfo:
            report = examine(conninfo, schemas=rules.schemas, open_relations=rules.open_relations, client_roles=roles)
            if is_production:
                _show_production(config, report, is_json=is_json)
            for finding in _chosen(report, accepted or [], is_json=is_json) if is_fixing else ():
                try:
                    mend(conninfo, finding)
                    mended.append(finding)
                except DoctorError as error:
                    failed.append(str(error))
            if mended:
                report = examine(conninfo, schemas=rules.schemas, open_relations=rules.open_relations, client_roles=roles)
    except (DoctorError, OwnerConnectionError, ConfigError, ClusterError) as error:
        refuse("doctor", error, is_json=is_json)
        raise typer.Exit(3) from error
    _finish(report, mended, failed, is_json=is_json)


def _show_production(config: Config, report: Report, *, is_json: bool) -> NoReturn:
    from fluxbase.cli.production import Verdict, examine_production

    checks = list(examine_production(config, report))
    has_red = any(check.verdict is Verdict.RED for check in checks)
    if is_json:
        shown = [{"name": c.name, "title": c.title, "verdict": c.verdict.value, "detail": c.detail, "mend": c.mend} for c in checks]
        sys.stdout.write(json.dumps({"status": "red" if has_red else "ok", "checks": shown}) + "\n")
        raise typer.Exit(2 if has_red else 0)
    console = Console(highlight=False, soft_wrap=True)
    colours = {Verdict.RED: "bold red", Verdict.GREEN: "green", Verdict.YOURS: "yellow"}
    for check in checks:
        console.print(
            f"{check.verdict.value:<7} {check.title} {check.detail[:1].upper()}{check.detail[1:]}.",
            style=colours[check.verdict],
            markup=False,
        )
        if check.mend:
            console.print(f"        {check.mend}", markup=False)
    raise typer.Exit(2 if has_red else 0)


def _peer_report(config: Config) -> Report:
    """Of a database served as it is: read only."""
    from fluxbase.db.peer_doctor import examine_peer
    from fluxbase.peer import effective_config, peer_conninfo

    conninfo = peer_conninfo(config)
    rules = effective_config(config, conninfo)
    return examine_peer(
        conninfo, schemas=rules.data.schemas, open_relations=rules.data.open_relations, anon_role=rules.external.anon_role,
        require_rls=rules.data.require_rls,
    )  # fmt: skip


def _finish(report: Report, mended: list[Finding], failed: list[str], *, is_json: bool) -> NoReturn:
    if is_json:
        sys.stdout.write(json.dumps(_as_json(report, mended, failed)) + "\n")
    else:
        _print(report, mended, failed)
    raise typer.Exit(report.exit_status)


def _chosen(report: Report, accepted: list[str], *, is_json: bool) -> Iterator[Finding]:
    """The findings to mend, each shown before it is run; asks where the fix changes who may do what."""
    unknown = set(accepted) - {lint.name for lint in report.lints}
    if unknown:
        raise DoctorError(f"there is no lint {', '.join(sorted(unknown))}")
    console = Console(highlight=False, soft_wrap=True, stderr=is_json)
    for finding in report.findings:
        if finding.mend is Fix.HAND:
            continue
        is_accepted = finding.mend is Fix.SAFE or finding.lint in accepted
        can_ask = not is_json and sys.stdin.isatty()
        if not is_accepted and not can_ask:
            continue
        console.print(f"{finding.object}: {finding.detail}", markup=False)
        console.print(f"      {finding.fix}", markup=False, style="bold")
        if is_accepted or typer.confirm("      Run it?"):
            yield finding


def _as_json(report: Report, mended: list[Finding], failed: list[str]) -> dict[str, object]:
    def entry(finding: Finding) -> dict[str, object]:
        return {
            "lint": finding.lint,
            "level": finding.level.word,
            "object": finding.object,
            "detail": finding.detail,
            "why": finding.why,
            "fix": finding.fix,
            "mend": finding.mend.value,
        }

    return {
        "status": ("ok", "warn", "red")[report.exit_status],
        "findings": [entry(finding) for finding in report.findings],
        "mended": [entry(finding) for finding in mended],
        "failed": failed,
        "lints": [lint.name for lint in report.lints],
    }


def _print(report: Report, mended: list[Finding], failed: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in mended:
        console.print(f"mended  {finding.object}", style="green", markup=False)
    for text in failed:
        console.print(text, style="red", markup=False)
    for finding in report.findings:
        console.print(f"{finding.level.word:<5} {finding.object}: {finding.detail}", style=_COLOURS[finding.level], markup=False)
        console.print(f"      {finding.why}", style="dim", markup=False)
        console.print(f"      {finding.fix}", markup=False)
    wrong = {finding.lint for finding in report.findings if finding.level > Level.NOTE}
    console.print(f"{len(report.lints) - len(wrong)} of {len(report.lints)} checks pass", style="green" if not wrong else "", markup=False)

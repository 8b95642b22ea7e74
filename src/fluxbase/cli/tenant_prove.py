"""``fluxbase tenant prove A B``: the proof that two tenants are apart, as a report on the terminal and a signed file."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.options import FAILED, Data, Json, refusals

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.proof.prove import Proof

EXAMPLES = """
Examples:

  fluxbase tenant prove acme beta

  fluxbase tenant prove acme beta --report proof.json --json

  fluxbase tenant prove --verify proof.json
"""


def prove(
    tenants: Annotated[list[str] | None, typer.Argument(help="Slugs or ids of two tenants.")] = None,
    report: Annotated[Path, typer.Option("--report", help="File the signed report is written to.")] = Path("tenant-proof.json"),
    verify: Annotated[Path | None, typer.Option("--verify", help="Check the signature of a report instead.")] = None,
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Plant canaries in two tenants, attack every route, login and pool with crossed credentials; exit status 1 on one leak or gap."""
    from fluxbase.db.instance import running_config
    from fluxbase.kernel.errors import InvalidInput

    with refusals("tenant prove", is_json=is_json):
        config = running_config(data)
        if verify is not None:
            _print_verified(asyncio.run(_verified(config, _read(verify))), is_json=is_json)
            return
        if tenants is None or len(tenants) != 2:
            raise InvalidInput("Name two tenants.", code="two_tenants", hint="fluxbase tenant list shows them.")
        try:
            proof, document = asyncio.run(_run(config, *tenants))
        except asyncio.CancelledError:
            sys.stderr.write("Interrupted. What was planted is taken back.\n")
            raise typer.Exit(FAILED) from None
        report.write_bytes(document)
    if is_json:
        sys.stdout.write(orjson.dumps(orjson.loads(document)["report"]).decode() + "\n")
    else:
        _show(proof, report)
    if not proof.holds:
        raise typer.Exit(FAILED)


async def _run(config: Config, first: str, second: str) -> tuple[Proof, bytes]:
    from fluxbase.app import open_program
    from fluxbase.proof.prove import for_proof, prove
    from fluxbase.proof.report import signed

    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):  # what was planted is taken back
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with open_program(config.data_dir, config=for_proof(config)) as program:
        proof = await prove(program, first, second)
        return proof, signed(proof, (await program.rings.get(program.registry.default.id)).ring)


def _read(file: Path) -> bytes:
    from fluxbase.kernel.errors import InvalidInput

    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror})", code="bad_report") from None


async def _verified(config: Config, text: bytes) -> dict[str, Any]:
    from fluxbase.app import open_program
    from fluxbase.proof.report import verified

    async with open_program(config.data_dir, config=config) as program:
        return verified(text, (await program.rings.get(program.registry.default.id)).ring)


def _print_verified(report: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        sys.stdout.write(orjson.dumps(report).decode() + "\n")
        return
    names = " and ".join(tenant["slug"] for tenant in report["tenants"])
    verdict = "they are apart" if report["holds"] else f"{len(report['findings'])} findings"
    sys.stdout.write(f"The signature holds. {names}: {verdict}.\n")


def _show(proof: Proof, file: Path) -> None:
    out = Console(highlight=False)
    table = Table("route", "attacks", "leaks", box=None)
    leaks = [finding.where for finding in proof.tally.findings if finding.kind == "leak"]
    for where, attacks in proof.tally.trials.items():
        table.add_row(where, str(attacks), str(leaks.count(where) or ""))
    out.print(table)
    for name, section in proof.sections.items():
        out.print(
            f"{name}: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in section.items() if not isinstance(count, dict))
        )
    for finding in proof.tally.findings:
        out.print(f"{finding.kind.upper()}  {finding.where}: {finding.what}", style="red", markup=False)
    names = " and ".join(f"{tenant['slug']} ({tenant['isolation']})" for tenant in proof.tenants)
    out.print(f"{names}: {'apart' if proof.holds else 'NOT PROVEN'}. Signed report: {file}", style="green" if proof.holds else "red")

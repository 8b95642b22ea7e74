"""``fluxbase keys show|rotate``: what a client needs to connect, and new keys when old ones must go."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from fluxbase.cli.options import Data, Json, console, refusals

EXAMPLES_SHOW = """
Examples:

  fluxbase keys show

  fluxbase keys show --json --data /srv/app/.fluxbase | jq -r .anon_key
"""
EXAMPLES_ROTATE = """
Examples:

  fluxbase keys rotate                          new keys; the old ones keep working until you revoke them

  fluxbase keys rotate --revoke                 a key leaked: every older key is refused from now on, on every node

  fluxbase keys rotate --signing-key --revoke   also a new signing key: everybody signs in again
"""

EXAMPLES_SCAN = """
Examples:

  fluxbase keys scan .                     before a commit: status 1 when a key is in a file

  fluxbase keys scan src --json
"""

app = typer.Typer(help="Show and rotate the anon and service keys; find keys in files.", no_args_is_help=True, add_completion=False)

_ABOUT = {
    "url": "where the server listens",
    "anon_key": "for browsers and apps: Row Level Security decides",
    "service_key": "for your servers only: passes Row Level Security",
    "publishable_key": "the anon key in its short form",
    "secret_key": "the service key in its short form",
    "database_url": "the administrator's connection (fluxbase_owner)",
}


@app.command("show", epilog=EXAMPLES_SHOW)
def show(data: Data = None, is_json: Json = False) -> None:
    """Print the URL, the current keys and the database URL. The secret ones give full access: keep them off screens and logs."""
    _print(_run(data, is_json, _shown), is_json)


@app.command("rotate", epilog=EXAMPLES_ROTATE)
def rotate(
    data: Data = None,
    is_revoking: Annotated[bool, typer.Option("--revoke", help="Refuse all older keys at once.")] = False,
    with_signing_key: Annotated[
        bool, typer.Option("--signing-key", help="New signing key too; with --revoke, tokens of the old one are refused.")
    ] = False,
    is_json: Json = False,
) -> None:
    """Make a new anon and service key. The old ones stay valid unless --revoke is given."""

    async def rotated(program: Any) -> dict[str, str]:
        keys = await program.keys.rotate(
            program.registry.default, is_revoking=is_revoking, with_signing_key=with_signing_key, actor=f"cli:{os.geteuid()}"
        )
        return keys.revealed()

    result = _run(data, is_json, rotated)
    if not is_json:
        console.print(
            "[green]New keys.[/] " + ("Every older key is refused from now on." if is_revoking else "The old ones are still valid.")
        )
    _print(result, is_json)


@app.command("scan", epilog=EXAMPLES_SCAN)
def scan(
    path: Annotated[Path, typer.Argument(help="File or folder to look through.")],
    data: Data = None,  # noqa: ARG001 - every command has it; this one needs no instance
    is_json: Json = False,
) -> None:
    """Find keys of Fluxbase that lie in files, without any server. Status 1 when there is a secret one."""
    from fluxbase.cli.key_scan import scan_path

    if not path.exists():
        console.print(f"[red]{path} does not exist.[/]")
        raise typer.Exit(2)
    found = list(scan_path(path))
    if is_json:
        sys.stdout.write(json.dumps({"found": [item.shown() for item in found]}) + "\n")
    else:
        for item in found:
            sys.stdout.write(f"{item.path}:{item.line}: {item.kind} {item.start}…\n")
    raise typer.Exit(1 if any(item.is_secret for item in found) else 0)


async def _shown(program: Any) -> dict[str, str]:
    return (await program.keys.show(program.registry.default)).revealed()


def _run(data: Path | None, is_json: bool, use: Callable[[Any], Awaitable[dict[str, str]]]) -> dict[str, str]:
    """Open the instance's database, use its key service, add the URLs. A refusal is a message and exit status 1."""
    from fluxbase.db.instance import ClusterError, Instance, running_config

    async def run() -> dict[str, str]:
        from fluxbase.app import open_program
        from fluxbase.db.conninfo import as_url
        from fluxbase.worker import public_url

        config = running_config(data)
        if config.database.url is None and not Instance(config.data_dir).is_held():
            raise ClusterError(f"no instance runs on {config.data_dir}: start it with `fluxbase start --data {config.data_dir}`")
        async with open_program(config.data_dir, config=config) as program:
            keys = await use(program)
            return {"url": public_url(config), **keys, "database_url": as_url(program.target.owner_conninfo)}

    with refusals("keys", is_json=is_json):
        return asyncio.run(run())


def _print(values: dict[str, str], is_json: bool) -> None:
    """JSON, or a table for people; without a terminal, plain ``name value`` lines that nothing wraps."""
    if is_json:
        sys.stdout.write(json.dumps(values) + "\n")
        return
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{name} {value}\n" for name, value in values.items()))
        return
    screen = Console(highlight=False)
    for name, value in values.items():
        screen.print(f"[bold]{name}[/]  [dim]{_ABOUT[name]}[/]")
        screen.print(f"[cyan]{escape(value)}[/]\n", soft_wrap=True)

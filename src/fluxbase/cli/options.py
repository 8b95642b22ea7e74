"""What every command shares: ``--data``, ``--json``, exit statuses, and how a refusal is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

FAILED = 1
"""It could not be done; the message says why and how to mend it."""
WRONG_USE = 2
"""The command line or the configuration is wrong; nothing was started."""

Data = Annotated[
    Path | None, typer.Option("--data", help="Data directory of the instance (default ./.fluxbase).", envvar="FLUXBASE_DATA_DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

console = Console(stderr=True, highlight=False)
"""Progress and refusals; answers go to standard output."""


@contextmanager
def refusals(command: str, *, is_json: bool) -> Generator[None]:
    """A refusal is one message and exit status 1 or 2, never a traceback; with ``--json`` an object with ``error``."""
    from fluxbase.cli.owner import OwnerConnectionError
    from fluxbase.config import ConfigError
    from fluxbase.crypto.master import MasterKeyError
    from fluxbase.db.instance import ClusterError
    from fluxbase.db.provision import ProvisionError
    from fluxbase.db.user_migration_files import MigrationError
    from fluxbase.kernel.errors import FluxbaseError

    try:
        yield
    except (ConfigError, ClusterError, MasterKeyError, MigrationError, OwnerConnectionError, ProvisionError, FluxbaseError) as error:
        refuse(command, error, is_json=is_json)
        raise typer.Exit(WRONG_USE if isinstance(error, ConfigError) else FAILED) from error


def with_program(command: str, data: Path | None, work: Callable[[Any], Awaitable[Any]], *, is_json: bool) -> Any:
    """Open the database of the running instance and do something there; a refusal ends the command."""
    import asyncio

    from fluxbase.db.instance import ClusterError, Instance, running_config

    async def run() -> Any:
        from fluxbase.app import open_program

        config = running_config(data)
        if config.database.url is None and not Instance(config.data_dir).is_held():
            raise ClusterError(f"no instance runs on {config.data_dir}: start it with `fluxbase start --data {config.data_dir}`")
        async with open_program(config.data_dir, config=config) as program:
            return await work(program)

    with refusals(command, is_json=is_json):
        return asyncio.run(run())


def refuse(command: str, error: Exception, *, is_json: bool) -> None:
    """Say why a command stops; a failing migration also says file, line and statement."""
    hint = getattr(error, "hint", None)
    if is_json:
        more = {name: getattr(error, name, None) or None for name in ("file", "line", "statement", "sqlstate", "hint")}
        is_migration = hasattr(error, "statement")
        body = {"error": getattr(error, "message", str(error)), **(more if is_migration else {"hint": hint} if hint else {})}
        sys.stdout.write(json.dumps(body) + "\n")
    else:
        shown = "" if hint is None or str(hint) in str(error) else f" {hint}"
        console.print(f"fluxbase {command}: {error}{shown}", style="red", markup=False, soft_wrap=True)

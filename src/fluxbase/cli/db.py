"""``fluxbase db psql|dump|restore``: PostgreSQL's own tools, as the administrator ``fluxbase_owner``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from fluxbase.cli.owner import OwnerConnectionError, owner_connection

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
DataOption = Annotated[Path, typer.Option("--data", help="Data directory of the instance.")]
DEFAULT_DATA = Path(os.environ.get("FLUXBASE_DATA_DIR", ".fluxbase"))


def _tool(name: str) -> str:
    """The shipped tool, or the one on PATH. Exits with a line that says what to install."""
    from fluxbase.db.cluster import ClusterError, shipped_install

    try:
        shipped = shipped_install() / "bin" / name
        if shipped.exists():
            return str(shipped)
    except ClusterError:
        pass
    found = shutil.which(name)
    if found is None:
        sys.stderr.write(f"fluxbase: {name} is not installed; install PostgreSQL's client programs\n")
        raise typer.Exit(1)
    return found


def _run(name: str, data: Path, arguments: list[str], *, stdin: int | None = None) -> None:
    from fluxbase.db.conninfo import as_environment

    try:
        with owner_connection(data) as conninfo:
            # Through the environment: a password among the arguments would be seen by every user of the machine.
            environment = {**os.environ, **as_environment(conninfo)}
            code = subprocess.run([_tool(name), *arguments], env=environment, stdin=stdin, check=False).returncode
    except OwnerConnectionError as error:
        sys.stderr.write(f"fluxbase: {error}\n")
        raise typer.Exit(1) from None
    raise typer.Exit(code)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def psql(context: typer.Context, data: DataOption = DEFAULT_DATA) -> None:
    """An SQL prompt. Example: fluxbase db psql -- -c 'select now()'"""
    _run("psql", data, list(context.args))


@app.command()
def dump(file: Annotated[Path, typer.Argument(help="File to write.")], data: DataOption = DEFAULT_DATA) -> None:
    """Write your schemas as plain SQL (not the system's). Example: fluxbase db dump backup.sql"""
    from fluxbase.config import load_config

    schemas = [f"--schema={name}" for name in load_config(data_dir=data).data.schemas]
    _run("pg_dump", data, ["--no-owner", *schemas, f"--file={file}"])


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A dump in plain SQL.", exists=True)], data: DataOption = DEFAULT_DATA) -> None:
    """Run a dump in one transaction. Example: fluxbase db restore backup.sql

    psql's own commands (lines that begin with a backslash) are refused: a hostile dump could run programs (threat F58).
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\\") and not re.match(r"\\(?:un)?restrict [A-Za-z0-9]+$|\\\.$", line):
            sys.stderr.write(f"fluxbase: {file}:{number} is a psql command; a dump must be plain SQL\n")
            raise typer.Exit(1)
    _run("psql", data, ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={file}"])

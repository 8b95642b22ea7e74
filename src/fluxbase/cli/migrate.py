"""``fluxbase migrate new|up|status|down``: the user's own SQL files, run as ``fluxbase_owner``."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.owner import OwnerConnectionError, owner_connection
from fluxbase.config import ConfigError
from fluxbase.db.user_migration_files import MigrationError
from fluxbase.db.user_migrations import Applied, EventKind, MigrationEvent, State, apply_pending, new_file, status, take_back

app = typer.Typer(help="Your own SQL migrations: new, up, status, down.", no_args_is_help=True, add_completion=False)

Data = Annotated[Path, typer.Option("--data", help="The data directory of the instance.", envvar="FLUXBASE_DATA_DIR")]
Dir = Annotated[Path | None, typer.Option("--dir", help="The migrations directory (default: database.migrations_path).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DATA = Path(".fluxbase")

_console = Console(stderr=True, highlight=False)


@app.command("new")
def new(name: str, data: Data = DATA, directory: Dir = None, is_json: Json = False) -> None:
    """Make an empty migration file, named after the UTC time."""
    with _errors(is_json):
        path = new_file(directory or _configured_directory(data), name)
    _print({"file": str(path)}, str(path), is_json)


@app.command("up")
def up(data: Data = DATA, directory: Dir = None, is_json: Json = False) -> None:
    """Apply what is pending, each file in one transaction."""
    with _errors(is_json), owner_connection(data) as conninfo:
        applied = apply_pending(conninfo, directory or _configured_directory(data), on_event=None if is_json else _progress)
    _print({"applied": [_entry(item) for item in applied]}, f"{len(applied)} applied" if applied else "nothing to apply", is_json)


@app.command("down")
def down(
    count: Annotated[int, typer.Argument(min=1, help="How many to take back.")] = 1,
    data: Data = DATA,
    directory: Dir = None,
    is_json: Json = False,
) -> None:
    """Take back the last COUNT migrations with their `-- migrate:down` sections."""
    with _errors(is_json), owner_connection(data) as conninfo:
        taken = take_back(conninfo, directory or _configured_directory(data), count, on_event=None if is_json else _progress)
    _print({"taken_back": [_entry(item) for item in taken]}, f"{len(taken)} taken back", is_json)


@app.command("status")
def show_status(data: Data = DATA, directory: Dir = None, is_json: Json = False) -> None:
    """List every migration and where it stands. Exit status 1 when a file is changed or unfinished."""
    with _errors(is_json), owner_connection(data) as conninfo:
        lines = status(conninfo, directory or _configured_directory(data))
    if is_json:
        rows = [
            {"file": line.file, "state": line.state.value, "applied_at": line.applied_at.isoformat() if line.applied_at else None}
            for line in lines
        ]
        sys.stdout.write(json.dumps({"migrations": rows}) + "\n")
    else:
        table = Table("file", "state", "applied at (UTC)", box=None)
        for line in lines:
            table.add_row(
                line.file, f"[{_COLOURS[line.state]}]{line.state}[/]", f"{line.applied_at:%Y-%m-%d %H:%M:%S}" if line.applied_at else ""
            )
        Console(highlight=False).print(table if lines else "no migrations")
    if any(line.state in {State.CHANGED, State.UNFINISHED} for line in lines):
        raise typer.Exit(1)


_COLOURS = {State.APPLIED: "green", State.PENDING: "yellow", State.CHANGED: "red", State.UNFINISHED: "red", State.MISSING: "dim"}


def _configured_directory(data: Path) -> Path:
    from fluxbase.config import load_config

    return Path(load_config(data_dir=data).database.migrations_path)


def _progress(event: MigrationEvent) -> None:
    place = f"[{event.index}/{event.total}] " if event.total else ""
    match event.kind:
        case EventKind.APPLIED:
            _console.print(f"{place}{event.file} done", style="green", markup=False)
        case EventKind.STARTED:
            _console.print(f"{place}{event.file}", markup=False)
        case _:
            _console.print(f"  {event.text}", style="yellow" if event.kind is EventKind.WAITING else "dim", markup=False)


def _entry(item: Applied) -> dict[str, object]:
    return {"file": item.file, "statements": item.statements, "seconds": round(item.seconds, 3)}


def _print(data: dict[str, object], text: str, is_json: bool) -> None:
    sys.stdout.write((json.dumps(data) if is_json else text) + "\n")


@contextmanager
def _errors(is_json: bool) -> Generator[None]:
    """A refusal is a message and exit status 1, never a traceback."""
    try:
        yield
    except (MigrationError, ConfigError, OwnerConnectionError) as error:
        if is_json:
            fields = ("file", "line", "statement", "sqlstate", "hint")
            body = {"error": getattr(error, "message", str(error)), **{name: getattr(error, name, None) or None for name in fields}}
            sys.stdout.write(json.dumps(body) + "\n")
        else:
            _console.print(f"fluxbase migrate: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error

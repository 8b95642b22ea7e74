"""``fluxbase migrate new|up|status|down``: the user's own SQL files, run as ``fluxbase_owner``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.options import Data, Json, refusals
from fluxbase.cli.owner import owner_connection
from fluxbase.cli.progress import Progress
from fluxbase.db.user_migrations import Applied, State, apply_pending, new_file, status, take_back

app = typer.Typer(help="Your own SQL migrations: new, up, status, down.", no_args_is_help=True, add_completion=False)

Dir = Annotated[Path | None, typer.Option("--dir", help="The migrations directory (default: database.migrations_path).")]

EXAMPLES = {
    "new": ("fluxbase migrate new create_orders", "fluxbase migrate new add_index --dir db/migrations"),
    "up": ("fluxbase migrate up", "fluxbase migrate up --data /srv/app/.fluxbase --json"),
    "down": ("fluxbase migrate down", "fluxbase migrate down 2"),
    "status": ("fluxbase migrate status", "fluxbase migrate status --json"),
}


def _examples(command: str) -> str:
    return "\n\n".join(["", "Examples:", *(f"  {line}" for line in EXAMPLES[command])]) + "\n"


@app.command("new", epilog=_examples("new"))
def new(
    name: Annotated[str, typer.Argument(help="What it does, in a few words.")],
    data: Data = None,
    directory: Dir = None,
    is_json: Json = False,
) -> None:
    """Make an empty migration file, named after the UTC time."""
    with refusals("migrate", is_json=is_json):
        path = new_file(directory or _configured_directory(data), name)
    _print({"file": str(path)}, str(path), is_json)


@app.command("up", epilog=_examples("up"))
def up(data: Data = None, directory: Dir = None, is_json: Json = False) -> None:
    """Apply what is pending, each file in one transaction."""
    progress = Progress(is_quiet=is_json)
    with refusals("migrate", is_json=is_json), owner_connection(data) as conninfo, progress.running():
        applied = apply_pending(conninfo, directory or _configured_directory(data), on_event=progress.migration)
    _print({"applied": [_entry(item) for item in applied]}, f"{len(applied)} applied" if applied else "nothing to apply", is_json)


@app.command("down", epilog=_examples("down"))
def down(
    count: Annotated[int, typer.Argument(min=1, help="How many to take back.")] = 1,
    data: Data = None,
    directory: Dir = None,
    is_json: Json = False,
) -> None:
    """Take back the last COUNT migrations with their `-- migrate:down` sections."""
    progress = Progress(is_quiet=is_json)
    with refusals("migrate", is_json=is_json), owner_connection(data) as conninfo, progress.running():
        taken = take_back(conninfo, directory or _configured_directory(data), count, on_event=progress.migration)
    _print({"taken_back": [_entry(item) for item in taken]}, f"{len(taken)} taken back", is_json)


@app.command("status", epilog=_examples("status"))
def show_status(data: Data = None, directory: Dir = None, is_json: Json = False) -> None:
    """List every migration and where it stands. Exit status 1 when a file is changed or unfinished."""
    with refusals("migrate", is_json=is_json), owner_connection(data) as conninfo:
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


def _configured_directory(data: Path | None) -> Path:
    from fluxbase.db.instance import running_config

    return Path(running_config(data).database.migrations_path)


def _entry(item: Applied) -> dict[str, object]:
    return {"file": item.file, "statements": item.statements, "seconds": round(item.seconds, 3)}


def _print(data: dict[str, object], text: str, is_json: bool) -> None:
    sys.stdout.write((json.dumps(data) if is_json else text) + "\n")

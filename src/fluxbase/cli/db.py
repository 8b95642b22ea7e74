"""``fluxbase db psql|dump|restore``: PostgreSQL's own tools, as the administrator ``fluxbase_owner``."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn

import typer

from fluxbase.cli.options import FAILED, Data, Json, console, refusals
from fluxbase.cli.owner import owner_connection
from fluxbase.cli.progress import Progress

PSQL_EXAMPLES = """
Examples:

  fluxbase db psql

  fluxbase db psql -- -c 'select now()'

  fluxbase db psql --data /srv/app/.fluxbase -- --csv -f report.sql
"""
DUMP_EXAMPLES = """
Examples:

  fluxbase db dump backup.sql

  fluxbase db dump backup.sql --data /srv/app/.fluxbase --json
"""
RESTORE_EXAMPLES = """
Examples:

  fluxbase db restore backup.sql

  fluxbase db restore backup.sql --trust   # you know who wrote it

  fluxbase start --data ./new &  sleep 5;  fluxbase db restore backup.sql --data ./new
"""

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)


def _tool(name: str, conninfo: str) -> str:
    """The shipped tool, or the one on PATH where TLS is asked for (the shipped ones have none). Exits with what to install."""
    from fluxbase.db.cluster import ClusterError, shipped_install
    from fluxbase.db.conninfo import as_environment

    needs_tls = as_environment(conninfo).get("PGSSLMODE", "prefer") not in {"disable", "allow", "prefer"}
    found = shutil.which(name) if needs_tls else None
    if not needs_tls:
        with contextlib.suppress(ClusterError):
            shipped = shipped_install() / "bin" / name
            found = str(shipped) if shipped.exists() else shutil.which(name)
    if found is None:
        _fail(f"{name} is not installed{' (the one in the box has no TLS)' if needs_tls else ''}: install PostgreSQL's client programs")
    return found


def _environment(conninfo: str) -> dict[str, str]:
    """Through the environment: a password among the arguments would be seen by every user of the machine."""
    from fluxbase.db.conninfo import as_environment

    return {**{name: value for name, value in os.environ.items() if not name.startswith("PG")}, **as_environment(conninfo)}


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, epilog=PSQL_EXAMPLES)
def psql(context: typer.Context, data: Data = None) -> None:
    """An SQL prompt; what stands after -- goes to psql. The exit status is psql's."""
    with refusals("db", is_json=False), owner_connection(data) as conninfo:
        code = subprocess.run([_tool("psql", conninfo), *context.args], env=_environment(conninfo), check=False).returncode
    raise typer.Exit(code)


@app.command(epilog=DUMP_EXAMPLES)
def dump(file: Annotated[Path, typer.Argument(help="File to write.")], data: Data = None, is_json: Json = False) -> None:
    """Write your schemas and the list of applied migrations as plain SQL, readable for you only. The system's own tables stay out."""
    from fluxbase.db.instance import running_config
    from fluxbase.db.user_migrations import HISTORY, ensure_history

    progress = Progress(is_quiet=is_json)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with refusals("db", is_json=is_json), owner_connection(data) as conninfo, progress.running():
        progress.step("Writing the dump")
        ensure_history(conninfo)
        schemas = [f"--schema={name}" for name in running_config(data).data.schemas]
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                _pg_dump(conninfo, ["--no-owner", *schemas], out)
                _pg_dump(conninfo, ["--data-only", f"--table={HISTORY}"], out)
            draft.replace(file)
        except OSError as error:
            _fail(f"{file} cannot be written ({error.strerror})", is_json=is_json)
        finally:
            draft.unlink(missing_ok=True)
    size = file.stat().st_size
    sys.stdout.write((json.dumps({"file": str(file), "bytes": size}) if is_json else f"{file}: {size:,} bytes") + "\n")


def _pg_dump(conninfo: str, arguments: list[str], out: BinaryIO) -> None:
    done = subprocess.run([_tool("pg_dump", conninfo), *arguments], env=_environment(conninfo), stdout=out, check=False)
    if done.returncode != 0:
        raise typer.Exit(FAILED)


@app.command(epilog=RESTORE_EXAMPLES)
def restore(
    file: Annotated[Path, typer.Argument(help="A dump in plain SQL.")],
    data: Data = None,
    is_trusted: Annotated[
        bool, typer.Option("--trust", help="Also what opens the database: definer functions, owner-rights views, wide grants.")
    ] = False,
    is_json: Json = False,
) -> None:
    """Run a dump in one transaction, into an instance whose schemas are still empty: all of it or nothing.

    psql's own commands in the file are refused (a hostile dump could run programs with them), and so is a dump that ends its
    transaction or makes objects in schemas of the system. What lets clients pass policies needs --trust.
    """
    from fluxbase.cli.dump_file import DumpFileError, safe_lines
    from fluxbase.cli.restore_guard import guarded, new_token
    from fluxbase.db.user_migrations import ensure_history

    progress = Progress(is_quiet=is_json)
    code, message = FAILED, ""
    try:
        with refusals("db", is_json=is_json), owner_connection(data) as conninfo, progress.running():
            for _ in safe_lines(file):
                pass  # refuse a bad file before its first statement runs
            progress.step("Restoring")
            ensure_history(conninfo)
            code, message = _feed_psql(conninfo, guarded(safe_lines(file), token := new_token(), is_trusted=is_trusted), token)
    except DumpFileError as error:
        _fail(str(error), is_json=is_json)
    except OSError as error:
        _fail(f"{file} cannot be read ({error.strerror})", is_json=is_json)
    if code != 0:
        _fail(f"nothing was restored: {message}", is_json=is_json)
    sys.stdout.write((json.dumps({"file": str(file), "is_restored": True}) if is_json else f"{file} is restored") + "\n")


def _feed_psql(conninfo: str, lines: Iterable[bytes], token: str) -> tuple[int, str]:
    """0, or a failure and its first error. Without the token as its last row psql came to the end of the file before that of the guard."""
    arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=AUTOCOMMIT=off", "--set=ON_ERROR_STOP=1", "--file=-"]
    environment = {**_environment(conninfo), "PGOPTIONS": "-c client_min_messages=warning"}
    with (
        tempfile.TemporaryFile() as errors,
        tempfile.TemporaryFile() as rows,
    ):  # no pipes: psql must never wait for us to read while we write
        with subprocess.Popen(
            [_tool("psql", conninfo), *arguments], env=environment, stdin=subprocess.PIPE, stdout=rows, stderr=errors
        ) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError):  # psql stopped at an error; it says which
                process.stdin.writelines(lines)
                process.stdin.close()
        errors.seek(0)
        text = errors.read().decode(errors="replace")
        rows.seek(max(0, rows.seek(0, os.SEEK_END) - len(token) - 2))
        is_whole = rows.read().split()[-1:] == [token.encode()]
    if process.returncode == 0 and not is_whole:
        return FAILED, "the file ends in the middle of a statement"
    first = next((line for line in text.splitlines() if "ERROR:" in line or "error:" in line), text.strip()[:200])
    return process.returncode, first.removeprefix("psql:").strip()


def _fail(message: str, *, is_json: bool = False) -> NoReturn:
    if is_json:
        sys.stdout.write(json.dumps({"error": message}) + "\n")
    else:
        console.print(f"fluxbase db: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(FAILED)

"""``fluxbase tenant``: make, list, repair, freeze, migrate, delete and recover tenants, and prove two of them apart."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli import tenant_prove
from fluxbase.cli.options import Data, Json, refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Slug = Annotated[str, typer.Argument(help="Slug or id of the tenant.")]
app.command("prove", epilog=tenant_prove.EXAMPLES)(tenant_prove.prove)


@app.command(epilog="Example: fluxbase tenant create acme --name 'Acme Ltd' --json")
def create(
    slug: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens; a letter first.")],
    name: Annotated[str, typer.Option(help="The name people read.")] = "",
    host: Annotated[list[str] | None, typer.Option(help="A host name it answers at (repeatable).")] = None,
    isolation: Annotated[str, typer.Option(help="database: one of its own; schema or row: of a shared one.")] = "database",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Make a tenant: a database of its own, logins, keys. Prints its keys."""

    async def work(tenants: Any) -> dict[str, object]:
        from fluxbase.tenancy.lifecycle import NewTenant, check_isolation

        row = await tenants.create(NewTenant(slug, name, hosts=tuple(host or ()), isolation=check_isolation(isolation)), actor=_actor())
        return {**row.public(), **await tenants.keys(row)}

    _print(_run(data, is_json, work), is_json)


@app.command("list", epilog="Example: fluxbase tenant list --json")
def list_(
    data: Data = None, with_deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False, is_json: Json = False
) -> None:
    """Show every tenant."""

    async def work(tenants: Any) -> list[dict[str, object]]:
        return [row.public() for row in await tenants.list(with_deleted=with_deleted)]

    rows = _run(data, is_json, work)
    if is_json:
        _print(rows, is_json)
        return
    table = Table("slug", "name", "status", "database", "created", box=None)
    for row in rows:
        status = "deleted" if row["deleted_at"] else row["status"]
        if status == "error":
            status = f"error at {row['failed_step']}"
        table.add_row(row["slug"], row["name"], status, row["db_name"], row["created_at"])
    Console(highlight=False).print(table)


@app.command(epilog="Example: fluxbase tenant keys acme --json")
def keys(slug: Slug, data: Data = None, is_json: Json = False) -> None:
    """Show a tenant's keys again."""

    async def work(tenants: Any) -> dict[str, str]:
        return await tenants.keys(await tenants.get(slug))

    _print(_run(data, is_json, work), is_json)


@app.command(epilog="Example: fluxbase tenant repair acme")
def repair(slug: Slug, data: Data = None, is_json: Json = False) -> None:
    """Finish or mend a tenant that is not active: every step is run again."""

    async def work(tenants: Any) -> dict[str, object]:
        return (await tenants.repair(slug, actor=_actor())).public()

    _print(_run(data, is_json, work), is_json)


@app.command(epilog="Example: fluxbase tenant migrate acme")
def migrate(slug: Slug, data: Data = None, is_json: Json = False) -> None:
    """Apply your pending migrations in a tenant's database."""

    async def work(tenants: Any) -> dict[str, object]:
        applied = await tenants.migrate(slug, actor=_actor())
        return {"status": "migrated" if applied else "skipped", "applied": applied}

    _print(_run(data, is_json, work), is_json)


@app.command(epilog="Example: fluxbase tenant freeze acme; fluxbase tenant freeze acme --off")
def freeze(
    slug: Slug, data: Data = None, is_off: Annotated[bool, typer.Option("--off", help="Serve it again.")] = False, is_json: Json = False
) -> None:
    """Refuse every request of a tenant from now on, on every node."""

    async def work(tenants: Any) -> dict[str, object]:
        row = await tenants.freeze(slug, is_frozen=not is_off, actor=_actor())
        return {"slug": row.slug, "is_frozen": not is_off}

    _print(_run(data, is_json, work), is_json)


@app.command(epilog="Example: fluxbase tenant delete acme; fluxbase tenant delete acme --hard --yes")
def delete(
    slug: Slug,
    data: Data = None,
    is_hard: Annotated[bool, typer.Option("--hard", help="Drop the database. There is no way back.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    is_json: Json = False,
) -> None:
    """Take a tenant out of service; with --hard drop its database."""
    if is_hard and not is_sure:
        typer.confirm(f"Drop the database of {slug} for good?", abort=True)

    async def work(tenants: Any) -> dict[str, object]:
        await tenants.delete(slug, is_hard=is_hard, actor=_actor())
        return {"slug": slug, "status": "dropped" if is_hard else "deleted"}

    _print(_run(data, is_json, work), is_json)


@app.command(epilog="Example: fluxbase tenant recover acme")
def recover(slug: Slug, data: Data = None, is_json: Json = False) -> None:
    """Undo a delete that was not --hard."""

    async def work(tenants: Any) -> dict[str, object]:
        return (await tenants.recover(slug, actor=_actor())).public()

    _print(_run(data, is_json, work), is_json)


def _actor() -> str:
    return f"cli:{os.geteuid()}"


def _run(data: Path | None, is_json: bool, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Open the instance, do the work. A refusal is a line on stderr (or a JSON object) and exit status 1."""
    from fluxbase.db.instance import running_config

    async def run() -> Any:
        from fluxbase.app import open_program

        config = running_config(data)
        async with open_program(config.data_dir, config=config) as program:
            return await work(program.tenants)

    with refusals("tenant", is_json=is_json):
        return asyncio.run(run())


def _print(value: Any, is_json: bool) -> None:
    if is_json:
        sys.stdout.write(json.dumps(value) + "\n")
        return
    sys.stdout.write("".join(f"{name} {text}\n" for name, text in value.items() if text not in (None, [], {})))

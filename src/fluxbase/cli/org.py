"""``fluxbase org create|list|members|add|remove|delete``: organisations of a tenant and who is in them (docs/rbac.md)."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.administrator import TenantOption, UserArgument, administrator, user_id
from fluxbase.cli.options import Data, Json, with_program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fluxbase.auth.organisations import Organisations
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

EXAMPLES_CREATE = """
Examples:

  fluxbase org create acme --owner ada@example.com

  fluxbase org create acme --name 'Acme Ltd' --tenant shop --json
"""
EXAMPLES_ADD = """
Examples:

  fluxbase org add acme ada@example.com

  fluxbase org add acme ada@example.com --role admin
"""

app = typer.Typer(help="Organisations of a tenant.", no_args_is_help=True, add_completion=False)
OrgArgument = Annotated[str, typer.Argument(metavar="ORG", help="Slug or id of the organisation.")]


@dataclass(frozen=True)
class Work:
    """What a command works with: the use cases, as whom, in which tenant."""

    program: Any
    tenant: Tenant
    organisations: Organisations
    caller: Principal

    async def user(self, text: str) -> str:
        """A user's id."""
        return await user_id(self.program, self.tenant, text)

    async def organisation(self, text: str) -> str:
        """An organisation's id."""
        try:
            return str(uuid.UUID(text))
        except ValueError:
            return await self.organisations.id_of(self.caller, text)


@app.command("create", epilog=EXAMPLES_CREATE)
def create(
    slug: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    name: Annotated[str, typer.Option(help="The name people read.")] = "",
    owner: Annotated[str, typer.Option(help="Its first owner: e-mail address or id of a user.")] = "",
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Make an organisation."""

    async def work(at: Work) -> dict[str, Any]:
        return await at.organisations.create(at.caller, slug, name, {}, await at.user(owner) if owner else None)

    row = _run("create", data, tenant, work, is_json=is_json)
    _print(row, f"{row['slug']} {row['id']}", is_json=is_json)


@app.command("list", epilog="Example: fluxbase org list --tenant acme --json")
def list_(
    offset: Annotated[int, typer.Option(min=0, help="Where the page of a hundred begins.")] = 0,
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Show the organisations of a tenant, a hundred at a time."""

    async def work(at: Work) -> list[dict[str, Any]]:
        return await at.organisations.list(at.caller, offset)

    _show("organisations", _run("list", data, tenant, work, is_json=is_json), ("slug", "name", "id"), is_json=is_json)


@app.command("members", epilog="Example: fluxbase org members acme --json")
def members(org: OrgArgument, tenant: TenantOption = "default", data: Data = None, is_json: Json = False) -> None:
    """Show who is in an organisation, and as what."""

    async def work(at: Work) -> list[dict[str, Any]]:
        return await at.organisations.members(at.caller, await at.organisation(org))

    _show("members", _run("members", data, tenant, work, is_json=is_json), ("user_id", "role"), is_json=is_json)


@app.command("add", epilog=EXAMPLES_ADD)
def add(
    org: OrgArgument,
    user: UserArgument,
    role: Annotated[str | None, typer.Option(help="What the user may do there; none: be a member.")] = None,
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Take a user into an organisation."""

    async def work(at: Work) -> dict[str, Any]:
        return await at.organisations.set_member(at.caller, await at.organisation(org), await at.user(user), role, is_new=True)

    row = _run("add", data, tenant, work, is_json=is_json)
    _print(row, f"{user} is {row['role'] or 'a member'} of {org}.", is_json=is_json)


@app.command("remove", epilog="Example: fluxbase org remove acme ada@example.com")
def remove(org: OrgArgument, user: UserArgument, tenant: TenantOption = "default", data: Data = None, is_json: Json = False) -> None:
    """Put a user out of an organisation and its teams; the last owner stays."""

    async def work(at: Work) -> None:
        await at.organisations.remove_member(at.caller, await at.organisation(org), await at.user(user))

    _run("remove", data, tenant, work, is_json=is_json)
    _print({"user": user, "organisation": org, "status": "removed"}, f"{user} is out of {org}.", is_json=is_json)


@app.command("delete", epilog="Example: fluxbase org delete acme --yes")
def delete(
    org: OrgArgument,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Delete an organisation with its teams and memberships."""
    if not is_sure:
        typer.confirm(f"Delete {org} with its teams and memberships?", abort=True)

    async def work(at: Work) -> None:
        await at.organisations.delete(at.caller, await at.organisation(org))

    _run("delete", data, tenant, work, is_json=is_json)
    _print({"organisation": org, "status": "deleted"}, f"{org} is deleted.", is_json=is_json)


def _run(verb: str, data: Path | None, slug: str, work: Callable[[Work], Awaitable[Any]], *, is_json: bool) -> Any:
    async def with_organisations(program: Any) -> Any:
        from fluxbase.parts.rbac import organisations

        tenant = await program.registry.resolve(slug)
        return await work(Work(program, tenant, organisations(program), administrator(tenant)))

    return with_program(f"org {verb}", data, with_organisations, is_json=is_json)


def _print(answer: object, text: str, *, is_json: bool) -> None:
    sys.stdout.write((json.dumps(answer) if is_json else text) + "\n")


def _show(name: str, rows: list[dict[str, Any]], columns: tuple[str, ...], *, is_json: bool) -> None:
    if is_json:
        sys.stdout.write(json.dumps({name: rows}) + "\n")
        return
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(str(row[column] or "") for column in columns))
    Console(highlight=False, soft_wrap=True).print(table)

"""``fluxbase role list|set|delete|grant|revoke``: a tenant's roles and who has them in all of it (docs/rbac.md)."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.administrator import TenantOption, UserArgument, administrator, user_id
from fluxbase.cli.options import Data, Json, with_program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fluxbase.auth.roles import Roles
    from fluxbase.kernel.principal import Principal

EXAMPLES_LIST = """
Examples:

  fluxbase role list

  fluxbase role list --user ada@example.com --tenant acme --json
"""
EXAMPLES_SET = """
Examples:

  fluxbase role set editor --permission posts:post:write --permission posts:post:read

  fluxbase role set auditor --permission 'posts:*:read' --description 'Reads everything'
"""
EXAMPLES_GRANT = """
Examples:

  fluxbase role grant ada@example.com editor --tenant acme
"""
EXAMPLES_REVOKE = """
Examples:

  fluxbase role revoke ada@example.com editor --json
"""

app = typer.Typer(help="Roles of a tenant.", no_args_is_help=True, add_completion=False)
RoleArgument = Annotated[str, typer.Argument(metavar="ROLE", help="Name of the role.")]


@app.command("list", epilog=EXAMPLES_LIST)
def list_(
    user: Annotated[str, typer.Option("--user", help="Only the roles of this user: e-mail address or id.")] = "",
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Show the roles and what each allows, or those a user has."""

    async def work(roles: Roles, caller: Principal, find: Callable[[str], Awaitable[str]]) -> list[dict[str, Any]]:
        rows = await roles.list(caller)
        if not user:
            return rows
        held = await roles.of_user(caller, await find(user))
        return [row for row in rows if row["name"] in held]

    rows = _run("list", data, tenant, work, is_json=is_json)
    if is_json:
        sys.stdout.write(json.dumps({"roles": rows}) + "\n")
        return
    table = Table("role", "permissions", "description", box=None)
    for row in rows:
        table.add_row(row["name"], ", ".join(row["permissions"]), row["description"])
    Console(highlight=False, soft_wrap=True).print(table)


@app.command("set", epilog=EXAMPLES_SET)
def set_(
    role: RoleArgument,
    permission: Annotated[list[str] | None, typer.Option(help="area:resource:action, * for any part (repeatable).")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    tenant: TenantOption = "default",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Make a role or write it anew; whoever has it holds that from his next request on."""

    async def work(roles: Roles, caller: Principal, _: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
        return await roles.put(caller, role, description, permission or [])

    row = _run("set", data, tenant, work, is_json=is_json)
    _print(row, f"{row['name']}: {', '.join(row['permissions']) or 'no permissions'}", is_json=is_json)


@app.command("delete", epilog="Example: fluxbase role delete editor --tenant acme")
def delete(role: RoleArgument, tenant: TenantOption = "default", data: Data = None, is_json: Json = False) -> None:
    """Delete a role; whoever had it has it no more."""

    async def work(roles: Roles, caller: Principal, _: Callable[[str], Awaitable[str]]) -> None:
        await roles.delete(caller, role)

    _run("delete", data, tenant, work, is_json=is_json)
    _print({"role": role, "status": "deleted"}, f"{role} is deleted.", is_json=is_json)


@app.command("grant", epilog=EXAMPLES_GRANT)
def grant(user: UserArgument, role: RoleArgument, tenant: TenantOption = "default", data: Data = None, is_json: Json = False) -> None:
    """Give a user a role in the whole tenant, from his next request on."""
    _change("grant", user, role, tenant, data, is_json=is_json)


@app.command("revoke", epilog=EXAMPLES_REVOKE)
def revoke(user: UserArgument, role: RoleArgument, tenant: TenantOption = "default", data: Data = None, is_json: Json = False) -> None:
    """Take a role back, from the user's next request on."""
    _change("revoke", user, role, tenant, data, is_json=is_json)


def _change(verb: str, user: str, role: str, tenant: str, data: Path | None, *, is_json: bool) -> None:
    async def work(roles: Roles, caller: Principal, find: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
        found = await find(user)
        return {"user_id": found, "roles": await (roles.assign if verb == "grant" else roles.unassign)(caller, found, role)}

    answer = _run(verb, data, tenant, work, is_json=is_json)
    _print(answer, f"{user} has: {', '.join(answer['roles']) or 'no role'}", is_json=is_json)


def _run(verb: str, data: Path | None, slug: str, work: Callable[..., Awaitable[Any]], *, is_json: bool) -> Any:
    async def with_roles(program: Any) -> Any:
        from fluxbase.parts.rbac import roles

        tenant = await program.registry.resolve(slug)

        async def find(text: str) -> str:
            return await user_id(program, tenant, text)

        return await work(roles(program), administrator(tenant), find)

    return with_program(f"role {verb}", data, with_roles, is_json=is_json)


def _print(answer: object, text: str, *, is_json: bool) -> None:
    sys.stdout.write((json.dumps(answer) if is_json else text) + "\n")

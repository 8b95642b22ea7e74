"""``fluxbase maintenance on|off|status``: answer 503 to everything, or to one route, on every worker and node."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from fluxbase.cli.options import Data, Json, console, with_program

EXAMPLES_ON = """
Examples:

  fluxbase maintenance on --message "Back at 14:00 UTC."

  fluxbase maintenance on --route tenants.create        one route alone (docs/permissions.md has the names)
"""
EXAMPLES_OFF = """
Examples:

  fluxbase maintenance off

  fluxbase maintenance off --route tenants.create
"""
EXAMPLES_STATUS = """
Examples:

  fluxbase maintenance status --json
"""
Route = Annotated[str, typer.Option(help="Only this route, by its name.")]

app = typer.Typer(help="Maintenance mode and the switch of single routes.", no_args_is_help=True, add_completion=False)


@app.command("on", epilog=EXAMPLES_ON)
def on(
    message: Annotated[str, typer.Option(help="What clients are told.")] = "", route: Route = "", data: Data = None, is_json: Json = False
) -> None:
    """Answer 503 with Retry-After from about a second from now on; /health and /ready go on."""
    _set(route, data, is_off=True, message=message, is_json=is_json)


@app.command("off", epilog=EXAMPLES_OFF)
def off(route: Route = "", data: Data = None, is_json: Json = False) -> None:
    """Serve again."""
    _set(route, data, is_off=False, message="", is_json=is_json)


@app.command("status", epilog=EXAMPLES_STATUS)
def status(data: Data = None, is_json: Json = False) -> None:
    """Show what is switched off."""
    from fluxbase.limits.blocklist_store import select_switches

    async def work(program: Any) -> list[dict[str, str]]:
        async with program.sessions("main", reason="what is off") as tx:
            return await select_switches(tx)

    switches = with_program("maintenance", data, work, is_json=is_json)
    if is_json:
        sys.stdout.write(json.dumps({"off": switches}) + "\n")
        return
    for switch in switches:
        sys.stdout.write(f"{switch['name']}  since {switch['created_at']}  {switch['message']}  ({switch['actor']})\n")


def _set(route: str, data: Any, *, is_off: bool, message: str, is_json: bool) -> None:
    from fluxbase.audit.store import record
    from fluxbase.kernel.errors import NotFound
    from fluxbase.limits.blocklist_store import set_switch

    name = f"route:{route}" if route else "maintenance"
    actor = f"cli:{os.geteuid()}"

    async def work(program: Any) -> str:
        async with program.sessions("main", reason="maintenance") as tx:
            if not await set_switch(tx, name, is_off=is_off, message=message, actor=actor):
                raise NotFound(f"{name} is not switched off", code="not_off")
            action = "maintenance.on" if is_off else "maintenance.off"
            await record(tx, action=action, actor=actor, resource=name, details={"message": message})
        return "off" if is_off else "serving"

    result = with_program("maintenance", data, work, is_json=is_json)
    if is_json:
        sys.stdout.write(json.dumps({"name": name, "status": result}) + "\n")
    else:
        console.print(f"{name}: {'answers 503' if is_off else 'served again'}, within a second on every node.", markup=False)

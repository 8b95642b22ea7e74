"""``fluxbase block list|add|remove``: which addresses are refused, on every worker and node."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
from typing import Annotated, Any

import typer

from fluxbase.cli.options import Data, Json, console, refusals, with_program

EXAMPLES_LIST = """
Examples:

  fluxbase block list

  fluxbase block list --json | jq -r '.blocks[].network'
"""
EXAMPLES_ADD = """
Examples:

  fluxbase block add 203.0.113.7 --for 1h --reason "credential stuffing"

  fluxbase block add 2001:db8:1:2::/64                  for good
"""
EXAMPLES_REMOVE = """
Examples:

  fluxbase block remove 203.0.113.7
"""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

app = typer.Typer(help="Addresses that are refused.", no_args_is_help=True, add_completion=False)


@app.command("list", epilog=EXAMPLES_LIST)
def list_(data: Data = None, is_json: Json = False) -> None:
    """Show what is blocked now: by hand, and by itself after failed authentications or canary hits."""
    from fluxbase.limits.blocklist_store import select_blocks

    async def work(program: Any) -> list[dict[str, str | None]]:
        async with program.sessions("main", reason="list blocks") as tx:
            return await select_blocks(tx)

    blocks = with_program("block", data, work, is_json=is_json)
    if is_json:
        sys.stdout.write(json.dumps({"blocks": blocks}) + "\n")
        return
    for block in blocks:
        sys.stdout.write(f"{block['network']}  until {block['expires_at'] or 'removed'}  {block['reason']}  ({block['actor']})\n")


@app.command("add", epilog=EXAMPLES_ADD)
def add(
    network: Annotated[str, typer.Argument(help="Address or CIDR.")],
    duration: Annotated[str, typer.Option("--for", help="How long: 90s, 15m, 1h, 7d; without it until it is removed.")] = "",
    reason: Annotated[str, typer.Option(help="Why; shown in the list.")] = "",
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Refuse an address or network with 403 from about a second from now on."""
    from fluxbase.audit.store import record
    from fluxbase.limits.blocklist_store import insert_block

    async def work(program: Any) -> str:
        async with program.sessions("main", reason="block an address") as tx:
            await insert_block(tx, found, reason=reason, actor=f"cli:{os.geteuid()}", seconds=seconds)
            await record(tx, action="block.added", actor=f"cli:{os.geteuid()}", resource=found, details={"reason": reason})
        return found

    with refusals("block", is_json=is_json):
        found, seconds = _network(network), _duration(duration)
    _say(with_program("block", data, work, is_json=is_json), "blocked", is_json=is_json)


@app.command("remove", epilog=EXAMPLES_REMOVE)
def remove(
    network: Annotated[str, typer.Argument(help="Address or CIDR, as it was added.")], data: Data = None, is_json: Json = False
) -> None:
    """Let it in again."""
    from fluxbase.audit.store import record
    from fluxbase.kernel.errors import NotFound
    from fluxbase.limits.blocklist_store import delete_block

    async def work(program: Any) -> str:
        async with program.sessions("main", reason="let an address in") as tx:
            if not await delete_block(tx, found):
                raise NotFound(f"{found} is not blocked", code="not_blocked")
            await record(tx, action="block.removed", actor=f"cli:{os.geteuid()}", resource=found, details={})
        return found

    with refusals("block", is_json=is_json):
        found = _network(network)
    _say(with_program("block", data, work, is_json=is_json), "served again", is_json=is_json)


def _say(network: str, what: str, *, is_json: bool) -> None:
    if is_json:
        sys.stdout.write(json.dumps({"network": network, "status": what}) + "\n")
    else:
        console.print(f"{network} is {what}, within a second on every node.", markup=False)


def _network(text: str) -> str:
    from fluxbase.kernel.errors import InvalidInput

    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidInput("not an address or a network such as 203.0.113.0/24", code="bad_network") from None


def _duration(text: str) -> int | None:
    from fluxbase.kernel.errors import InvalidInput

    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if text and found is None:
        raise InvalidInput("--for is a number with s, m, h or d, such as 15m", code="bad_duration")
    return int(found[1]) * _SECONDS[found[2]] if found else None

"""``fluxbase mail list|show|test``: what was mailed to users, the kept mails of a development server, and whether mail goes out."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fluxbase.cli.options import FAILED, Data, Json, console, refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fluxbase.mail.queue import KeptMail
    from fluxbase.mail.store import MailRow

EXAMPLES_LIST = """
Examples:

  fluxbase mail list

  fluxbase mail list --tenant acme --json
"""
EXAMPLES_SHOW = """
Examples:

  fluxbase mail show                      the newest mail

  fluxbase mail show --json | jq -r .code
"""
EXAMPLES_TEST = """
Examples:

  fluxbase mail test you@example.com
"""

app = typer.Typer(help="Mails to users.", no_args_is_help=True, add_completion=False)
Slug = Annotated[str, typer.Option("--tenant", help="Slug or id of the tenant; platform: administrators' mails.")]


@app.command("list", epilog=EXAMPLES_LIST)
def list_(
    data: Data = None,
    tenant: Slug = "default",
    most: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, the newest first.")] = 50,
    is_json: Json = False,
) -> None:
    """List the mails of the last days: to whom, what, and whether they were kept, sent or refused."""

    async def work(program: Any) -> list[MailRow]:
        found = await _tenant(program, tenant)
        async with program.sessions(found, reason="list mails") as tx:
            return await program.mail.queue.list(tx, found, most=most)

    rows = _run(data, is_json, "list", work)
    if is_json:
        sys.stdout.write(json.dumps([_summary(row) for row in rows]) + "\n")
        return
    table = Table("id", "to", "what", "status", "created", "failure", box=None)
    for row in rows:
        table.add_row(row.id, row.recipient, row.template, row.status, row.created_at, row.failure or "")
    Console(highlight=False, soft_wrap=True).print(table)


@app.command("show", epilog=EXAMPLES_SHOW)
def show(
    mail_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which mail; the newest when left out.")] = None,
    data: Data = None,
    tenant: Slug = "default",
    is_html: Annotated[bool, typer.Option("--html", help="Print the HTML part.")] = False,
    is_json: Json = False,
) -> None:
    """Print a kept mail as its reader would see it, with its link and code."""
    if mail_id is not None and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", mail_id):
        raise typer.BadParameter("not the id of a mail; `fluxbase mail list` shows them")

    async def work(program: Any) -> KeptMail:
        found = await _tenant(program, tenant)
        async with program.sessions(found, reason="show a mail") as tx:
            return await program.mail.queue.show(tx, found, mail_id)

    mail = _run(data, is_json, "show", work)
    if is_json:
        sys.stdout.write(json.dumps(_whole(mail)) + "\n")
    elif mail.rendered is None:
        console.print(f"{mail.row.template} to {mail.row.recipient}: {mail.row.status}. Its text is not kept.", markup=False)
    elif is_html:
        sys.stdout.write(mail.rendered.html)
    else:
        sys.stdout.write(f"To: {mail.row.recipient}\nSubject: {mail.rendered.subject}\n\n{mail.rendered.text}")


@app.command("test", epilog=EXAMPLES_TEST)
def send_test(
    address: Annotated[str, typer.Argument(help="Where to send it.")],
    data: Data = None,
    is_json: Json = False,
) -> None:
    """Send a test mail at once over the configured mail server, and say what the server said."""

    async def work(program: Any) -> str | None:
        from datetime import UTC, datetime
        from uuid import uuid4

        from fluxbase.mail.message import build_message
        from fluxbase.mail.ports import DeliveryFailed
        from fluxbase.mail.smtp import SmtpTransport
        from fluxbase.mail.templates import Templates

        settings = program.config.mail
        if settings.is_kept:
            return "mails are kept here, not sent: set mail.smtp_host"
        rendered = Templates(settings.templates_path).render("test", {"app_name": settings.app_name, "email": address})
        try:
            message = build_message(settings, address, rendered, mail_id=str(uuid4()), at=datetime.now(UTC))
            async with SmtpTransport(settings).connect() as send:
                await send(message)
        except DeliveryFailed as failed:
            return failed.reason
        return None

    failure = _run(data, is_json, "test", work)
    if is_json:
        sys.stdout.write(json.dumps({"to": address, "status": "failed" if failure else "sent", "error": failure}) + "\n")
    elif failure is None:
        console.print(f"Sent to {address}.", style="green", markup=False)
    else:
        console.print(f"fluxbase mail test: {failure}", style="red", markup=False)
    if failure is not None:
        raise typer.Exit(FAILED)


async def _tenant(program: Any, name: str) -> Any:
    return program.home if name == "platform" else await program.registry.resolve(name)


def _summary(row: MailRow) -> dict[str, object]:
    return {
        "id": row.id, "to": row.recipient, "template": row.template, "status": row.status, "attempts": row.attempts,
        "failure": row.failure, "created_at": row.created_at, "sent_at": row.sent_at,
    }  # fmt: skip


def _whole(mail: KeptMail) -> dict[str, object]:
    body = _summary(mail.row)
    if mail.rendered is not None:
        body |= {"subject": mail.rendered.subject, "text": mail.rendered.text, "html": mail.rendered.html}
        body |= {"url": mail.values.get("url"), "code": mail.values.get("code")}
    return body


def _run(data: Path | None, is_json: bool, name: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Open the instance, do the work. A refusal is a message and exit status 1."""

    async def run() -> Any:
        from fluxbase.app import open_program
        from fluxbase.db.instance import running_config

        config = running_config(data)
        async with open_program(config.data_dir, config=config) as program:
            return await work(program)

    with refusals(f"mail {name}", is_json=is_json):
        return asyncio.run(run())

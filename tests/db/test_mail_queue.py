"""The mail queue over a real PostgreSQL and a real mail server: with the change or not at all, once, again after a failure."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fluxbase.app import Program
from fluxbase.config.mail import Mail
from fluxbase.db.instance import running_config
from fluxbase.mail.queue import Letter
from tests.support.command import fluxbase
from tests.support.mail_server import MailServer, mail_server, make_certificate
from tests.support.server import Server

TOKEN = "fb_ot_canary"


@pytest.fixture
def post() -> Iterator[MailServer]:
    """A mail server of this test."""
    with mail_server() as running:
        yield running


def settings(post: MailServer, **more: Any) -> Mail:
    """Settings that reach it."""
    return Mail(**{"smtp_host": "127.0.0.1", "smtp_port": post.port, "smtp_tls": "none", "retry_seconds": 0.01, **more})


def letter(to: str, **more: Any) -> Letter:
    """A sign-in mail."""
    values = {"url": f"https://app.example/verify?token={TOKEN}", "code": "123456", "valid_for": "15 minutes"}
    return Letter("magiclink", to, values, **more)


@asynccontextmanager
async def program(server: Server, mail: Mail) -> AsyncIterator[Program]:
    """The parts of a worker with these settings of mail, over the server's database."""
    opened = Program(running_config(server.data_dir).model_copy(update={"mail": mail}))
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


async def enqueue(opened: Program, *letters: Letter, is_decoy: bool = False) -> None:
    """Write mails and commit."""
    tenant = opened.registry.default
    async with opened.sessions(tenant, reason="test") as tx:
        for one in letters:
            await opened.mail.queue.enqueue(tx, tenant, one, is_decoy=is_decoy)


async def drain(opened: Program) -> float | None:
    """Send what is due."""
    return await opened.mail.sender.drain(opened.mail.queue, opened.registry.default)


def run(work: Any) -> Any:
    """In a thread with a loop of its own: pytest plugins may hold one here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result(60)


def stored(server: Server, to: str) -> list[tuple[Any, ...]]:
    """Status, attempts, whether its values are still there, and the last failure, of mails to an address."""
    return server.root_sql(
        f"select status, attempts, sealed is not null, failure from platform.mails where recipient = '{to}' order by created_at"
    )


def address() -> str:
    """An address of this test alone."""
    return f"{uuid4().hex}@example.com"


def test_a_mail_is_sent_and_its_link_forgotten(server: Server, post: MailServer) -> None:
    """Text, HTML, link and code arrive; what is left in the database has neither."""
    to = address()

    async def work() -> None:
        async with program(server, settings(post)) as opened:
            await enqueue(opened, letter(to))
            assert await drain(opened) is None

    run(work)
    mail = post.wait_for(to)
    assert (mail.code, mail.link) == ("123456", f"https://app.example/verify?token={TOKEN}")
    assert TOKEN in mail.part("html")
    assert stored(server, to) == [("sent", 1, False, None)]


def test_the_table_never_shows_link_or_code(server: Server, post: MailServer) -> None:
    """While a mail waits its values are sealed: whoever reads the table, or a backup, signs in as nobody."""
    to = address()

    async def work() -> None:
        async with program(server, settings(post)) as opened:
            await enqueue(opened, letter(to))

    run(work)
    ((row,),) = server.root_sql(f"select row_to_json(m)::text from platform.mails m where recipient = '{to}'")
    assert "123456" not in row
    assert TOKEN.encode().hex() not in row
    assert TOKEN not in row
    assert json.loads(row)["status"] == "queued"


def test_without_the_commit_there_is_no_mail(server: Server, post: MailServer) -> None:
    """A mail written in a transaction that is rolled back never existed."""
    to = address()

    async def work() -> None:
        async with program(server, settings(post)) as opened:
            tenant = opened.registry.default
            with contextlib.suppress(ZeroDivisionError):
                async with opened.sessions(tenant, reason="test") as tx:
                    await opened.mail.queue.enqueue(tx, tenant, letter(to))
                    raise ZeroDivisionError
            await drain(opened)

    run(work)
    assert stored(server, to) == []
    assert post.to(to) == []


def test_a_decoy_is_written_and_never_sent(server: Server, post: MailServer) -> None:
    """The row for an address that nobody has looks the same and stays where it is."""
    known, unknown = address(), address()

    async def work() -> None:
        async with program(server, settings(post)) as opened:
            await enqueue(opened, letter(unknown), is_decoy=True)
            await enqueue(opened, letter(known))
            lengths = server.root_sql(f"select distinct length(sealed) from platform.mails where recipient in ('{known}', '{unknown}')")
            assert len(lengths) == 1
            await drain(opened)

    run(work)
    post.wait_for(known)
    assert post.to(unknown) == []
    assert stored(server, unknown) == [("decoy", 0, True, None)]


def test_several_workers_send_each_mail_once(server: Server, post: MailServer) -> None:
    """Eight senders over the same forty mails: forty arrive."""
    to = [address() for _ in range(40)]

    async def work() -> None:
        async with program(server, settings(post)) as first:
            await enqueue(first, *[letter(one) for one in to])
        programs = [program(server, settings(post)) for _ in range(8)]
        opened = [await one.__aenter__() for one in programs]
        await asyncio.gather(*[drain(one) for one in opened])
        for one in programs:
            await one.__aexit__(None, None, None)

    run(work)
    assert {one: len(post.to(one)) for one in to} == dict.fromkeys(to, 1)


def test_a_mail_server_that_is_away_delays_and_loses_nothing(server: Server) -> None:
    """Nothing listens: the mail waits with a growing pause and the reason; when the server is back it arrives."""
    to = address()
    with mail_server() as gone:
        port = gone.port

    async def failing() -> None:
        async with program(server, settings(gone)) as opened:
            await enqueue(opened, letter(to))
            await drain(opened)

    run(failing)
    ((status, attempts, is_sealed, failure),) = stored(server, to)
    assert (status, is_sealed) == ("queued", True)
    assert attempts >= 1
    assert "Connect" in failure
    with mail_server(port=port) as back:

        async def again() -> None:
            async with program(server, settings(back)) as opened:
                while back.to(to) == []:
                    await drain(opened)

        run(again)
    assert stored(server, to)[0][0] == "sent"


def test_a_refused_recipient_is_final_and_a_busy_server_is_not(server: Server, post: MailServer) -> None:
    """550 is given up at once, 451 is tried again until the last attempt."""
    never, later = address(), address()
    post.answers |= {never: "550 no such user", later: "451 come back"}

    async def work() -> None:
        async with program(server, settings(post, max_attempts=3)) as opened:
            await enqueue(opened, letter(never), letter(later))
            while await drain(opened) is not None:
                pass

    run(work)
    assert stored(server, never) == [("failed", 1, False, "RecipientRefused: 550 no such user")]
    assert stored(server, later) == [("failed", 3, False, "RecipientRefused: 451 come back")]


def test_a_mail_that_comes_too_late_is_not_sent(server: Server, post: MailServer) -> None:
    """A link that has expired helps nobody: it is given up."""
    to = address()

    async def work() -> None:
        async with program(server, settings(post)) as opened:
            await enqueue(opened, letter(to, lives_seconds=-1.0))
            await drain(opened)
            await opened.mail.sender._forget(opened.registry.default)

    run(work)
    assert post.to(to) == []
    assert stored(server, to) == [("failed", 0, False, "too late")]


def test_starttls_is_demanded_and_verified(server: Server, tmp_path: Path) -> None:
    """With the right authority and login it arrives encrypted; an unknown authority, a server without TLS, a wrong password: not sent."""
    certificate = make_certificate(tmp_path)
    with mail_server(certificate=certificate, login=("flux", "pass-word-1")) as strict, mail_server() as plain:
        good = {"smtp_tls": "starttls", "smtp_ca_file": str(certificate), "smtp_username": "flux", "smtp_password": "pass-word-1"}
        bad = {"authority": {**good, "smtp_ca_file": ""}, "password": {**good, "smtp_password": "wrong"}}
        to = {name: address() for name in ("good", "authority", "password", "no tls")}

        async def send(post: MailServer, options: dict[str, Any], recipient: str) -> None:
            from fluxbase.kernel.secret import Secret

            options = {**options, "smtp_password": Secret(options["smtp_password"]), "retry_seconds": 60}
            async with program(server, settings(post, **options)) as opened:
                await enqueue(opened, letter(recipient))
                await drain(opened)

        async def work() -> None:
            await send(strict, good, to["good"])
            await send(strict, bad["authority"], to["authority"])
            await send(strict, bad["password"], to["password"])
            await send(plain, good, to["no tls"])

        run(work)
        assert strict.wait_for(to["good"]).is_encrypted
        assert [mail.to for mail in strict.received + plain.received] == [to["good"]]
        failures = {name: stored(server, to[name])[0][3] for name in ("authority", "password", "no tls")}
    assert "certificate verify failed" in failures["authority"]
    assert failures["password"].startswith("AuthenticationError: 535")
    assert "STARTTLS" in failures["no tls"]


def test_the_command_shows_kept_mails(server: Server) -> None:
    """Without a mail server mails are kept: list has them, show has link and code, and nothing is printed for one that is not there."""
    to = address()

    async def work() -> None:
        async with program(server, Mail()) as opened:
            await enqueue(opened, letter(to))

    run(work)
    data = server.data_dir
    rows = json.loads(fluxbase("mail", "list", "--data", data, "--json", cwd=data).stdout)
    row = next(one for one in rows if one["to"] == to)
    assert (row["status"], row["template"]) == ("kept", "magiclink")
    shown = json.loads(fluxbase("mail", "show", row["id"], "--data", data, "--json", cwd=data).stdout)
    assert (shown["code"], shown["url"], shown["to"]) == ("123456", f"https://app.example/verify?token={TOKEN}", to)
    assert shown["code"] in shown["text"]
    plain = fluxbase("mail", "show", row["id"], "--data", data, cwd=data).stdout
    assert plain.startswith(f"To: {to}\nSubject: Sign in to Fluxbase\n")
    absent = fluxbase("mail", "show", str(uuid4()), "--data", data, "--json", cwd=data)
    assert (absent.returncode, json.loads(absent.stdout)["error"]) == (1, "There is no such mail.")


def test_the_test_command_says_what_the_mail_server_says(server: Server, post: MailServer) -> None:
    """A delivery at once: sent, or the server's words and status 1; without a server, how to set one."""
    data, to = server.data_dir, address()
    env = {
        f"FLUXBASE_MAIL_{name}": value for name, value in (("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", str(post.port)), ("SMTP_TLS", "none"))
    }
    assert fluxbase("mail", "test", to, "--data", data, cwd=data, env=env).returncode == 0
    assert post.wait_for(to).subject == "Fluxbase can send mail"
    post.answers["x@example.com"] = "550 no such user"
    refused = fluxbase("mail", "test", "x@example.com", "--data", data, "--json", cwd=data, env=env)
    assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "RecipientRefused: 550 no such user")
    assert "mail.smtp_host" in fluxbase("mail", "test", to, "--data", data, cwd=data).stderr

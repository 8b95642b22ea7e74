"""Every operation called as it is meant to be: what it answers is what the OpenAPI document says it answers (issue 6).

Generated values seldom make a call that succeeds (``test_whole_openapi.py``); the calls by which tenants are proven apart do.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from fluxbase.app import open_program
from fluxbase.db.instance import running_config
from fluxbase.observe.metrics import Metrics
from fluxbase.proof.calls import CALLS
from fluxbase.proof.plant import Plants
from fluxbase.proof.prove import Lines, for_proof
from fluxbase.proof.removal import take_back
from fluxbase.proof.request import ask
from fluxbase.proof.routes import RouteProof, Tally
from tests.support.long import needs_long
from tests.support.server import Server, start_server
from tests.support.tenant import make_tenant

if TYPE_CHECKING:
    from fluxbase.web.context import App, Receive, Scope, Send

Seen = tuple[str, str, int, str]
"""Method, path, status, media type."""


class ControlsOnly(RouteProof):
    """Every call of every route with the tenant's own credentials, and no attack."""

    async def _attack(self, *_: object, **__: object) -> None:
        """None."""


class Recorder:
    """The application, and what it answered."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.seen: set[Seen] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                media_type = dict(message.get("headers", [])).get(b"content-type", b"").decode().partition(";")[0]
                self.seen.add((scope["method"], scope["path"], message["status"], media_type))
            await send(message)

        await self._app(scope, receive, noting)


@pytest.fixture(scope="module")
def answered() -> Iterator[tuple[dict[str, Any], set[Seen]]]:
    """The document of everything, and what every call was answered."""
    server = start_server()
    try:
        for name in ("one", "two"):
            make_tenant(server, name)
        yield asyncio.run(called(server))
    finally:
        server.stop()


async def called(server: Server) -> tuple[dict[str, Any], set[Seen]]:
    """Call everything."""
    config = for_proof(running_config(server.data_dir, environ={"FLUXBASE_DATA_DIR": str(server.data_dir)}))
    async with open_program(server.data_dir, config=config) as program:
        program.metrics, program.lines = Metrics(), Lines()  # type: ignore[assignment]
        program.build_data_plane()
        app = Recorder(program.pipeline())
        plants, tally = Plants(program, app), Tally()
        tenants = [await program.registry.resolve(name) for name in ("one", "two")]
        planned = await plants.planned(tenants)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                places = await plants.plant(tenants, planned, with_scratch=True)
                await ControlsOnly(app, program.routes(), CALLS, plants, tally, is_first_enough=False).run(*places)
            paths: dict[str, Any] = {}
            for kind in ("instance", "service_key", "access_token", "anon_key"):
                document = (await ask(app, "GET", "/api/v1/openapi.json", places[0].headers(kind))).json()
                for path, item in document["paths"].items():
                    paths.setdefault(path, {}).update({verb: operation["responses"] for verb, operation in item.items()})
        finally:
            await plants.close()
            program.pools.close()
            await take_back(program, planned)
    assert [finding for finding in tally.findings if finding.kind == "control"] == []
    return paths, app.seen


def operation_of(paths: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """The documented operation that a request is: of two that fit, the one with fewer parameters."""
    fitting = [
        template
        for template, item in paths.items()
        if method.lower() in item and re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)), path)
    ]
    best = min(fitting, key=lambda template: template.count("{"), default=None)
    return None if best is None else (f"{method} {best}", paths[best][method.lower()])


@needs_long
@pytest.mark.timeout(600)
def test_every_answer_is_documented(answered: tuple[dict[str, Any], set[Seen]]) -> None:
    """Status and media type of each; an error may be the default one, and what is not in the document is refused."""
    paths, seen = answered
    wrong: set[str] = set()
    succeeded: set[tuple[str, int]] = set()
    for method, path, status, media_type in seen:
        found = operation_of(paths, method, path)
        if found is None:
            wrong |= {f"{method} {path} answers {status} and is not in the document"} if status < 400 else set()
            continue
        where, responses = found
        succeeded |= {(where, status)} if status < 400 else set()
        response = responses.get(str(status)) or (responses.get("default") if status >= 400 else None)
        if response is None:
            wrong.add(f"{where}: {status} is not documented, only {sorted(responses)}")
        elif "content" in response and media_type and media_type not in response["content"]:
            wrong.add(f"{where}: {status} {media_type} is not documented, only {sorted(response['content'])}")
    assert sorted(wrong) == []
    assert len(succeeded) > 120

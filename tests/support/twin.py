"""The program with named pipeline lines left out: what a vulnerable twin runs. Never shipped, never importable from src.

One process serves every twin: the request header ``x-twin-without`` names the lines its pipeline lacks.
"""

from __future__ import annotations

import os
from typing import Any

from fluxbase import app as application
from fluxbase.cli import start


class TwinSwitch:
    """ASGI: picks (and builds once) the pipeline without the lines a request names."""

    def __init__(self) -> None:
        weaken()
        self._program = application.create()
        self._built: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._program(scope, receive, send)
            return
        without = next((value.decode() for name, value in scope["headers"] if name == b"x-twin-without"), "")
        if without not in self._built:
            self._built[without] = self._program.pipeline(tuple(filter(None, without.split(","))))
        await self._built[without](scope, receive, send)


def create() -> TwinSwitch:
    """Factory named to granian."""
    return TwinSwitch()


def weaken() -> None:
    """Remove the control of a database served as it is that ``BYO_TWIN`` names, in this process."""
    from fluxbase.db import connection, peer_settings

    match os.environ.get("BYO_TWIN"):
        case "cleaning":
            connection.cleaning = lambda _: ()  # type: ignore[assignment]
        case "role":
            peer_settings._FIXED = ("application_name", *peer_settings._FIXED[1:])  # type: ignore[attr-defined]
        case _:
            pass


if __name__ == "__main__":
    from fluxbase.cli.main import main

    start.TARGET = "tests.support.twin:create"
    main()

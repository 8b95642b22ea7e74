"""The program with named pipeline lines left out: what a vulnerable twin runs. Never shipped, never importable from src.

One process serves every twin: the request header ``x-twin-without`` names the lines its pipeline lacks.
"""

from __future__ import annotations

from typing import Any

from fluxbase import app as application
from fluxbase.cli import start


class TwinSwitch:
    """ASGI: picks (and builds once) the pipeline without the lines a request names."""

    def __init__(self) -> None:
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


if __name__ == "__main__":
    from fluxbase.cli.main import main

    start.TARGET = "tests.support.twin:create"
    main()

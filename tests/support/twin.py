"""The program with named pipeline lines left out: what a vulnerable twin runs. Never shipped, never importable from src."""

from __future__ import annotations

import os

from fluxbase import app as application
from fluxbase.cli import start


def create() -> object:
    """The ASGI application without the lines in TWIN_WITHOUT."""
    return application.create(without=tuple(os.environ["TWIN_WITHOUT"].split(",")))


if __name__ == "__main__":
    from fluxbase.cli.main import main

    start.TARGET = "tests.support.twin:create"
    main()

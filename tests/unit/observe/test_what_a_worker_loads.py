"""What a process that serves must not load: libraries that cost megabytes in every worker and that most installations never ask for."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = ("rich", "pygments", "httpx", "webauthn", "onelogin", "segno")


def loaded(code: str) -> set[str]:
    """The libraries a fresh process has after running it."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in ran.stdout.split()}


def test_a_worker_loads_no_library_it_may_never_need() -> None:
    """After ``fluxbase.preload`` nothing is there of what colours terminals, calls other servers, or speaks SAML and WebAuthn."""
    assert not loaded("import fluxbase.preload") & set(WITHOUT)


def test_who_has_rich_already_keeps_it() -> None:
    """The commands of the terminal use rich beside a structlog that does not."""
    code = (
        "import rich, sys; before = rich\nimport fluxbase.observe.without_rich\nimport rich.table\nassert rich is before\n"
        "import structlog.dev\nassert structlog.dev.rich is None"
    )
    assert {"rich", "structlog"} <= loaded(code)

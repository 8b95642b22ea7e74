"""Sign-in with identity providers by the unmodified npm package ``@supabase/supabase-js``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.support.openid import APP, node_program, openid_server

HERE = Path(__file__).parent
SCENARIOS = re.findall(r"^scenario\('([^']+)'", (HERE / "providers.mjs").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str | None]:
    """Run all scenarios in one node process."""
    with openid_server() as world:
        world.liar.tell(sub=uuid.uuid4().hex)
        world.second.tell(sub=uuid.uuid4().hex)
        environment = {
            "PATH": os.environ["PATH"], "NO_PROXY": "*", "FB_URL": world.server.url, "FB_ANON": world.server.anon_key, "FB_APP": APP,
            "FB_ID_TOKEN": world.liar.id_token("a nonce"), "FB_NONCE": "a nonce",
        }  # fmt: skip
        ran = subprocess.run([node_program(), "providers.mjs"], cwd=HERE, env=environment, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr[-3000:]
        return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SCENARIOS)
def test_supabase_js_with_providers(name: str, outcomes: dict[str, str | None]) -> None:
    """The scenario of this name in providers.mjs holds for the real client."""
    assert outcomes[name] is None, outcomes[name]


def test_every_scenario_ran(outcomes: dict[str, str | None]) -> None:
    """No scenario is lost between the JavaScript file and this report."""
    assert sorted(outcomes) == sorted(SCENARIOS)
    assert len(SCENARIOS) >= 6

"""Authentication with the unmodified npm package ``@supabase/supabase-js``: sign-up to admin users."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.test_supabase_js import node_program
from tests.support.server import Server, start_server

HERE = Path(__file__).parent
SCENARIOS = re.findall(r"^scenario\('([^']+)'", (HERE / "auth.mjs").read_text(), re.MULTILINE)
OWN = """create table cl_own (owner uuid default auth.uid(), note text);
         create policy own on cl_own using (owner = (select auth.uid())) with check (owner = (select auth.uid()))"""


@pytest.fixture(scope="module")
def accounts() -> Iterator[Server]:
    """A server with anonymous users, and a table of one's own rows."""
    running = start_server(env={"FLUXBASE_AUTH_ANONYMOUS_ENABLED": "true"})
    running.sql(OWN)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def outcomes(accounts: Server) -> dict[str, str | None]:
    """Run all scenarios in one node process."""
    if not (HERE / "node_modules" / "@supabase" / "supabase-js").is_dir():
        pytest.skip("the npm packages are missing: run `make setup`")
    environment = {
        "PATH": os.environ["PATH"], "NO_PROXY": "*", "FB_URL": accounts.url, "FB_ANON": accounts.anon_key, "FB_SERVICE": accounts.service_key,
    }  # fmt: skip
    done = subprocess.run([node_program(), "auth.mjs"], cwd=HERE, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SCENARIOS)
def test_supabase_js_auth(outcomes: dict[str, str | None], name: str) -> None:
    """The client's own answer is the expected one."""
    assert outcomes[name] is None, outcomes[name]

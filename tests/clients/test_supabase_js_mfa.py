"""Second factors and passkeys with the unmodified npm package ``@supabase/supabase-js``."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.test_supabase_js import node_program
from tests.support.server import Server

HERE = Path(__file__).parent
SCENARIOS = re.findall(r"^scenario\('([^']+)'", (HERE / "mfa.mjs").read_text(), re.MULTILINE)
ROWS = """create table if not exists mfa_rows (id int); delete from mfa_rows; insert into mfa_rows values (1);
          drop policy if exists everybody on mfa_rows; create policy everybody on mfa_rows using (true); select auth.require_aal2('mfa_rows')"""


@pytest.fixture(scope="module")
def outcomes(server: Server) -> dict[str, str | None]:
    """Run all scenarios in one node process."""
    if not (HERE / "node_modules" / "@supabase" / "supabase-js").is_dir():
        pytest.skip("the npm packages are missing: run `make setup`")
    server.sql(ROWS)
    environment = {
        "PATH": os.environ["PATH"], "NO_PROXY": "*", "FB_URL": server.url, "FB_ANON": server.anon_key, "FB_SERVICE": server.service_key,
    }  # fmt: skip
    done = subprocess.run([node_program(), "mfa.mjs"], cwd=HERE, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SCENARIOS)
def test_supabase_js_mfa(outcomes: dict[str, str | None], name: str) -> None:
    """The client's own answer is the expected one."""
    assert outcomes[name] is None, outcomes[name]

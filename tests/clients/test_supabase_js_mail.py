"""Mailed flows with the unmodified npm package ``@supabase/supabase-js``: confirmation, code, link, PKCE, reset, change of address, nonce."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.clients.test_supabase_js import node_program
from tests.support.mail_server import SITE, MailServer
from tests.support.mailed import token_of
from tests.support.server import Server

HERE = Path(__file__).parent
SCENARIOS = re.findall(r"^scenario\('([^']+)'", (HERE / "mail.mjs").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def letter_box(post: MailServer) -> Iterator[str]:
    """What arrived, for the JavaScript process: GET /?to=…&count=n waits for that mail."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            mail = post.wait_for(asked["to"], int(asked["count"]))
            has_link = "http" in mail.text
            body = {"code": mail.code, "link": mail.link if has_link else "", "token": token_of(mail) if has_link else ""}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def outcomes(mailing: Server, letter_box: str) -> dict[str, str | None]:
    """Run all scenarios in one node process."""
    if not (HERE / "node_modules" / "@supabase" / "supabase-js").is_dir():
        pytest.skip("the npm packages are missing: run `make setup`")
    environment = {
        "PATH": os.environ["PATH"], "NO_PROXY": "*", "FB_URL": mailing.url, "FB_ANON": mailing.anon_key, "FB_SERVICE": mailing.service_key,
        "FB_MAIL": letter_box, "FB_SITE": SITE,
    }  # fmt: skip
    done = subprocess.run([node_program(), "mail.mjs"], cwd=HERE, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SCENARIOS)
def test_supabase_js_mail(name: str, outcomes: dict[str, str | None]) -> None:
    """The scenario of this name in mail.mjs holds for the real client."""
    assert outcomes[name] is None, outcomes[name]


def test_every_scenario_ran(outcomes: dict[str, str | None]) -> None:
    """No scenario is lost between the JavaScript file and this report."""
    assert sorted(outcomes) == sorted(SCENARIOS)

"""``fluxbase tenant prove`` (issue 4.7): holds for every strength of isolation, over all routes; a report that was touched is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, start_server
from tests.support.tenant import command, make_tenant

ISOLATIONS = ("database", "schema", "row") if os.environ.get("TESTS_LONG") == "1" else ("database",)
"""One proof takes minutes: the other strengths are proven by ``make test-all``."""
SECONDS = 500


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server with two tenants of each strength."""
    server = start_server()
    for isolation in ISOLATIONS:
        for name in ("left", "right"):
            make_tenant(server, f"{name}-{isolation}", isolation)
    yield server
    server.stop()


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_two_tenants_are_apart(own_server: Server, isolation: str) -> None:
    """No leak and no gap over every route, login and the pool of two; nothing that was planted stays."""
    done = command(own_server, "prove", f"left-{isolation}", f"right-{isolation}", "--report", f"{isolation}.json", timeout=SECONDS)
    report = json.loads(done.stdout)
    assert report["findings"] == []
    assert (done.returncode, report["holds"]) == (0, True)
    assert report["sections"]["routes"]["attacks"] > 10_000
    assert report["sections"]["interleaved"]["showed_their_own"] > 500
    assert [row for row in json.loads(command(own_server, "list", "--deleted").stdout) if row["slug"].startswith("proof-")] == []


def test_a_report_that_was_touched_is_noticed(own_server: Server) -> None:
    """The signature covers every byte of the report; the shipped command checks it."""
    file = own_server.data_dir / "database.json"
    verified = command(own_server, "prove", "--verify", str(file))
    assert "error" not in json.loads(verified.stdout), verified.stdout
    touched = Path(f"{file}.touched")
    for change in ({"holds": False}, {"findings": [1]}, {"version": "9"}):
        document = json.loads(file.read_text())
        document["report"] |= change
        touched.write_text(json.dumps(document))
        refused = command(own_server, "prove", "--verify", str(touched))
        assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "The report was changed after it was signed.")


@pytest.mark.parametrize("names", [("left-database",), ("left-database", "left-database"), ("left-database", "nobody"), ()])
def test_it_wants_two_tenants(own_server: Server, names: tuple[str, ...]) -> None:
    """One, the same twice, or an unknown one: refused, nothing planted."""
    assert command(own_server, "prove", *names).returncode == 1

"""``fluxbase tenant prove`` (issue 4.7): holds for every strength of isolation, over all routes; a report that was touched is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, start_server
from tests.support.tenant import command, make_tenant

ISOLATIONS = ("database", "schema", "row")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server with two tenants of each strength."""
    server = start_server()
    for isolation in ISOLATIONS:
        for name in ("left", "right"):
            make_tenant(server, f"{name}-{isolation}", isolation)
    yield server
    server.stop()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_two_tenants_are_apart(own_server: Server, isolation: str) -> None:
    """No leak and no gap over every route, login and the pool of two; nothing that was planted stays."""
    done = command(own_server, "prove", f"left-{isolation}", f"right-{isolation}", timeout=170)
    report = json.loads(done.stdout)
    assert report["findings"] == []
    assert done.returncode == 0
    assert report["sections"]["routes"]["attacks"] > 3000
    assert report["sections"]["interleaved"]["showed_their_own"] > 500
    assert [row for row in json.loads(command(own_server, "list", "--deleted").stdout) if row["slug"].startswith("proof-")] == []


def test_a_report_that_was_touched_is_noticed(own_server: Server) -> None:
    """The signature covers every byte of the report; the shipped command checks it."""
    done = command(own_server, "prove", "left-row", "right-row", "--report", "signed.json", timeout=170)
    assert done.returncode == 0, done.stdout
    file = own_server.data_dir / "signed.json"
    assert command(own_server, "prove", "--verify", str(file)).returncode == 0
    touched = Path(f"{file}.touched")
    for change in ({"holds": False}, {"findings": [1]}, {"version": "9"}):
        document = json.loads(file.read_text())
        document["report"] |= change
        touched.write_text(json.dumps(document))
        refused = command(own_server, "prove", "--verify", str(touched))
        assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "The report was changed after it was signed.")


@pytest.mark.parametrize("names", [("left-row",), ("left-row", "left-row"), ("left-row", "nobody"), ()])
def test_it_wants_two_tenants(own_server: Server, names: tuple[str, ...]) -> None:
    """One, the same twice, or an unknown one: refused, nothing planted."""
    assert command(own_server, "prove", *names).returncode == 1

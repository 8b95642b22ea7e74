"""``fluxbase tenant prove`` (issue 4.7): holds for every strength of isolation, over all routes; a report that was touched is noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fluxbase.proof.journal import NAME
from tests.support.database_rows import left_behind, rows_of
from tests.support.processes import wait_until
from tests.support.server import Server, start_server
from tests.support.tenant import TenantHandle, cluster_sql, command, command_line, make_tenants

IS_LONG = os.environ.get("TESTS_LONG") == "1"
ISOLATIONS = ("database", "schema", "row") if IS_LONG else ("database",)
"""The other strengths are proven by ``make test-all``."""
SECONDS = 500
MARKS = {
    "audit.entries", "fluxbase.epoch", "auth.claims_epochs", "auth.denylist",
    "auth.captcha_spent", "auth.webauthn_challenges", "platform.rate_limits",
}  # fmt: skip
"""What stays for good, so that what was signed out stays so; what is swept away by itself within minutes; the audit log."""
ROLES = ('"name": "owner"', '"name": "admin"')
"""Of organisations, which a tenant's first one brings."""
METADATA, SETTING = '{"plan": "gold"}', "Shop of left"


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pairs(own_server: Server) -> dict[str, tuple[TenantHandle, TenantHandle]]:
    """Two tenants of each strength; those on the left have metadata and a setting of their own, which calls of the proof change."""
    made = make_tenants(own_server, *((f"{side}-{kind}", kind) for kind in ISOLATIONS for side in ("left", "right")))
    for left in made[::2]:
        cluster_sql(own_server, "fluxbase", f"update platform.tenants set metadata = '{METADATA}' where id = '{left.id}'")
        left.sql(
            "insert into platform.tenant_settings (tenant_id, key, value, updated_by) "
            f"values ('{left.id}', 'mail.app_name', to_jsonb('{SETTING}'::text), 'test')"
        )
    return dict(zip(ISOLATIONS, zip(made[::2], made[1::2], strict=True), strict=True))


def traces(server: Server, pair: tuple[TenantHandle, TenantHandle]) -> Callable[[], dict[str, list[str]]]:
    """What is in the databases of the pair and in the main one that was not there now."""
    databases = sorted({"fluxbase", pair[0].database, pair[1].database})
    before = {name: rows_of(server, name) for name in databases}

    def found() -> dict[str, list[str]]:
        return {
            f"{name} {table}": rows
            for name in databases
            for table, rows in left_behind(before[name], rows_of(server, name)).items()
            if table not in MARKS and not all(table == "auth.roles" and any(role in row for role in ROLES) for row in rows)
        }

    return found


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_two_tenants_are_apart(own_server: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], isolation: str) -> None:
    """No leak and no gap over every route, login and the pool of two; nothing that was planted stays, what was changed is as before."""
    left, right = pairs[isolation]
    found = traces(own_server, pairs[isolation])
    done = command(own_server, "prove", left.id, right.id, "--report", f"{isolation}.json", timeout=SECONDS)
    report = json.loads(done.stdout)
    assert report["findings"] == []
    assert (done.returncode, report["holds"]) == (0, True)
    assert report["sections"]["routes"]["attacks"] > 10_000
    assert report["sections"]["interleaved"]["showed_their_own"] > 500
    assert found() == {}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=str)
def test_an_interrupted_proof_is_undone(
    own_server: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], end: signal.Signals
) -> None:
    """By itself when it is told to end; by the next one when it was killed. Meanwhile a second one is refused."""
    left, right = pairs["database"]
    found = traces(own_server, pairs["database"])
    proof = subprocess.Popen(
        command_line(own_server, "prove", left.id, right.id, "--report", "half.json"),
        cwd=own_server.data_dir, env=own_server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until(lambda: right.sql("select id from auth.users where email like '%@proof.invalid'"), seconds=60)
    refused = command(own_server, "prove", left.id, right.id)
    assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "A proof is running.")
    proof.send_signal(end)
    proof.communicate(timeout=60)
    assert proof.returncode != 0
    assert not (own_server.data_dir / "half.json").exists()
    if end is signal.SIGKILL:
        assert found()
        assert json.loads((own_server.data_dir / NAME).read_text())["tenants"][0]["metadata"] == json.loads(METADATA)
        assert command(own_server, "prove", left.id, left.id).returncode == 1  # refused after it has undone the other
    assert found() == {}
    assert (own_server.data_dir / NAME).read_bytes() == b""


def test_a_report_that_was_touched_is_noticed(own_server: Server) -> None:
    """The signature covers every byte of the report; the shipped command checks it."""
    file = own_server.data_dir / "database.json"
    verified = command(own_server, "prove", "--verify", str(file))
    assert "error" not in json.loads(verified.stdout), verified.stdout
    touched = Path(f"{file}.touched")
    for change in ({"holds": "perhaps"}, {"findings": [1]}, {"version": "9"}):
        document = json.loads(file.read_text())
        document["report"] |= change
        touched.write_text(json.dumps(document))
        refused = command(own_server, "prove", "--verify", str(touched))
        assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "The report was changed after it was signed.")


@pytest.mark.parametrize("names", [("left-database",), ("left-database", "left-database"), ("left-database", "nobody"), ()])
def test_it_wants_two_tenants(own_server: Server, pairs: dict[str, tuple[TenantHandle, TenantHandle]], names: tuple[str, ...]) -> None:
    """One, the same twice, or an unknown one: refused, nothing planted."""
    assert pairs
    assert command(own_server, "prove", *names).returncode == 1

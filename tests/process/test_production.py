"""``fluxbase doctor --production`` against running instances: what is green, red with the mend, or left to people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fluxbase.cli.production import CHECKS
from tests.process.conftest import Start
from tests.support.certificates import make_certificate
from tests.support.command import fluxbase
from tests.support.server import ROOT, Server


def examined(server: Server, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Status and checks by name."""
    done = fluxbase("doctor", "--production", "--json", "--data", server.data_dir, cwd=server.data_dir, env={**_settings(server), **env})
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def _settings(server: Server) -> dict[str, str]:
    return {name: value for name, value in server.env.items() if name.startswith("FLUXBASE_")}


def test_defaults_are_not_for_production(server: Server) -> None:
    """A fresh instance on loopback is red where it must be, each red line says what to do, and what is by design is green."""
    status, checks = examined(server)
    assert status == 2
    red = {name for name, check in checks.items() if check["verdict"] == "red"}
    assert {"tls", "https_redirect", "cors_exact", "limits_on"} <= red
    assert all(checks[name]["mend"] for name in red)
    green = {name for name, check in checks.items() if check["verdict"] == "green"}
    assert {
        "headers_sent",
        "input_checked",
        "errors_quiet",
        "csrf_held",
        "hosts_named",
        "strong_jwt",
        "minimal_rights",
        "metrics_hidden",
    } <= green
    yours = {name for name, check in checks.items() if check["verdict"] == "by you"}
    assert yours == {"policies_meant", "tenants_proven", "backups", "dependencies"}
    assert all(checks[name]["detail"] and checks[name]["mend"] for name in yours)


def test_a_well_set_instance_has_nothing_red(start: Start, tmp_path: Path) -> None:
    """Own TLS, named hosts and origins, limits on: status 0."""
    chain, key, _ = make_certificate(tmp_path)
    server = start(
        env={
            "FLUXBASE_SERVER_TLS_CERT": str(chain), "FLUXBASE_SERVER_TLS_KEY": str(key), "FLUXBASE_SERVER_PUBLIC_URL": "https://localhost",
            "FLUXBASE_SERVER_CORS_ORIGINS": "https://app.example", "FLUXBASE_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1", "FLUXBASE_LIMITS_ENABLED": "true",
        }
    )  # fmt: skip
    status, checks = examined(server)
    assert [check for check in checks.values() if check["verdict"] == "red"] == []
    assert status == 0
    server.sql("create table open_to_all (id int); create policy everybody on open_to_all for insert to anon with check (true)")
    status, checks = examined(server)
    assert (status, checks["rls_reviewed"]["verdict"]) == (2, "red")
    assert "open_to_all" in checks["rls_reviewed"]["detail"]


def test_a_stopped_instance_is_not_green(start: Start) -> None:
    """What must be asked and does not answer is red, or the command cannot look: never green."""
    server = start()
    server.stop(keep_data=True)
    done = fluxbase("doctor", "--production", "--json", "--data", server.data_dir, cwd=server.data_dir, env=_settings(server))
    assert done.returncode in (2, 3)


def test_the_checklist_names_every_check() -> None:
    """docs/security/checklist.md lists them in the same order."""
    named = re.findall(r"^\| (\w+) \| ", (ROOT / "docs/security/checklist.md").read_text(), re.MULTILINE)
    assert named[1:] == [check.__name__ for check in CHECKS]

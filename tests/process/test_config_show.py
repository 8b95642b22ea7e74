"""``fluxbase config show`` against a golden file: every setting, its value, where it comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import ROOT, fluxbase

GOLDEN = Path(__file__).parent / "golden"
SECRET = "kX9vQ2mT7pL4wZ8rB3nY6cF1hJ5dS0gA-q"
FILE = """\
server:
  port: 9000
  public_url: https://${APP_HOST}
  allowed_hosts: ["${APP_HOST}", localhost]
database:
  url: postgresql://app:${DB_PASSWORD}@db.internal/app
log:
  level: warning
"""
ENV = {
    "APP_HOST": "api.example.org",
    "DB_PASSWORD": "hidden-p4ssw0rd",
    "FLUXBASE_SERVER_WORKERS": "4",
    "FLUXBASE_DATA_SCHEMAS": "public, api",
    "FLUXBASE_LOG_LEVEL": "debug",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a file, variables and a mounted secret."""
    (tmp_path / "fluxbase.yaml").write_text(FILE)
    (tmp_path / "jwt.secret").write_text(SECRET + "\n")
    return tmp_path


def env(folder: Path) -> dict[str, str]:
    """The variables of the example."""
    return {**ENV, "FLUXBASE_AUTH_JWT_SECRET_FILE": str(folder / "jwt.secret")}


def test_golden_output(folder: Path) -> None:
    """What is not a default is shown with its origin, in the order of the tree; file < variable; secrets are hidden."""
    done = fluxbase("config", "show", "--changed", cwd=folder, env=env(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (GOLDEN / "config_show.txt").read_text()


def test_json_has_every_setting(folder: Path) -> None:
    """``--json`` maps each dotted key to value and origin; secrets are ``[secret]``, absent ones null."""
    done = fluxbase("config", "show", "--json", cwd=folder, env=env(folder))
    shown = json.loads(done.stdout)
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [key for key in shown if f"`{key}`" not in page] == []
    assert shown["auth.jwt_secret"] == {"value": "[secret]", "origin": "FLUXBASE_AUTH_JWT_SECRET_FILE"}
    assert shown["database.url"] == {"value": "[secret]", "origin": "fluxbase.yaml (with a variable)"}
    assert shown["master_key"] == {"value": None, "origin": "default"}
    assert SECRET not in done.stdout + done.stderr
    assert ENV["DB_PASSWORD"] not in done.stdout + done.stderr


def test_a_section_alone(folder: Path) -> None:
    """A section or a key can be named; an unknown one is status 2."""
    done = fluxbase("config", "show", "log", cwd=folder, env=env(folder))
    assert done.stdout.splitlines()[0].split() == ["log.level", "debug", "FLUXBASE_LOG_LEVEL"]
    assert len(done.stdout.splitlines()) == 3
    assert fluxbase("config", "show", "logs", cwd=folder, env=env(folder)).returncode == 2


def test_check_counts(folder: Path) -> None:
    """``config check`` says that the configuration is sound, without starting anything."""
    done = fluxbase("config", "check", "--json", cwd=folder, env=env(folder))
    assert done.returncode == 0
    assert json.loads(done.stdout)["is_sound"] is True
    assert not (folder / ".fluxbase").exists()


def test_the_example_file_is_sound(tmp_path: Path) -> None:
    """fluxbase.example.yaml as it is gives the defaults."""
    shown = [
        json.loads(fluxbase("config", "show", "--json", *more, cwd=tmp_path).stdout)
        for more in ((), ("--config", ROOT / "fluxbase.example.yaml"))
    ]
    defaults, example = ({key: entry["value"] for key, entry in one.items()} for one in shown)
    assert example == defaults
    assert {entry["origin"] for entry in shown[1].values()} == {"default", "fluxbase.example.yaml"}

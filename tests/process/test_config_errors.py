"""A wrong configuration stops the real program before anything starts: one line that names the key, never the value, status 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import fluxbase

CANARY = "c4n4ry-7f1e"
"""Stands in every value that is wrong here; no output may show it."""

STRONG = "kX9vQ2mT7pL4wZ8rB3nY6cF1hJ5dS0gA-q"

FILES = {
    "unknown key": (f"server:\n  prot: {CANARY}\n", "server.prot is not a setting"),
    "unknown section": (f"severs:\n  port: {CANARY}\n", "severs is not a setting"),
    "bad YAML": (f"server: [\n  {CANARY}: :\n", "fluxbase.yaml, line 2: not valid YAML"),
    "tab in YAML": (f"server:\n\tport: {CANARY}\n", "fluxbase.yaml, line 2: not valid YAML"),
    "not a mapping": (f"- {CANARY}\n", "fluxbase.yaml must be a mapping"),
    "duplicate key": (f"server:\n  port: 1\n  host: a\n  port: {CANARY}\n", "line 4: the key port stands twice"),
    "duplicate section": ("server: {}\nserver: {}\n", "line 2: the key server stands twice"),
    "list as a key": (f"? [{CANARY}]\n: 1\n", "line 1: a key must be a name"),
    "missing variable": ("server:\n  host: ${NO_SUCH_VARIABLE}\n", "server.host uses ${NO_SUCH_VARIABLE}, which is not set"),
    "missing variable in a list": ("server:\n  allowed_hosts: [ok, '${NO_SUCH_VARIABLE}']\n", "server.allowed_hosts uses ${NO_SUCH_VARIABLE}"),
    "wrong type": (f"server:\n  port: {CANARY}\n", "server.port (fluxbase.yaml): "),
    "scalar for a section": (f"server: {CANARY}\n", "server is not a setting"),
    "system schema": (f"data:\n  schemas: [public, pg_{CANARY}]\n", "data.schemas names a system schema"),
    "bad network": (f"server:\n  trusted_proxies: [{CANARY}]\n", "server.trusted_proxies (fluxbase.yaml): each entry must be"),
    "python object": (f"server: !!python/object/apply:os.system ['echo {CANARY}']\n", "not valid YAML"),
}  # fmt: skip

VARIABLES = {
    "unknown variable": ({"FLUXBASE_SERVER_PROT": CANARY}, "FLUXBASE_SERVER_PROT is not a setting"),
    "not a number": ({"FLUXBASE_SERVER_PORT": CANARY}, "server.port (FLUXBASE_SERVER_PORT): "),
    "out of range": ({"FLUXBASE_SERVER_PORT": "70000"}, "server.port (FLUXBASE_SERVER_PORT): "),
    "not a boolean": ({"FLUXBASE_LOG_ACCESS": CANARY}, "log.access must be true or false"),
    "bad JSON list": ({"FLUXBASE_DATA_SCHEMAS": f"[{CANARY}"}, "data.schemas is not valid JSON"),
    "weak secret": ({"FLUXBASE_AUTH_JWT_SECRET": CANARY}, "auth.jwt_secret is weak"),
    "repeating secret": ({"FLUXBASE_AUTH_JWT_SECRET": "ab" * 30}, "auth.jwt_secret is weak"),
    "published secret": (
        {"FLUXBASE_AUTH_JWT_SECRET": "super-secret-jwt-token-with-at-least-32-characters-long", "FLUXBASE_SERVER_HOST": "0.0.0.0"},
        "auth.jwt_secret is a published default",
    ),
    "bad master key": ({"FLUXBASE_MASTER_KEY": CANARY}, "master_key is not base64 of 32 bytes"),
    "database URL of another kind": ({"FLUXBASE_DATABASE_URL": f"mysql://u:{CANARY}@h/d"}, "database.url is not a URL of the form"),
    "database URL with a bad port": ({"FLUXBASE_DATABASE_URL": f"postgresql://u:{CANARY}@h:port/d"}, "database.url is not a URL of the form"),
    "database URL as words": ({"FLUXBASE_DATABASE_URL": f"host=h password={CANARY}"}, "database.url is not a URL of the form"),
    "public URL without scheme": ({"FLUXBASE_SERVER_PUBLIC_URL": f"{CANARY}.example"}, "server.public_url (FLUXBASE_SERVER_PUBLIC_URL): "),
    "public URL with a password": ({"FLUXBASE_SERVER_PUBLIC_URL": f"https://u:{CANARY}@h"}, "server.public_url (FLUXBASE_SERVER_PUBLIC_URL): "),
    "file that is not there": ({"FLUXBASE_CONFIG": f"/no/{CANARY}.yaml"}, "FLUXBASE_CONFIG names a file that does not exist"),
    "secret file that is not there": ({"FLUXBASE_AUTH_JWT_SECRET_FILE": f"/no/{CANARY}"}, "FLUXBASE_AUTH_JWT_SECRET_FILE names a file that cannot be read"),
    "both forms": (
        {"FLUXBASE_AUTH_JWT_SECRET": STRONG + CANARY, "FLUXBASE_AUTH_JWT_SECRET_FILE": "/dev/null"},
        "FLUXBASE_AUTH_JWT_SECRET_FILE and FLUXBASE_AUTH_JWT_SECRET are both set",
    ),
}  # fmt: skip


def refused(folder: Path, expected: str, env: dict[str, str], command: tuple[str, ...] = ("config", "check")) -> None:
    """One line on standard error, the expected words, no value, status 2, nothing made."""
    done = fluxbase(*command, cwd=folder, env=env)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert expected in lines[0]
    assert CANARY not in done.stdout + done.stderr
    assert not any(value in done.stderr for name, value in env.items() if "SECRET" in name and not name.endswith("_FILE"))
    assert not (folder / ".fluxbase").exists()


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_is_refused(case: str, tmp_path: Path) -> None:
    """Each mistake in fluxbase.yaml is one line with the key (or the line number)."""
    text, expected = FILES[case]
    (tmp_path / "fluxbase.yaml").write_text(text)
    refused(tmp_path, expected, {})


@pytest.mark.parametrize("case", VARIABLES)
def test_a_wrong_variable_is_refused(case: str, tmp_path: Path) -> None:
    """Each mistake in the environment is one line with the key and the variable."""
    env, expected = VARIABLES[case]
    refused(tmp_path, expected, env)


@pytest.mark.parametrize("command", [("start", "--port", "0"), ("keys", "show"), ("migrate", "status"), ("db", "dump", "x.sql")])
def test_every_command_refuses_alike(command: tuple[str, ...], tmp_path: Path) -> None:
    """``start`` and the other commands stop with the same line and status as ``config check``."""
    refused(tmp_path, "FLUXBASE_SERVER_PROT is not a setting", {"FLUXBASE_SERVER_PROT": CANARY}, command)


def test_refusals_are_json_on_request(tmp_path: Path) -> None:
    """With --json the refusal is an object with ``error`` on standard output."""
    done = fluxbase("config", "check", "--json", cwd=tmp_path, env={"FLUXBASE_SERVER_PROT": CANARY})
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].startswith("FLUXBASE_SERVER_PROT is not a setting")
    assert CANARY not in done.stdout + done.stderr

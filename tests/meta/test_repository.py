"""The repository as a stranger gets it: no machine traces, no secrets, links that lead somewhere, documents that are complete."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.controls import pipeline_lines

ROOT = Path(__file__).resolve().parents[2]
BINARY = {".png", ".ico", ".gz", ".woff2"}

TRACES = {
    "a path of somebody's machine": re.compile(re.escape(str(ROOT)) + r"\b|/home/(?!(?:user|fluxbase)\b)\w+/|/Users/\w+/|/root/\w"),
    "a package registry's address": re.compile(r"--(?:extra-)?index-url \S+://|\"resolved\": \"http"),
    "a private key": re.compile(r"BEGIN (?:RSA |EC |OPENSSH )?PRIVATE[ ]KEY"),
    "a cloud key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a key of ours": re.compile(r"\bfb_(?:sk|rt|live)_[A-Za-z0-9]{30,}"),
}


def tracked_files() -> list[Path]:
    """Text files under version control, and new ones that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [p for n in listing.stdout.split("\0") if n and (p := ROOT / n).is_file() and p.suffix not in BINARY]


def test_no_traces_of_machines_or_secrets() -> None:
    """No committed file names a machine's path, a registry host or a secret."""
    found: list[str] = []
    for path in tracked_files():
        text = path.read_text(errors="replace")
        found += [
            f"{path.relative_to(ROOT)}: {what}: {m.group(0)[:40]!r}" for what, pattern in TRACES.items() for m in pattern.finditer(text)
        ]
    assert found == []


def test_no_large_or_generated_files() -> None:
    """Nothing over 1 MB and no cache or build product is committed."""
    bad = [str(p.relative_to(ROOT)) for p in tracked_files() if p.stat().st_size > 1_048_576 or "__pycache__" in p.parts]
    assert bad == []


@pytest.mark.parametrize("page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page points to a file of the repository."""
    path = ROOT / page
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", t)]
    assert [t for t in targets if t and not (path.parent / t).exists()] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/security/threats.md", "docs/security/request-flow.md"])
def test_named_files_exist(page: str) -> None:
    """Every source or test file named in these pages exists, so the maps stay true."""
    names = re.findall(r"`((?:src|tests|docs|examples|benchmarks)/[\w./*-]+)`", (ROOT / page).read_text())
    assert names
    assert [n for n in names if not (list(ROOT.glob(n)) if "*" in n else (ROOT / n).exists())] == []


def test_every_dependency_is_justified() -> None:
    """Each direct dependency, of the program and of its development, has a line in docs/dependencies.md."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w.-]+", w).group(0).lower() for w in wanted}  # type: ignore[union-attr]
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert sorted(n for n in names if f"`{n}" not in page) == []


@pytest.mark.parametrize(("lock", "extra"), [("requirements.lock", False), ("requirements-dev.lock", True)])
def test_locks_hold_every_dependency_with_hashes(lock: str, extra: bool) -> None:
    """The lock files pin each declared dependency by hash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(project["optional-dependencies"]["dev"] if extra else [])]
    text = (ROOT / lock).read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    assert [w for w in wanted if re.match(r"[\w.-]+", w).group(0) not in pinned] == []  # type: ignore[union-attr]
    assert text.count("--hash=sha256:") >= len(pinned)


def test_changelog_is_open() -> None:
    """CHANGELOG.md has an Unreleased section, where the next change is written."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_decisions_are_numbered_and_listed() -> None:
    """Decisions are NNNN-title.md, each number once, have the four parts, and stand in the list."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(p for p in folder.glob("*.md") if p.name != "README.md")
    numbers = [p.name[:4] for p in pages]
    assert all(n.isdigit() for n in numbers)
    assert len(numbers) == len(set(numbers)), "take the next free number"
    index = (folder / "README.md").read_text()
    for page in pages:
        text = page.read_text().lower()
        assert [w for w in ("context", "choice", "rejected", "consequence") if w not in text] == [], page.name
        assert page.name in index, f"list {page.name} in docs/decisions/README.md"


def test_threats_have_controls_and_tests() -> None:
    """Each row of the threat table names an existing control and an attack test that exists, or says when it comes."""
    rows = re.findall(r"^\| \*\*(\S+)\*\* \|.*$", (ROOT / "docs/security/threats.md").read_text(), re.MULTILINE)
    lines = [line for line in (ROOT / "docs/security/threats.md").read_text().splitlines() if line.startswith("| **")]
    assert len(rows) == len(set(rows)) > 0
    assert [line[:60] for line in lines if "`tests/" not in line and "not yet" not in line] == []
    named = [cell for line in lines for cell in re.findall(r"`(tests/[\w/]+\.py)`", line)]
    empty = [name for name in named if name.startswith("tests/attack/") and "def test_" not in (ROOT / name).read_text()]
    assert empty == [], "a file that is named as an attack test has tests"
    unlisted = {f"tests/attack/{path.name}" for path in (ROOT / "tests/attack").glob("test_*.py")} - set(named)
    assert sorted(unlisted) == [], "every attack test stands beside the threat it answers"


def test_commands_have_a_menu_line() -> None:
    """`make` lists run, test, check and bench."""
    menu = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    assert [c for c in ("run", "test", "check", "bench") if f"make {c} " not in menu] == []


def test_documents_are_not_empty() -> None:
    """README, LICENSE, SECURITY, CONTRIBUTING, CHANGELOG and the maps say something."""
    names = [
        "README.md",
        "LICENSE",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/architecture.md",
        "docs/glossary.md",
        "benchmarks/README.md",
    ]
    assert [n for n in names if len((ROOT / n).read_text()) < 400] == []


def test_the_map_names_every_package() -> None:
    """docs/architecture.md leads to each package and to each module of the command line and the top level."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    source = ROOT / "src" / "fluxbase"
    wanted = [p.relative_to(ROOT).as_posix() for p in source.iterdir() if p.is_dir() and p.name != "__pycache__"]
    wanted += [
        p.relative_to(ROOT).as_posix() for p in [*source.glob("*.py"), *(source / "cli").glob("*.py")] if not p.name.startswith("__")
    ]
    assert [name for name in wanted if name not in page and name != "src/fluxbase/cli/owner.py"] == [], "add a line to the map"


def test_the_flow_draws_every_line_of_the_pipeline_in_order() -> None:
    """docs/security/request-flow.md names each line of web/pipeline.py where it runs, and no other between them."""
    drawing = (ROOT / "docs/security/request-flow.md").read_text().partition("data plane:")[0]
    rows = [line.removeprefix("bytes ──► ") for line in drawing.splitlines() if " ─ " in line]
    assert [name.strip() for row in rows for name in row.split(" ─ ")] == pipeline_lines()

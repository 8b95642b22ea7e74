"""The layers of DESIGN section 3, held by import-linter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "fluxbase"
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
LINES_PER_FILE = 400
OVER_BUDGET = 700


def test_imports_go_down_only() -> None:
    """No module imports a layer above it, the driver is imported in db and the HTTP toolkit in web only."""
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, f"import through a Protocol in the area's ports.py instead:\n{ran.stdout[-3000:]}"


def test_no_grab_bag_modules() -> None:
    """No module is called utils, helpers, common, misc or manager: name it after what it decides."""
    assert [str(p) for p in SOURCE.rglob("*.py") if p.stem in FORBIDDEN_NAMES] == []


def test_file_budget() -> None:
    """No source file grows past 700 lines; those over 400 are printed as candidates to split by noun."""
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCE.rglob("*.py")}
    print({name: size for name, size in sizes.items() if size > LINES_PER_FILE})
    assert {name: size for name, size in sizes.items() if size > OVER_BUDGET} == {}, "split it by domain noun"


def test_dynamic_sql_is_only_written_where_sql_lives() -> None:
    """SQL stands in .sql files, store.py, *_store.py, data/compile* and db/ only, so a reviewer knows where to look."""
    words = ("select ", "insert into ", "update ", "delete from ", "create table ", "alter table ", "drop table ", "set_config(")
    allowed = ("db", "sql")
    found: list[str] = []
    for path in SOURCE.rglob("*.py"):
        relative = path.relative_to(SOURCE)
        if (
            relative.parts[0] in allowed
            or path.stem == "store"
            or path.stem.endswith("_store")
            or relative.as_posix().startswith("data/compile")
        ):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
        found += [
            f"{relative}:{node.lineno}: {node.value[:60]!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            and node.value.lstrip().lower().startswith(words) and is_statement(node.value)
        ]  # fmt: skip
    assert found == [], "move the statement to the area's store.py or a file under src/fluxbase/sql"


def is_statement(text: str) -> bool:
    """True when text that starts like SQL is SQL and not an English sentence."""
    lowered = f" {text.lower()} "
    starts = lowered.lstrip()
    if starts.startswith("select "):
        return " from " in lowered or "(" in lowered
    if starts.startswith("update "):
        return " set " in lowered
    return True

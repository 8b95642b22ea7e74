"""Every module, public class and public function says what it decides; every test states its claim."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public_definitions(tree: ast.Module) -> Iterator[Documented]:
    """Public functions and classes of a module, and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and not is_private_shape(node):
                yield from (m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef) and not m.name.startswith("_"))


def is_private_shape(node: ast.ClassDef) -> bool:
    """Protocols describe their methods by their own docstring."""
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def is_overload(node: Documented) -> bool:
    """Overloads share the docstring of the implementation; properties' setters that of the getter."""
    names = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
    return bool(names & {"overload", "override", "setter"})


def test_source_is_documented() -> None:
    """Each module and each public name of the package has a docstring."""
    missing: list[str] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        name = path.relative_to(ROOT)
        if not ast.get_docstring(tree):
            missing.append(f"{name}: module")
        missing += [f"{name}:{n.lineno}: {n.name}" for n in public_definitions(tree) if not ast.get_docstring(n) and not is_overload(n)]
    assert missing == [], "say in one sentence what it decides and which errors it raises"


def test_tests_state_their_claim() -> None:
    """Each test has a docstring of one claim, each test module says what it covers."""
    missing: list[str] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            missing.append(f"{path.relative_to(ROOT)}: module")
        missing += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
        ]
    assert missing == [], "add the claim as a one-sentence docstring"

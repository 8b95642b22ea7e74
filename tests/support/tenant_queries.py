"""Every query that names its tenant, each with the edit that makes it forget whose it is.

The list is read from the source, so a new query is in it without anybody's doing; ``tests/property/test_tenant_query_mutants.py``
removes the predicates one by one and wants the proof to fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.edited import edited, found

SOURCE = Path(__file__).resolve().parents[2] / "src"
PREDICATE = re.compile(r"(?:\b\w+\.)?tenant_id\s*=\s*(\$\d+(?:::text)?(?:::uuid)?)")
"""``tenant_id = $1::text::uuid``, with or without the table before it."""


@dataclass(frozen=True, order=True)
class Query:
    """One predicate: the nth of a function, or of a module outside its functions."""

    module: str
    function: str
    number: int = 0

    @property
    def name(self) -> str:
        """Short enough for the name of a test."""
        return f"{self.module.removeprefix('fluxbase.')}:{self.function or '<module>'}:{self.number}"


@cache
def queries() -> tuple[Query, ...]:
    """All of them."""
    listed: list[Query] = []
    for path in sorted((SOURCE / "fluxbase").rglob("*.py")):
        text = path.read_text()
        if "proof" in path.relative_to(SOURCE).parts or not PREDICATE.search(text):
            continue
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        counts: dict[str, int] = {}
        for hit in PREDICATE.finditer(text):
            line = text.count("\n", 0, hit.start()) + 1
            owner = next((node.name for node in reversed(functions) if node.lineno <= line <= (node.end_lineno or 0)), "")
            listed.append(Query(module, owner, counts.get(owner, 0)))
            counts[owner] = counts.get(owner, 0) + 1
    return tuple(listed)


def _forgetful(text: str, number: int) -> str:
    """The text with its nth predicate true for every tenant; the parameter stays, so that its type is known."""
    hit = list(PREDICATE.finditer(text))[number]
    return f"{text[: hit.start()]}{hit[1]} is not null{text[hit.end() :]}"


@contextmanager
def forgetting(query: Query) -> Iterator[None]:
    """The running module asks for everybody's rows."""
    if query.function:
        with edited(query.module, query.function, lambda source: _forgetful(source, query.number)):
            yield
        return
    module, seen = found(query.module), 0
    for name, value in list(vars(module).items()):
        if isinstance(value, str) and (hits := len(PREDICATE.findall(value))):
            if seen <= query.number < seen + hits:
                setattr(module, name, _forgetful(value, query.number - seen))
                try:
                    yield
                finally:
                    setattr(module, name, value)
                return
            seen += hits
    raise AssertionError(f"{query.name} is not in a constant of its module")

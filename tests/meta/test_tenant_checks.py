"""Every comparison of tenants in the source has a mutant: with it removed the proof fails (tests/attack/test_tenant_proof_mutants.py)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.tenant_checks import CODE, EQUIVALENT
from tests.support.tenant_queries import queries
from tests.support.tenant_queries_spared import NOTICED, SPARED

SOURCE = Path(__file__).resolve().parents[2] / "src"
WHERE = ("web", "auth", "kernel", "tenancy", "data", "limits", "mail", "audit", "db", "parts")
TENANT = re.compile(r"\btenant(_id|\.id|\.slug)?\b|\blocator\b|\.tenant\b")


def comparisons() -> set[tuple[str, str]]:
    """File and text of each ``==`` or ``!=`` between things of tenants; those in ``if`` of pure look-ups by the register are its own."""
    found: set[tuple[str, str]] = set()
    for part in WHERE:
        for path in sorted((SOURCE / "fluxbase" / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq) and TENANT.search(ast.unparse(node)):
                    found.add((path.relative_to(SOURCE).as_posix(), ast.unparse(node)))
    return found


def test_every_comparison_of_tenants_has_a_mutant() -> None:
    """A new one goes into CODE of tests/support/tenant_checks.py, or into EQUIVALENT with the reason."""
    texts = {(check.module.replace(".", "/") + ".py", check.text.replace('"', "'")) for check in CODE.values()}
    known = {(path, text.replace('"', "'")) for path, text in EQUIVALENT}
    missing = {(path, text) for path, text in comparisons() if not any(path == where and text in whole for where, whole in texts | known)}
    assert sorted(missing) == []


def test_the_list_follows_the_source() -> None:
    """What is said to be equivalent is still there."""
    assert sorted((path, text) for path, text in EQUIVALENT if (path, text.replace('"', "'")) not in comparisons()) == []


def test_every_query_that_names_its_tenant_is_accounted_for() -> None:
    """A new one is removed by a mutant (NOTICED of tests/support/tenant_queries_spared.py), or it is said there why its removal gives nobody anything."""
    names = {query.name for query in queries()}
    assert sorted(names - NOTICED.keys() - SPARED.keys()) == []
    assert sorted((NOTICED.keys() | SPARED.keys()) - names) == []
    assert NOTICED.keys() & SPARED.keys() == set()

"""The controls of the security kernel, enumerated from the code: each wants a vulnerable twin (tests/meta/test_controls.py).

A test says which controls it takes away: ``@pytest.mark.twin("event-trigger:fluxbase_ddl")``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from fluxbase.db.cleaning import cleaning
from fluxbase.db.provision import EVENT_TRIGGERS
from tests.support.twin import LIFTED, cleaning_name

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / "src" / "fluxbase" / "web" / "pipeline.py"
MIGRATIONS = ROOT / "src" / "fluxbase" / "sql" / "migrations"

BY_PROVISIONING = {
    "grant:birth": "the grants of a newborn relation are SELECT, INSERT, UPDATE and DELETE",
    "login:one-role": "a login is a member of one client role, without inheritance",
    "database:create-temporary": "CREATE and TEMPORARY are revoked from PUBLIC on the database",
    "catalogue:relations": "activity, statistics, prepared statements and locks are revoked from PUBLIC",
    "catalogue:functions": "signals, large objects and the functions behind those views are revoked from PUBLIC",
}
"""What db/provision.py and 0006_catalogue.sql do in loops, where no name can be read off the text."""
WITHOUT_TWIN = {
    "function:fluxbase.execution_line": "words a line of a log, no control",
    "function:fluxbase.start_execution": "says only that a call has begun; whose it is, fluxbase.caller decides, and the end has a twin",
    "function:fluxbase.note_slow_policy": "advice about speed, no control",
    "cleaning:set role": "the settings statement sets the role again; this closes a connection whose login may not take it",
    "cleaning:discard temp": "there is nothing to discard while TEMPORARY is revoked (database:create-temporary)",
    "trigger:move_key_epoch": "tests/unit/auth/test_verify.py: the epoch only refreshes a cache; revocation itself is function:fluxbase.admit",
}
"""Reviewed: why removing it alone shows nothing over HTTP."""


def pipeline_lines() -> list[str]:
    """Names of the lines in ``web/pipeline.py``, in running order."""
    tree = ast.parse(PIPELINE.read_text())
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "lines")
    returned = next(node for node in ast.walk(function) if isinstance(node, ast.Return))
    assert isinstance(returned.value, ast.List)
    return [ast.literal_eval(item.elts[0]) for item in returned.value.elts if isinstance(item, ast.Tuple)]


def _migrations() -> str:
    return "\n".join(re.sub(r"--[^\n]*", "", path.read_text()) for path in sorted(MIGRATIONS.glob("*.sql")))


def system_tables() -> list[str]:
    """Every table the system migrations make, with its schema."""
    return sorted(set(re.findall(r"^create table (\w+\.\w+)", _migrations(), re.MULTILINE)))


def _functions() -> list[str]:
    """Functions of ``fluxbase`` that are called by name; those of triggers are proven by their trigger."""
    heads = re.findall(r"^create (?:or replace )?function (fluxbase\.\w+)\([^)]*\) returns (\w+)", _migrations(), re.MULTILINE)
    return sorted({name for name, returns in heads if returns not in ("trigger", "event_trigger")})


def _triggers() -> list[str]:
    return sorted(set(re.findall(r"^create trigger (\w+)", _migrations(), re.MULTILINE)))


def _cleaning() -> list[str]:
    return [cleaning_name(str(text)) for text, _ in cleaning("role")]


def controls() -> set[str]:
    """Every control that wants a twin."""
    found = [f"pipeline:{name}" for name in pipeline_lines()]
    found += [f"event-trigger:{name}" for name, _, _ in EVENT_TRIGGERS]
    found += [f"function:{name}" for name in _functions()]
    found += [f"trigger:{name}" for name in _triggers()]
    found += [f"table:{name}" for name in system_tables()]
    found += _cleaning()
    return {*found, *LIFTED, *BY_PROVISIONING}

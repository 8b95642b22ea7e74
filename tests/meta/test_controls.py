"""Every control of the security kernel has a vulnerable twin: a test that shows what happens without it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support.controls import WITHOUT_TWIN, controls, pipeline_lines

ROOT = Path(__file__).resolve().parents[2]


@cache
def proven() -> set[str]:
    """Controls named by a twin that pytest collects."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "tests.support.list_twins", "-p", "no:cacheprovider", "tests/attack"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return {line.removeprefix("twin-of: ") for line in ran.stdout.splitlines() if line.startswith("twin-of: ")}


def test_every_control_has_a_twin() -> None:
    """A control without a test that fails when it is removed fails the build."""
    assert sorted(controls() - proven() - set(WITHOUT_TWIN)) == [], 'write a twin and mark it @pytest.mark.twin("<control>")'


def test_twins_name_controls_that_exist() -> None:
    """A twin whose control is gone proves nothing, and so does an exemption."""
    assert sorted((proven() | set(WITHOUT_TWIN)) - controls()) == []


def test_an_exemption_ends_when_there_is_a_twin() -> None:
    """What has a twin is not listed as having none."""
    assert sorted(proven() & set(WITHOUT_TWIN)) == []


def test_the_enumeration_sees_the_code() -> None:
    """The registry reads the pipeline and the SQL: known names of each kind are in it."""
    known = {"event-trigger:fluxbase_ddl", "function:fluxbase.admit", "table:auth.keys", "trigger:append_only", "cleaning:reset all"}
    assert known <= controls()
    assert {"RequestId", "Authenticate"} <= set(pipeline_lines())

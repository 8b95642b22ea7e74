"""In CI a skipped proof is a failed proof.

Tests of ``tests/clients``, ``tests/attack`` and ``tests/contract`` may be skipped on a developer's machine that
lacks a peer (the reason is printed and counted); with ``CI=true`` such a skip is turned into a failure, so that
CI cannot become green by losing a client library.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

GUARDED = ("tests/clients/", "tests/attack/", "tests/contract/")


def is_guarded(nodeid: str, environ: dict[str, str] | os._Environ[str]) -> bool:
    """True when a skip of this test must fail the run."""
    return environ.get("CI", "").lower() in {"1", "true"} and nodeid.startswith(GUARDED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a guarded test into a failure that names the reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and is_guarded(item.nodeid, os.environ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where this proof must run: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if report.skipped and is_guarded(collector.nodeid, os.environ):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where this proof must run: {report.longrepr}"
    return report

"""pytest plugin: writes the controls whose twins were collected, one a line (``-p tests.support.list_twins``)."""

from __future__ import annotations

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """One line ``twin-of: <control>`` for each."""
    named = {str(control) for item in session.items for mark in item.iter_markers("twin") for control in mark.args}
    for control in sorted(named):
        print(f"twin-of: {control}")

"""``make test-all`` runs the long tests too: FLUXBASE_TESTS_LONG=1.

The variable is taken out of the environment (the program refuses FLUXBASE_ names it does not know) and handed to the
workers of pytest-xdist under another name. Mark long tests with ``@needs_long``.
"""

from __future__ import annotations

import os

import pytest

if os.environ.pop("FLUXBASE_TESTS_LONG", "") == "1":
    os.environ["TESTS_LONG"] = "1"

needs_long = pytest.mark.skipif(os.environ.get("TESTS_LONG") != "1", reason="long: make test-all")

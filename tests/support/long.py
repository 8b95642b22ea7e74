"""Which tests run when. ``make test`` is for every change and ends within five minutes on two cores; ``make test-slow`` runs the files
that start, kill and compare whole programs; CI runs both. ``make test-all`` runs everything with the long tests: FLUXBASE_TESTS_LONG=1.

The variable is taken out of the environment (the program refuses FLUXBASE_ names it does not know) and handed to the
workers of pytest-xdist under another name. Mark long tests with ``@needs_long``.
"""

from __future__ import annotations

import os

import pytest

if os.environ.pop("FLUXBASE_TESTS_LONG", "") == "1":
    os.environ["TESTS_LONG"] = "1"

needs_long = pytest.mark.skipif(os.environ.get("TESTS_LONG") != "1", reason="long: make test-all")

SLOW = (
    "tests/process/",
    "tests/contract/byo/",
    "tests/contract/rest/test_openapi.py",
    "tests/contract/rest/test_prefer.py",
    "tests/property/test_whole_openapi.py",
    "tests/api/test_tenant_settings.py",
    "tests/db/test_mail_queue.py",
    "tests/db/test_session_isolation.py",
    *(
        f"tests/attack/test_{name}.py"
        for name in ("abuse", "captcha_and_hooks", "hostile_tenant", "mailed", "platform", "platform_factors", "providers", "rate_limits",
                     "saml", "second_factor", "tenant_proof", "tenant_proof_mutants")
    ),
)  # fmt: skip
"""Files of these names are marked ``slow``: their tests start programs of their own (other modes, mail servers, OpenID providers, Redis,
second nodes), attack every route of the server, or send two hundred requests at once to everything that works once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)

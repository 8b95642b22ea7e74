"""The table of routes that ask for a captcha names routes that exist, and each of its flows can be switched on."""

from __future__ import annotations

from fluxbase.auth.captcha.service import FLOWS
from fluxbase.web.captcha import FLOW_OF_PATH
from tests.meta.reference import running_routes


def test_every_row_is_a_route() -> None:
    """A path that is no route any more would be a flow without its captcha."""
    paths = {route.pattern for route in running_routes()}
    assert sorted(set(FLOW_OF_PATH) - paths) == []
    assert set(FLOW_OF_PATH.values()) == set(FLOWS)

"""Every route of the running router has a call in ``src/fluxbase/proof/calls``: what cannot be called cannot be proven (issue 4.7)."""

from __future__ import annotations

from tests.meta.reference import running_routes


def test_every_route_has_a_call() -> None:
    """Each name and method; a new one goes into the table of its area."""
    from fluxbase.proof.calls import CALLS

    missing = {
        f"{route.name} {method}"
        for route in running_routes()
        for method in route.methods - {"HEAD", "OPTIONS"}
        if method not in {call.method for call in CALLS.get(route.name, ())}
    }
    assert sorted(missing) == [], "say in src/fluxbase/proof/calls how it is called (CONTRIBUTING.md, 'A new route')"


def test_every_call_has_a_route() -> None:
    """A call of a route that is gone proves nothing."""
    from fluxbase.proof.calls import CALLS

    names = {route.name for route in running_routes()}
    assert sorted(CALLS.keys() - names) == []

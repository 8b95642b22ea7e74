"""Every route of the running program says what is done there and with which credentials (DESIGN invariant 8)."""

from __future__ import annotations

from functools import cache

from fluxbase.kernel.access import Access
from fluxbase.kernel.permissions import PERMISSIONS, check_permission_name
from fluxbase.web.routing import Route
from tests.meta.reference import ACCESS_WORDS, running_routes

WITHOUT = (Access.PUBLIC, Access.USER, Access.LOOPBACK)
"""Nothing to grant there: everybody may, or a user for himself."""


@cache
def routes() -> tuple[Route, ...]:
    """All of them."""
    return tuple(running_routes())


def test_every_route_names_its_permission() -> None:
    """A route for administrators, or one that keys may use, names a permission for each of its methods."""
    bare = [
        f"{method} {item.pattern}"
        for item in routes()
        if item.access not in WITHOUT
        for method, named in item.permissions.items()
        if not named
    ]
    assert bare == [], "name it: control.add(…, permission=…), a line of kernel/permissions.py"


def test_every_permission_is_used_and_well_formed() -> None:
    """No permission that no route names; each is area:resource:action and its scope area:action."""
    used = {named.name for item in routes() for named in item.permissions.values() if named}
    assert sorted(PERMISSIONS.keys() - used) == []
    assert [name for name in PERMISSIONS if check_permission_name(name) != name] == []
    assert [item.name for item in PERMISSIONS.values() if item.scope and item.scope.count(":") != 1] == []


def test_every_access_is_explained() -> None:
    """The page says who each access lets in."""
    assert set(ACCESS_WORDS) == set(Access)

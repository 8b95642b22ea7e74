"""The route table: literal segments first, ``{}`` takes one non-empty segment, other verbs and paths are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from fluxbase.kernel.access import DATA_PLANE, Access
from fluxbase.kernel.errors import MethodNotAllowed, NotFound
from fluxbase.web.routing import Route, RouteTable, route


async def handler(*_: Any) -> None:
    """Never called."""


def declared(pattern: str, *methods: str) -> Route:
    """A route for these verbs."""
    return route(pattern, methods or ("GET",), handler, access=Access.PUBLIC, limit=DATA_PLANE)


TABLE = RouteTable([declared(p) for p in ("/", "/a/{}", "/a/b", "/a/b/{}", "/a/{}/c")] + [declared("/a/b", "POST", "PUT")])


@pytest.mark.parametrize(
    ("path", "pattern", "values"),
    [
        ("/", "/", ()), ("/a/x", "/a/{}", ("x",)), ("/a/x/", "/a/{}", ("x",)), ("/a/b", "/a/b", ()), ("/a/b/c", "/a/b/{}", ("c",)),
        ("/a/z/c", "/a/{}/c", ("z",)), ("/a/{}", "/a/{}", ("{}",)), ("/a/b/{}", "/a/b/{}", ("{}",)),
    ],
)  # fmt: skip
def test_the_most_literal_route_wins(path: str, pattern: str, values: tuple[str, ...]) -> None:
    """A path finds its most literal pattern and what ``{}`` took, a path that spells ``{}`` included."""
    found, taken = TABLE.match("GET", path)
    assert (found.pattern, taken) == (pattern, values)


@pytest.mark.parametrize("path", ["/q", "/a", "/a/", "/a//c", "/a/b/c/d", "/a/z/d"])
def test_a_path_nobody_declared_is_unknown(path: str) -> None:
    """What no pattern matches is 404, a partial match included."""
    with pytest.raises(NotFound):
        TABLE.match("GET", path)


def test_another_verb_is_told_which_are_allowed() -> None:
    """A known path with an unknown verb is 405 and names every verb of the path."""
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match("DELETE", "/a/b")
    assert caught.value.headers == (("allow", "GET, POST, PUT"),)

"""Routes and the pure match from method and path to a route.

A route cannot be written without saying who may call it (``access=``) and how often (``limit=``): both are
required keyword arguments, and a test walks the table (DESIGN invariant 8). What is done there (``permission=``) decides with which kind
of credential it may be done (``kernel/permissions.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import MethodNotAllowed, UnknownRoute
from fluxbase.kernel.permissions import Permission, permission_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fluxbase.kernel.access import Access, Limit
    from fluxbase.web.context import App

ANY_METHOD = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
WEBSOCKET = "WEBSOCKET"
"""The method of a handshake: only a route that names it speaks WebSocket."""
_REMEMBERED_LENGTH = 128
"""Longer paths are matched anew each time, so that what is remembered stays small."""
ROWS = {verb: f"tables:rows:{'read' if verb in {'GET', 'HEAD', 'OPTIONS'} else 'write'}" for verb in ANY_METHOD}
"""What each method does to a table."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the surface. ``{}`` in the pattern takes one non-empty segment."""

    pattern: str
    methods: frozenset[str]
    handler: App
    access: Access
    limit: Limit
    body_limit_bytes: int
    name: str
    is_data_plane: bool
    permissions: dict[str, Permission | None]
    """By method."""
    checks_standing: bool = False
    """The handler asks in its own transaction whether the credential still holds, as the data plane does; else Authorise asks before it."""


def route(
    pattern: str,
    methods: Iterable[str],
    handler: App,
    *,
    access: Access,
    limit: Limit,
    body_limit_bytes: int = 65_536,
    name: str = "",
    is_data_plane: bool = False,
    permission: str | Mapping[str, str] = "",
    checks_standing: bool = False,
) -> Route:
    """Declare a route; ``access`` and ``limit`` have no default on purpose. ``permission``: a name, or one for each method."""
    verbs = frozenset(methods)
    names = dict.fromkeys(verbs, permission) if isinstance(permission, str) else {verb: permission[verb] for verb in verbs}
    permissions = {verb: permission_of(named) for verb, named in names.items()}
    return Route(pattern, verbs, handler, access, limit, body_limit_bytes, name or pattern, is_data_plane, permissions, checks_standing)


class _Node:
    """The routes that end at one segment, and what may follow: literal segments, or any (the key None)."""

    __slots__ = ("children", "routes")

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.children: dict[str | None, _Node] = {}

    def find(self, parts: list[str], at: int, values: list[str]) -> list[Route] | None:
        """The routes of ``parts[at:]``, with what ``{}`` took in ``values``; None when there are none."""
        if at == len(parts):
            return self.routes or None
        child = self.children.get(parts[at])
        found = None if child is None else child.find(parts, at + 1, values)
        if found is None and parts[at] and (child := self.children.get(None)) is not None:
            kept = len(values)
            values.append(parts[at])
            found = child.find(parts, at + 1, values)
            if found is None:
                del values[kept:]
        return found


class RouteTable:
    """All routes of the program, matched by literal segments first, then ``{}``."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        for item in self.routes:
            node = self._root
            for part in item.pattern.split("/")[1:]:
                node = node.children.setdefault(None if part == "{}" else part, _Node())
            node.routes.append(item)
        self._remembered = lru_cache(maxsize=1024)(self._search)

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route and the values of its ``{}`` segments.

        Raises NotFound for an unknown path and MethodNotAllowed for a known one with another verb.
        """
        return self._remembered(method, path) if len(path) <= _REMEMBERED_LENGTH else self._search(method, path)

    def _search(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        parts = path.split("/")
        if len(parts) > 2 and not parts[-1]:
            parts.pop()
        values: list[str] = []
        candidates = self._root.find(parts, 1, values)
        if candidates is None:
            raise UnknownRoute(path)
        for item in candidates:
            if method in item.methods:
                return item, tuple(values)
        allowed = sorted({m for item in candidates for m in item.methods})
        raise MethodNotAllowed(f"Unsupported HTTP method: {method}", pgrst="PGRST117", headers=(("allow", ", ".join(allowed)),))

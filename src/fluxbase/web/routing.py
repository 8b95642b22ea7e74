"""Routes and the pure match from method and path to a route.

A route cannot be written without saying who may call it (``access=``) and how often (``limit=``): both are
required keyword arguments, and a test walks the table (DESIGN invariant 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fluxbase.kernel.access import Access, Limit
    from fluxbase.web.context import App

ANY_METHOD = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
) -> Route:
    """Declare a route; ``access`` and ``limit`` have no default on purpose."""
    return Route(pattern, frozenset(methods), handler, access, limit, body_limit_bytes, name or pattern, is_data_plane)


class RouteTable:
    """All routes of the program, matched by literal segments first, then ``{}``."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_shape: dict[tuple[str | None, ...], list[Route]] = {}
        for item in self.routes:
            shape = tuple(None if part == "{}" else part for part in item.pattern.split("/")[1:])
            self._by_shape.setdefault(shape, []).append(item)
        self._shapes = sorted(self._by_shape, key=lambda shape: (len(shape), [part is None for part in shape]))

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route and the values of its ``{}`` segments.

        Raises NotFound for an unknown path and MethodNotAllowed for a known one with another verb.
        """
        parts = tuple(path.split("/")[1:])
        if len(parts) > 1 and parts[-1] == "":
            parts = parts[:-1]
        candidates = self._by_shape.get(parts)
        values: tuple[str, ...] = ()
        if candidates is None:
            for shape in self._shapes:
                if len(shape) == len(parts) and all(s == p or (s is None and p) for s, p in zip(shape, parts, strict=True)):
                    candidates = self._by_shape[shape]
                    values = tuple(p for s, p in zip(shape, parts, strict=True) if s is None)
                    break
        if candidates is None:
            raise NotFound("No such route.", code="unknown_route", pgrst="PGRST125")
        for item in candidates:
            if method in item.methods:
                return item, values
        allowed = sorted({m for item in candidates for m in item.methods})
        raise MethodNotAllowed(f"{method} is not supported here.", pgrst="PGRST117", headers=(("allow", ", ".join(allowed)),))

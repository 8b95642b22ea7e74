"""Cost limits that are refused with a code and a hint: how deep and wide a request embeds, what its plan costs (threat E43)."""

from __future__ import annotations

import orjson

from fluxbase.kernel.errors import InvalidInput

TOO_DEEP, TOO_WIDE, TOO_DEAR = "FBC01", "FBC02", "FBC03"
"""Codes on the REST surface; PostgREST has no such limits and so no codes for them."""


def refuse_depth(max_depth: int) -> InvalidInput:
    """An embed below the deepest one the role may ask for."""
    return InvalidInput(
        f"Embedded resources are nested deeper than {max_depth}.", pgrst=TOO_DEEP, code="embed_too_deep",
        hint="Ask for the inner resources in a request of their own, or raise data.max_embed_depth for this role.",
    )  # fmt: skip


def refuse_width(max_width: int) -> InvalidInput:
    """More embeds in one request than the role may ask for."""
    return InvalidInput(
        f"More than {max_width} embedded resources.", pgrst=TOO_WIDE, code="embed_too_wide",
        hint="Split the request, or raise data.max_embed_width for this role.",
    )  # fmt: skip


def refuse_dear(plan: bytes | None, ceiling: float) -> None:
    """Raise FBC03 when the planner expects more than the role's ceiling; the estimate itself is not told."""
    total = orjson.loads(plan or b"[]")[0]["Plan"]["Total Cost"]
    if total > ceiling:
        raise InvalidInput(
            "The query is too expensive.", pgrst=TOO_DEAR, code="query_too_dear",
            hint="Filter by an indexed column, ask for fewer rows or embeds, or raise data.max_planner_cost for this role.",
        )  # fmt: skip

"""One row of ``audit.entries`` in the caller's transaction: a change and its record commit together (invariant 13)."""

from __future__ import annotations

from typing import Any

import orjson


async def record(tx: Any, *, action: str, actor: str, resource: str, details: dict[str, object], request_id: str | None = None) -> None:
    """Write that ``actor`` did ``action`` to ``resource``."""
    await tx.fetch(
        "insert into audit.entries (actor, action, resource, details, request_id) "
        "values ($1::text, $2::text, $3::text, $4::text::jsonb, $5::text) returning id::text",
        actor, action, resource, orjson.dumps(details).decode(), request_id,
    )  # fmt: skip


async def record_refusals(tx: Any, rows: list[tuple[str, str, str, str, dict[str, object]]]) -> None:
    """Several rows in one statement: (actor, action, resource, request id, details)."""
    actors, actions, resources, request_ids, details = zip(*rows, strict=True)
    await tx.fetch(
        "insert into audit.entries (actor, action, resource, request_id, details) select a, b, c, nullif(d, ''), e::jsonb "
        "from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) as row (a, b, c, d, e)",
        list(actors), list(actions), list(resources), list(request_ids), [orjson.dumps(each).decode() for each in details],
    )  # fmt: skip

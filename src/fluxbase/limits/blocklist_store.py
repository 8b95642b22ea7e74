"""The SQL of blocks and switches, in the main database."""

from __future__ import annotations

from typing import Any

MOST_BLOCKS = 10_000
_TIME = "to_char({} at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


async def select_kept_out(tx: Any) -> tuple[list[tuple[str, float | None]], list[tuple[str, str]]]:
    """(network, seconds left or None) of every block that holds, and (name, message) of every switch."""
    blocks = await tx.fetch(
        "select network::text, extract(epoch from expires_at - clock_timestamp())::float8 from platform.blocks "
        "where expires_at is null or expires_at > clock_timestamp() order by created_at desc limit $1::int",
        MOST_BLOCKS,
    )
    switches = await tx.fetch("select name, message from platform.switches")
    return [(network, left) for network, left in blocks], [(name, message) for name, message in switches]


async def select_blocks(tx: Any) -> list[dict[str, str | None]]:
    """What ``fluxbase block list`` shows, the newest first."""
    rows = await tx.fetch(
        f"select network::text, reason, actor, {_TIME.format('created_at')}, {_TIME.format('expires_at')} from platform.blocks "  # noqa: S608 - constants
        "where expires_at is null or expires_at > clock_timestamp() order by platform.blocks.created_at desc"
    )
    return [dict(zip(("network", "reason", "actor", "created_at", "expires_at"), row, strict=True)) for row in rows]


async def insert_block(tx: Any, network: str, *, reason: str, actor: str, seconds: int | None) -> None:
    """Block a network, for ever or so long; what ended goes. A block by hand is not shortened by one that came by itself."""
    await tx.fetch("delete from platform.blocks where expires_at < clock_timestamp()")
    await tx.fetch(
        "insert into platform.blocks as held (network, reason, actor, expires_at) "
        "values ($1::text::cidr, $2::text, $3::text, clock_timestamp() + make_interval(secs => $4::float8)) "
        "on conflict (network) do update set reason = excluded.reason, actor = excluded.actor, expires_at = excluded.expires_at "
        "where excluded.expires_at is null or held.expires_at < excluded.expires_at returning network::text",
        network, reason, actor, seconds,
    )  # fmt: skip


async def delete_block(tx: Any, network: str) -> bool:
    """Let a network in again; false when it was not blocked."""
    return bool(await tx.fetch("delete from platform.blocks where network = $1::text::cidr returning network::text", network))


async def select_switches(tx: Any) -> list[dict[str, str]]:
    """What is off, and why."""
    rows = await tx.fetch(f"select name, message, actor, {_TIME.format('created_at')} from platform.switches order by name")  # noqa: S608 - constants
    return [dict(zip(("name", "message", "actor", "created_at"), row, strict=True)) for row in rows]


async def set_switch(tx: Any, name: str, *, is_off: bool, message: str, actor: str) -> bool:
    """Switch off, or on again; false when nothing changed."""
    if not is_off:
        return bool(await tx.fetch("delete from platform.switches where name = $1::text returning name", name))
    await tx.fetch(
        "insert into platform.switches (name, message, actor) values ($1::text, $2::text, $3::text) "
        "on conflict (name) do update set message = excluded.message, actor = excluded.actor returning name",
        name, message, actor,
    )  # fmt: skip
    return True

"""The exact limiter in PostgreSQL (threat G61): one statement counts every key of a call, for all workers and nodes.

The database's clock counts, so nodes need not agree on the time. Rows are locked in the order of keys: two nodes cannot wait for
each other. Commits are durable, so neither a restart nor a crash gives a quota back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import Unavailable
from fluxbase.limits.ports import StoreAway
from fluxbase.limits.rules import Grant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.db.session import SystemSessions
    from fluxbase.limits.ports import Ask

MAIN = "main"

_TAKE = """
insert into platform.rate_limits as held
  (key, asked_at, wanted, capacity, interval_us, lock_us, granted, spent_until, locked_until)
select key, asked_at, wanted, capacity, interval_us, lock_us, least(wanted, capacity), asked_at + least(wanted, capacity) * interval_us,
       case when wanted > capacity and lock_us > 0 then asked_at + lock_us else 0 end
  from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as ask (key, wanted, capacity, interval_us, lock_us),
       (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as asked_at) as clock
 order by key
on conflict (key) do update set
  (asked_at, wanted, capacity, interval_us, lock_us, granted, spent_until, locked_until) = (
    select excluded.asked_at, excluded.wanted, excluded.capacity, excluded.interval_us, excluded.lock_us, passed.number,
           greatest(held.spent_until, excluded.asked_at) + passed.number * excluded.interval_us,
           case when held.locked_until > excluded.asked_at then held.locked_until
                when passed.number < excluded.wanted and excluded.lock_us > 0 then excluded.asked_at + excluded.lock_us
                else 0 end
      from (select case when held.locked_until > excluded.asked_at then 0 else
              greatest(0, least(excluded.wanted, excluded.capacity
                - (greatest(0, held.spent_until - excluded.asked_at) + excluded.interval_us - 1) / excluded.interval_us))
            end) as passed (number))
returning key, granted, greatest(0, spent_until - asked_at), greatest(0, locked_until - asked_at)"""
_SWEEP = """
delete from platform.rate_limits
 where greatest(spent_until, locked_until) < (extract(epoch from clock_timestamp()) * 1000000)::bigint - 60000000"""


class PostgresStore:
    """``platform.rate_limits`` of the main database."""

    def __init__(self, sessions: SystemSessions) -> None:
        self._sessions = sessions

    async def take(self, asks: Sequence[Ask]) -> dict[str, Grant]:
        """One statement, whatever the number of keys."""
        columns = zip(*((a.key, a.wanted, a.rule.capacity, a.rule.interval_us, a.rule.lock_us) for a in asks), strict=True)
        rows = await self._fetch(_TAKE, *map(list, columns))
        return {key: Grant(granted, spent, locked) for key, granted, spent, locked in rows}

    async def forget(self, key: str) -> None:
        """Delete the row."""
        await self._fetch("delete from platform.rate_limits where key = $1::text", key)

    async def sweep(self) -> None:
        """Delete the rows that say nothing any more."""
        await self._fetch(_SWEEP)

    async def close(self) -> None:
        """End the connection, which nobody else uses."""
        await self._sessions.close()

    async def _fetch(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        try:
            async with self._sessions(MAIN, reason="count requests") as tx:
                return await tx.fetch(sql, *params)
        except Unavailable as error:
            raise StoreAway from error

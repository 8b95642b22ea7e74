"""The exact limiter in Redis or Valkey: one script a key, so that nobody counts in between; all keys of a call in one round trip.

The server's clock counts. Numbers are whole microseconds, which a Lua double holds exactly. A key ends by itself when its quota is
whole again. What survives a restart of Redis is up to its persistence (docs/limits.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from fluxbase.limits.ports import StoreAway
from fluxbase.limits.rules import Grant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.limits.ports import Ask

PREFIX = "fluxbase:limit:"
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wanted, capacity, interval, lock = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held = redis.call('HMGET', KEYS[1], 'spent', 'locked')
local spent, locked = tonumber(held[1] or '0'), tonumber(held[2] or '0')
if locked > now then
  return {0, math.max(0, spent - now), locked - now}
end
local ahead = math.max(0, spent - now)
local granted = math.max(0, math.min(wanted, capacity - math.ceil(ahead / interval)))
spent = math.max(spent, now) + granted * interval
locked = 0
if granted < wanted and lock > 0 then locked = now + lock end
redis.call('HSET', KEYS[1], 'spent', string.format('%.0f', spent), 'locked', string.format('%.0f', locked))
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(spent, locked) - now) / 1000) + 1000)
return {granted, math.max(0, spent - now), math.max(0, locked - now)}
"""


class RedisStore:
    """Counts for all workers and nodes that name the same Redis."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._redis: Redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - the client's own types are open here
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, max_connections=4
        )
        self._sha = ""

    async def take(self, asks: Sequence[Ask]) -> dict[str, Grant]:
        """One pipeline, whatever the number of keys. Raises StoreAway."""
        try:
            try:
                rows = await self._run(asks)
            except NoScriptError:  # Redis was restarted and forgot it; nothing of this call was counted
                self._sha = ""
                rows = await self._run(asks)
        except (RedisError, OSError) as error:
            raise StoreAway from error
        return {ask.key: Grant(*map(int, row)) for ask, row in zip(asks, rows, strict=True)}

    async def _run(self, asks: Sequence[Ask]) -> list[list[int]]:
        self._sha = self._sha or str(await self._redis.script_load(_TAKE))
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key, rule, wanted in asks:
                pipeline.evalsha(self._sha, 1, PREFIX + key, wanted, rule.capacity, rule.interval_us, rule.lock_us)  # type: ignore[arg-type]
            return cast("list[list[int]]", await pipeline.execute())

    async def forget(self, key: str) -> None:
        """Delete the key. Raises StoreAway."""
        try:
            await self._redis.delete(PREFIX + key)
        except (RedisError, OSError) as error:
            raise StoreAway from error

    async def sweep(self) -> None:
        """Nothing: keys end by themselves."""

    async def close(self) -> None:
        """End connections."""
        await self._redis.aclose()

"""Rate limits, put together: where they are counted, and whether the configured names exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.config import ConfigError
from fluxbase.db.provision import SYSTEM_LOGIN
from fluxbase.db.session import SystemSessions
from fluxbase.limits.limiter import RateLimiter
from fluxbase.limits.store import PostgresStore

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.config import Config
    from fluxbase.limits.ports import RateStore
    from fluxbase.web.routing import Route


def rate_limiter(program: Program) -> RateLimiter:
    """The limiter of a worker, on a connection of its own: a flood must not hold key look-ups."""
    return RateLimiter(program.config.limits, _store(program))


def _store(program: Program) -> RateStore:
    limits = program.config.limits
    if limits.redis_url is not None and limits.store == "redis":
        from fluxbase.limits.redis_store import RedisStore

        return RedisStore(limits.redis_url.reveal(), limits.store_timeout_seconds)
    return PostgresStore(SystemSessions(lambda _: program.target.login_conninfo(SYSTEM_LOGIN)))


def validated_rules(config: Config, routes: list[Route]) -> list[Route]:
    """The routes as they came. Raises ConfigError when ``limits.rules`` names a limit or route that does not exist."""
    unknown = config.limits.unknown_rules({route.name for route in routes})
    if unknown:
        raise ConfigError(f"limits.rules names {', '.join(unknown)}: neither a limit nor a route (docs/limits.md lists them)")
    return routes

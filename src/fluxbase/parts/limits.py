"""Rate limits, put together: where they are counted, and whether the configured names exist."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

from fluxbase.config import ConfigError
from fluxbase.db.provision import SYSTEM_LOGIN
from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.limits.blocklist import Blocklist
from fluxbase.limits.idempotency import Ledger
from fluxbase.limits.limiter import RateLimiter
from fluxbase.limits.shared_counts import SharedCounts
from fluxbase.limits.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.app import Program
    from fluxbase.config import Config
    from fluxbase.limits.ports import RateStore
    from fluxbase.web.routing import Route
    from fluxbase.worker import Worker


FORGETTING_SECONDS = 3600.0


def rate_limiter(program: Program) -> RateLimiter:
    """The limiter of a worker, on a connection of its own: a flood must not hold key look-ups."""
    return RateLimiter(
        program.config.limits,
        _store(program),
        count_refusals(program),
        shared_counts(program.config, program.master.derive_secret("limits:addresses").reveal()),
    )


def count_refusals(worker: Worker) -> Callable[[str], None]:
    """A metric by limit; what a key's own limit is called depends on its rate, so those are one series."""
    return lambda name: worker.metrics.note(f"rate_limited:{'key' if name.startswith('key.') else name}")


def shared_counts(config: Config, secret: str) -> SharedCounts | None:
    """Counters of the workers of this node; a single worker counts in its own memory."""
    if config.server.workers == 1:
        return None
    return SharedCounts(config.data_dir / "run" / "addresses", hashlib.sha256(secret.encode()).digest())


def blocklist(program: Program) -> Blocklist:
    """Who is kept out; proxies of ours are never blocked by themselves."""
    config = program.config
    return Blocklist(config.limits, program.limits, program.sessions, config.server.trusted_proxies)


def ledger(program: Program) -> Ledger:
    """What was answered under which Idempotency-Key. A claim outlives every request: it is taken over only when nobody can be at it."""
    config = program.config
    sessions = SystemSessions(program.system_conninfo, size=config.database.pool_size)
    return Ledger(sessions, program.master, lease_seconds=2 * config.server.request_timeout_seconds)


async def forget_answers(program: Program) -> None:
    """Delete answers that are a day old, once an hour, for ever."""
    while True:
        await asyncio.sleep(FORGETTING_SECONDS)
        for tenant_id in program.tenants_in_use():
            with contextlib.suppress(FluxbaseError):
                await program.ledger.forget_expired(tenant_id)


async def watch_blocklist(program: Program) -> None:
    """Read it once a second, for ever; while the database is away what was read last holds."""
    while True:
        with contextlib.suppress(FluxbaseError):
            await program.kept_out.refresh()
        await asyncio.sleep(1)


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

"""The rate limiter that every layer above asks: exact across workers and nodes, cheap where it may be (contract-native 4.3).

Small limits are counted in the store one by one. From ``LEASED_FROM`` on a worker takes a hundredth of the quota at once and counts it
down in memory, so that most requests pay no round trip; the sum over all workers still never exceeds the limit. Concurrent questions share
one statement. A refusal is remembered until its end: a flood of refused requests costs the store nothing.

When the store is away, strict limits (authentication) fail closed with 503, the others are counted in the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from fluxbase.kernel.access import Limit, Quota, Subject
from fluxbase.kernel.errors import RateLimited, Unavailable
from fluxbase.limits.local import LocalLimiter
from fluxbase.limits.ports import Ask, StoreAway
from fluxbase.limits.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.config.limits import Limits
    from fluxbase.limits.ports import RateStore
    from fluxbase.limits.rules import Grant, Rule
    from fluxbase.limits.shared_counts import SharedCounts

MOST_KEYS = 100_000
"""Keys a worker remembers: leases, and refusals that have not ended."""
MOST_A_CALL = 500
LEASE_SECONDS = 5.0
"""What was taken and not used after that is lost: a hoard must not come on top of a later quota."""
AWAY_SECONDS = 1.0
"""How long nobody asks a store that was away."""
SWEEP_SECONDS = 60.0
_log = structlog.get_logger("fluxbase.limits")


@dataclass(slots=True)
class _Lease:
    left: int
    ends_at: float
    is_renewing: bool = False


@dataclass(slots=True)
class _Waiting:
    rule: Rule
    askers: deque[asyncio.Future[Grant]] = field(default_factory=deque["asyncio.Future[Grant]"])

    @property
    def wanted(self) -> int:
        """One for each asker; of a leased limit at least a batch."""
        return max(len(self.askers), self.rule.batch)


class RateLimiter:
    """``admit`` counts one request; one event loop owns it."""

    def __init__(
        self, settings: Limits, store: RateStore | None = None, on_refusal: Callable[[str], None] | None = None,
        shared: SharedCounts | None = None,
    ) -> None:  # fmt: skip
        self.is_enabled = settings.enabled
        self._settings = settings
        self._store = store
        self._on_refusal = on_refusal
        self._rules: dict[tuple[str, str], Rule] = {}
        self._local = LocalLimiter(MOST_KEYS)
        self._here = shared or self._local
        """Local rules: in this process, or over the workers of this node where there are several."""
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._refused: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Key → when one would pass again, when the quota is whole again."""
        self._waiting: dict[str, _Waiting] = {}
        self._asking: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._swept_at = time.monotonic()

    async def admit(self, limit: Limit, *key: str) -> None:
        """Count one request of whoever ``key`` names (tenant first, then e-mail, ticket, session …).

        Raises RateLimited; Unavailable when the limit is strict and the store is away.
        """
        await self.admit_all([(self.rule(limit), key)])

    async def admit_all(self, asked: Sequence[tuple[Rule, tuple[str, ...]]]) -> tuple[Quota, ...]:
        """Count one request under several rules in one step; what is left of those counted exactly. Raises as ``admit``."""
        if not self.is_enabled:
            return ()
        pending: list[tuple[Rule, str]] = []
        for rule, parts in asked:
            key = key_of(rule, parts)
            self._check_remembered(rule, key)
            if rule.is_local or self._store is None:
                self._count_here(rule, key)
            elif rule.batch == 1 or not self._use_lease(rule, key):
                pending.append((rule, key))
        if not pending:
            return ()
        grants = await asyncio.gather(*(self._ask(rule, key) for rule, key in pending), return_exceptions=True)
        quotas: list[Quota] = []
        for (rule, key), grant in zip(pending, grants, strict=True):
            if isinstance(grant, StoreAway):
                self._without_store(rule, key)
            elif isinstance(grant, BaseException):
                raise grant
            elif grant.granted == 0:
                self._refuse(rule, key, grant)
            elif rule.batch == 1:
                quotas.append(grant.quota(rule))
        return tuple(quotas)

    def passes_here(self, rule: Rule, address: str) -> bool:
        """Count a request of a local rule; the data plane's hot path. False: ask ``admit_all`` why."""
        return self._here.passes(rule, rule.name + address)

    def refusal_here(self, rule: Rule, address: str) -> RateLimited:
        """The error of a request that ``passes_here`` refused."""
        grant = self._here.grant(rule, rule.name + address)
        return self._error(rule, grant.quota(rule), grant.wait_seconds(rule))

    async def forgive(self, limit: Limit, *key: str) -> None:
        """Give the whole quota back, after a success that proves who it was. A store that is away forgets nothing."""
        name = key_of(self.rule(limit), key)
        self._refused.pop(name, None)
        self._local.forget(name)
        if self._store is not None and self.is_enabled:
            with contextlib.suppress(StoreAway, TimeoutError):
                async with asyncio.timeout(self._settings.store_timeout_seconds):
                    await self._store.forget(name)

    def rule(self, limit: Limit, route: str = "") -> Rule:
        """The limit as configured, for a route by its name where that has a rule of its own."""
        found = self._rules.get((limit.name, route))
        if found is None or not _is_of(found, limit):
            found = self._rules[limit.name, route] = rule_of(limit, self._settings, route=route)
        return found

    def configured(self, name: str) -> Rule | None:
        """A rule that only the configuration knows (``data.<role>``), by principal."""
        text = self._settings.rate_of(name)
        if text is None:
            return None
        return self.rule(Limit(name, text.rate, text.per_seconds, text.burst, Subject.PRINCIPAL, text.lock_seconds))

    async def close(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._store is not None:
            await self._store.close()

    # -- refusing -------------------------------------------------------------------------------------------------

    def _check_remembered(self, rule: Rule, key: str) -> None:
        ends = self._refused.get(key)
        if ends is None:
            return
        now = time.monotonic()
        if now >= ends[0]:
            del self._refused[key]
            return
        quota = Quota(rule.name, rule.rate, rule.per_seconds, 0, math.ceil(ends[1] - now))
        raise self._error(rule, quota, max(1, math.ceil(ends[0] - now)))

    def _refuse(self, rule: Rule, key: str, grant: Grant) -> None:
        now, wait = time.monotonic(), grant.wait_us(rule) / 1e6
        self._refused[key] = now + wait, now + max(grant.spent_us, grant.locked_us) / 1e6
        if len(self._refused) > MOST_KEYS:
            self._refused.popitem(last=False)
        raise self._error(rule, grant.quota(rule), grant.wait_seconds(rule))

    def _error(self, rule: Rule, quota: Quota, wait_seconds: int) -> RateLimited:
        if self._on_refusal is not None:
            self._on_refusal(rule.name)
        return RateLimited("Too many requests.", retry_after_seconds=wait_seconds, quotas=(quota,), has_x_fields=self._settings.x_fields)

    def _without_store(self, rule: Rule, key: str) -> None:
        if rule.is_strict:
            raise Unavailable(
                "Sign-in is not possible at the moment: attempts cannot be counted. Try again soon.", code="limits_unavailable"
            ) from None
        self._count_here(rule, key)

    def _count_here(self, rule: Rule, key: str) -> None:
        grant = self._local.take(rule, key)
        if grant.granted == 0:
            raise self._error(rule, grant.quota(rule), grant.wait_seconds(rule))

    # -- leases -----------------------------------------------------------------------------------------------------

    def _use_lease(self, rule: Rule, key: str) -> bool:
        """One request of what was taken before; renews in the background when a quarter is left."""
        lease = self._leases.get(key)
        if lease is None or lease.left <= 0 or lease.ends_at < time.monotonic():
            return False
        lease.left -= 1
        if lease.left < rule.batch // 4 and not lease.is_renewing:
            lease.is_renewing = True
            self._wait_for(rule, key)
        return True

    def _keep_lease(self, key: str, units: int) -> None:
        now = time.monotonic()
        lease = self._leases.get(key)
        left = lease.left if lease is not None and lease.ends_at >= now else 0
        self._leases[key] = _Lease(left + units, now + LEASE_SECONDS)
        if len(self._leases) > MOST_KEYS:
            self._leases.popitem(last=False)

    # -- asking the store -------------------------------------------------------------------------------------------

    async def _ask(self, rule: Rule, key: str) -> Grant:
        """Join the next call to the store. Raises StoreAway."""
        if time.monotonic() < self._away_until:
            raise StoreAway
        future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._wait_for(rule, key).askers.append(future)
        return await future

    def _wait_for(self, rule: Rule, key: str) -> _Waiting:
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(rule)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._call_until_idle())
        return waiting

    async def _call_until_idle(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:MOST_A_CALL]
            await self._call({key: self._waiting.pop(key) for key in keys})
        if time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            with contextlib.suppress(StoreAway, TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._store.sweep()  # type: ignore[union-attr] # asked only where there is one

    async def _call(self, calls: dict[str, _Waiting]) -> None:
        asks = [Ask(key, waiting.rule, waiting.wanted) for key, waiting in calls.items()]
        try:
            async with asyncio.timeout(self._settings.store_timeout_seconds):
                grants = await self._store.take(asks)  # type: ignore[union-attr] # asked only where there is one
        except (StoreAway, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            _log.warning("limit_store_away", store=self._settings.store, error=repr(error.__cause__ or error))
            for waiting in calls.values():
                _answer_all(waiting, StoreAway())
        except BaseException:
            for waiting in calls.values():
                _answer_all(waiting, StoreAway())
            raise
        else:
            for key, waiting in calls.items():
                surplus = _share(grants[key], waiting)
                if waiting.rule.batch > 1:
                    self._keep_lease(key, surplus)


def _share(grant: Grant, waiting: _Waiting) -> int:
    """One for each asker, who asked first is served first; what is left over."""
    left = grant.granted
    for future in waiting.askers:
        if not future.done():
            future.set_result(grant.given(min(1, left)))
            left -= min(1, left)
    return left


def _answer_all(waiting: _Waiting, error: StoreAway) -> None:
    for future in waiting.askers:
        if not future.done():
            future.set_exception(error)


def _is_of(rule: Rule, limit: Limit) -> bool:
    """False for another limit of the same name: a key's own rate was changed."""
    return rule.declared is limit or rule.declared == limit


def key_of(rule: Rule, parts: tuple[str, ...]) -> str:
    """The limit's name and a digest: neither e-mail addresses nor tickets stand in the store."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{rule.name}:{digest}"

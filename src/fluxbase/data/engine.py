"""What the use cases of the data plane share: the parts of the engine, and one request's work on one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from fluxbase.data.cost import refuse_dear
from fluxbase.data.plan import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.config.model import Data
    from fluxbase.data.compile import Statement
    from fluxbase.data.prefer import Preferences
    from fluxbase.data.request import DataRequest
    from fluxbase.data.snapshot import Snapshot
    from fluxbase.db.executor import Mode
    from fluxbase.kernel.principal import Principal

MAX_PLANS = 4096
ANY_EPOCH = -1
Row = tuple[bytes | None, ...]


class StatementRunner(Protocol):
    """What executes (``db/executor.py``)."""

    async def run(
        self, principal: Principal, settings: Any, sql: str, params: Sequence[bytes | str | None], *, mode: Mode, deadline: float,
        expected_epoch: int = -1, verdict: Callable[[Row], bool] | None = None,
    ) -> Row:  # fmt: skip
        """One round trip."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """The same for every request of a worker."""

    executor: StatementRunner
    settings: Data
    _bounds: dict[str, Bounds] = field(default_factory=dict[str, Bounds])

    def bounds_of(self, role: str) -> Bounds:
        """What a role's requests may cost."""
        found = self._bounds.get(role)
        if found is None:
            limits = self.settings.limits_of(role)
            found = self._bounds[role] = Bounds(
                limits.max_embed_depth,
                limits.max_embed_width,
                self.settings.aggregates_enabled,
                limits.max_rows,
                limits.max_planner_cost,
            )
        return found


@dataclass(slots=True)
class Work:
    """One request, the caller, and the snapshot it is planned on."""

    engine: Engine
    principal: Principal
    request: DataRequest
    snapshot: Snapshot
    schema: str
    prefer: Preferences
    epoch: int
    """The schema epoch it must be executed under; ANY_EPOCH when it was planned a moment ago and must not be refused again."""

    @property
    def bounds(self) -> Bounds:
        """What the caller's request may cost."""
        return self.engine.bounds_of(self.principal.role)

    def remembered(self, key: Any, compile_statement: Callable[[], Statement]) -> Statement:
        """The statement of a known shape; a new one is compiled once and lives as long as the snapshot."""
        plans = self.snapshot.plans
        found: Statement | None = plans.get(key)
        if found is None:
            found = compile_statement()
            if len(plans) >= MAX_PLANS:
                del plans[next(iter(plans))]
            plans[key] = found
        return found

    async def run(self, sql: str, params: Sequence[bytes | str | None], *, mode: Mode, verdict: Callable[[Row], bool] | None = None) -> Row:
        """Execute in one transaction, under the epoch of the snapshot."""
        settings = self.request.settings
        if self.prefer.timezone is not None:
            settings = replace(settings, timezone=self.prefer.timezone)
        ceiling = self.bounds.max_planner_cost
        if ceiling is not None:
            plan = await self.engine.executor.run(
                self.principal, settings, f"explain (format json) {sql}", params, mode=mode, deadline=self.request.deadline,
                expected_epoch=self.epoch,
            )  # fmt: skip
            refuse_dear(plan[0], ceiling)
        return await self.engine.executor.run(
            self.principal, settings, sql, params, mode=mode, deadline=self.request.deadline, expected_epoch=self.epoch,
            verdict=verdict,
        )  # fmt: skip

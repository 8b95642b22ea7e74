"""What the use cases of the data plane share: the parts of the engine, and one request's work on one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from fluxbase.data.compile_body import explain_sql
from fluxbase.data.cost import refuse_dear
from fluxbase.data.media import ANY_TYPE, JSON, Offers, choose
from fluxbase.data.plan import Bounds
from fluxbase.data.request import DataReply
from fluxbase.db.executor import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.config.model import Data
    from fluxbase.data.compile import Statement
    from fluxbase.data.media import Handler, Plan, Representation
    from fluxbase.data.prefer import Preferences
    from fluxbase.data.request import DataRequest
    from fluxbase.data.shape import Shape
    from fluxbase.data.snapshot import Function, Relation, Snapshot
    from fluxbase.kernel.principal import Principal

MAX_PLANS = 4096
ANY_EPOCH = -1
Row = tuple[bytes | None, ...]


class StatementRunner(Protocol):
    """What executes (``db/executor.py``)."""

    async def run(
        self, principal: Principal, settings: Any, sql: str, params: Sequence[bytes | str | None], *, mode: Mode, deadline: float,
        expected_epoch: int = -1, verdict: Callable[[Row], bool] | None = None, rollback: bool = False,
    ) -> Row:  # fmt: skip
        """One round trip; with a verdict or a rollback two."""
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
                self.settings.embed_target_names,
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
        bounds = self.engine.bounds_of(self.principal.role)
        parsed = self.request.parsed
        if parsed is not None and parsed.may_aggregate and not bounds.has_aggregates:
            return replace(bounds, has_aggregates=True)
        return bounds

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

    def representation(self, shape: Shape, target: Relation | None, handler: Handler | None = None) -> Representation:
        """How the answer is shown. ``handler``: the media type that the function's result is. Raises PGRST107."""
        handlers = self.snapshot.handlers
        if not handlers and handler is None and self.request.accept in ("", ANY_TYPE, JSON.mime):
            return JSON
        own = {handler.media.lower(): handler} if handler is not None else handlers.get(target.oid, {}) if target is not None else {}
        offers = Offers(own, handlers.get(0, {}), self.snapshot.geojson_schema, self.engine.settings.plan_enabled)
        is_whole = all(value == "*" for name, value in shape.pairs if name == "select")
        return choose(self.request.accept, offers, is_whole=is_whole)

    async def explain(self, plan: Plan, media: Representation, sql: str, params: Sequence[bytes | str | None], *, mode: Mode) -> DataReply:
        """The plan of a statement as the answer (``data.plan_enabled``); with ``analyze`` the statement runs."""
        row = await self.run(sql, params, mode=mode, prefix=explain_sql(plan))
        body = (row[0] or b"") + b"\n"
        return DataReply(200, [(b"content-type", media.content_type), (b"content-length", b"%d" % len(body))], body)

    async def run(
        self,
        sql: str,
        params: Sequence[bytes | str | None],
        *,
        mode: Mode,
        verdict: Callable[[Row], bool] | None = None,
        function: Function | None = None,
        prefix: str = "",
    ) -> Row:
        """Execute in one transaction, under the epoch of the snapshot and with the settings a called function brings."""
        settings = self.request.settings
        if self.prefer.timezone is not None:
            settings = replace(settings, timezone=self.prefer.timezone)
        if function is not None and (function.timeout_ms is not None or function.isolation):
            settings = replace(settings, timeout_ms=function.timeout_ms, isolation=function.isolation)
        if self.request.wrap is not None:
            (sql, params), mode = self.request.wrap(sql, params), Mode.WRITE
        ceiling = self.bounds.max_planner_cost
        if ceiling is not None and not prefix:
            plan = await self.engine.executor.run(
                self.principal, settings, f"explain (format json) {sql}", params, mode=mode, deadline=self.request.deadline,
                expected_epoch=self.epoch,
            )  # fmt: skip
            refuse_dear(plan[0], ceiling)
        return await self.engine.executor.run(
            self.principal, settings, f"{prefix}{sql}" if prefix else sql, params, mode=mode, deadline=self.request.deadline,
            expected_epoch=self.epoch, verdict=verdict, rollback=mode is not Mode.PLAIN_READ and self._is_undone,
        )  # fmt: skip

    @property
    def _is_undone(self) -> bool:
        """Whether the configuration, or the client where it may choose, wants nothing kept."""
        return self.prefer.tx == "rollback" or (self.prefer.tx is None and self.engine.settings.tx_end.startswith("rollback"))

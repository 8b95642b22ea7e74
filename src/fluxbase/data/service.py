# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""The data plane's use cases: read, write, call, and what a resource allows. Five stages, in order, in each of them:
shape → plan → compile → execute → render.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from fluxbase.data.call import call
from fluxbase.data.engine import ANY_EPOCH, Engine, StatementRunner, Work
from fluxbase.data.key_tables import limited
from fluxbase.data.options import call_options, table_options
from fluxbase.data.prefer import parse_prefer
from fluxbase.data.read import read
from fluxbase.data.request import DataReply, DataRequest
from fluxbase.data.write import write
from fluxbase.db.executor import Mode
from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import FluxbaseError, MethodNotAllowed, NotAcceptable, StalePlan, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.config import Config
    from fluxbase.data.snapshot import Snapshot
    from fluxbase.data.snapshot_store import SnapshotStore
    from fluxbase.db.executor import RequestSettings
    from fluxbase.kernel.principal import Principal

T = TypeVar("T")
_ABOUT_THE_SCHEMA = frozenset(
    {"unknown_table", "unknown_column", "unknown_function", "unknown_type", "no_relationship", "ambiguous", "put_filters"}
)


class DataService:
    """Any exposed table, view or function, for any principal."""

    def __init__(self, executor: StatementRunner, snapshots: SnapshotStore, config: Config) -> None:
        self._engine = Engine(executor, config.data)
        self._snapshots = snapshots
        self._extra_path = [quote_ident(name) for name in config.data.extra_search_path]
        self._search_paths: dict[str, str] = {}
        """By schema; only exposed ones are asked for."""

    @property
    def exposed_schemas(self) -> tuple[str, ...]:
        """Configured schemas; the first is the default."""
        return tuple(self._engine.settings.schemas)

    async def handle(self, principal: Principal, request: DataRequest) -> DataReply:
        """Answer a request; one planned on an outdated schema is planned again, once.

        The second time it was planned on what was read after it came, and is executed whatever the epoch: a storm of
        DDL would starve it otherwise. PostgreSQL decides then what is still there and allowed (docs/decisions/0040).
        """
        return await self._on_snapshot(principal, request, lambda snapshot, epoch: self._dispatch(principal, request, snapshot, epoch))

    async def ask(self, principal: Principal, request: DataRequest, question: Callable[[Snapshot], T]) -> T:
        """A pure question to the schema; "there is no such thing" is answered from the current one only."""

        async def answer(snapshot: Snapshot, _: int) -> T:
            return question(snapshot)

        return await self._on_snapshot(principal, request, answer)

    async def _on_snapshot(self, principal: Principal, request: DataRequest, action: Callable[[Snapshot, int], Awaitable[T]]) -> T:
        tenant, deadline = principal.tenant, request.deadline
        snapshot = self._snapshots.held(tenant) or await _in_time(self._snapshots.get(tenant), deadline)
        try:
            return await action(_seen_by(principal, snapshot), snapshot.epoch)
        except StalePlan:
            pass
        except FluxbaseError as error:
            if error.code not in _ABOUT_THE_SCHEMA or await self._is_current(principal, request.settings, deadline, snapshot):
                raise
        snapshot = await _in_time(self._snapshots.newer(tenant, snapshot.epoch), deadline)
        return await action(_seen_by(principal, snapshot), ANY_EPOCH)

    async def current_snapshot(self, principal: Principal, settings: RequestSettings, deadline: float) -> Snapshot:
        """The snapshot under today's epoch, for what is read from it alone; refuses a revoked session."""
        snapshot = await _in_time(self._snapshots.get(principal.tenant), deadline)
        if await self._is_current(principal, settings, deadline, snapshot):
            return _seen_by(principal, snapshot)
        return _seen_by(principal, await _in_time(self._snapshots.newer(principal.tenant, snapshot.epoch), deadline))

    async def _is_current(self, principal: Principal, settings: RequestSettings, deadline: float, snapshot: Snapshot) -> bool:
        """Whether a "there is no such thing" still holds; also refuses a revoked session before it learns anything."""
        try:
            await self._engine.executor.run(
                principal, settings, "select 1", (), mode=Mode.PLAIN_READ, deadline=deadline, expected_epoch=snapshot.epoch
            )
        except StalePlan:
            return False
        return True

    async def _dispatch(self, principal: Principal, request: DataRequest, snapshot: Snapshot, epoch: int) -> DataReply:
        schema = self.schema_of(snapshot, request.schema)
        request.settings.search_path = self._search_paths.get(schema) or self._search_path(schema)
        prefer = parse_prefer(request.prefer, allows_tx=self._engine.settings.tx_end.endswith("-allow-override"))
        work = Work(self._engine, principal, request, snapshot, schema, prefer, epoch)
        reply = await (self._call(work) if request.is_rpc else self._table(work))
        if request.schema is not None or len(snapshot.schemas) > 1:
            reply.headers.append((b"content-profile", (request.schema or schema).encode()))
        return reply

    def _search_path(self, schema: str) -> str:
        found = self._search_paths[schema] = ",".join(dict.fromkeys([quote_ident(schema), *self._extra_path]))
        return found

    @staticmethod
    async def _call(work: Work) -> DataReply:
        method = work.request.method
        if method == "OPTIONS":
            return call_options(work)
        if method in ("GET", "HEAD", "POST"):
            return await call(work)
        raise MethodNotAllowed(f"Cannot use the {method} method on RPC", pgrst="PGRST101")

    @staticmethod
    async def _table(work: Work) -> DataReply:
        method = work.request.method
        if method in ("GET", "HEAD"):
            return await read(work)
        if method in ("POST", "PATCH", "PUT", "DELETE"):
            return await write(work)
        if method == "OPTIONS":
            return table_options(work)
        raise MethodNotAllowed(f"Unsupported HTTP method: {method}", pgrst="PGRST117")

    @staticmethod
    def schema_of(snapshot: Snapshot, wanted: str | None) -> str:
        """The exposed schema that is meant; None is the default one. Raises PGRST106."""
        if wanted is None:
            return snapshot.schemas[0]
        found = snapshot.schema_named(wanted)
        if found is None:
            raise NotAcceptable(
                f"Invalid schema: {wanted[:100]}",
                pgrst="PGRST106",
                hint=f"Only the following schemas are exposed: {', '.join(snapshot.schemas)}",
            )
        return found


def _seen_by(principal: Principal, snapshot: Snapshot) -> Snapshot:
    """The whole schema, or what a key that is limited to some tables may know of it."""
    return snapshot if principal.tables is None else limited(snapshot, principal.tables)


async def _in_time(loading: Awaitable[Snapshot], deadline: float) -> Snapshot:
    """A snapshot before the request's deadline. Raises Unavailable."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await loading
    except TimeoutError:
        raise Unavailable("Could not query the database for the schema cache. Retrying.", pgrst="PGRST002", code="schema_loading") from None

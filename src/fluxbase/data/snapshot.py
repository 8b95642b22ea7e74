# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""The schema as planning sees it: built from the catalogue, immutable, swapped whole.

A relation is *served* only when its rows are protected: a table with row security enabled and forced, a view with the
invoker's rights, or one on the administrator's list (DESIGN invariant 1, independent of event triggers).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.data.catalog import Computed, ForeignKey, parse_relationships
from fluxbase.data.media import Handler
from fluxbase.db.settings import ISOLATION_LEVELS, milliseconds
from fluxbase.db.sql import qualified
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.kernel.ids import is_catalogue_schema, is_system_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator


@dataclass(frozen=True, slots=True)
class Casts:
    """Functions (as SQL names) of a domain's implicit casts: to JSON for answers, from JSON for bodies, from text for filters."""

    to_json: str | None = None
    from_json: str | None = None
    from_text: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``type`` as SQL writes it, category and name as ``pg_type`` has them."""

    name: str
    type: str
    category: str
    type_name: str
    default: str | None = None
    """The default as SQL, from the catalogue."""
    casts: Casts | None = None
    """How a domain is shown and read, where the database says so."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """What one role may do with a relation."""

    select: frozenset[str]
    has_table_select: bool
    insert: bool
    update: bool
    delete: bool

    @property
    def any(self) -> bool:
        """Whether the relation exists for the role at all."""
        return bool(self.select) or self.insert or self.update or self.delete


NOTHING = Privileges(frozenset(), has_table_select=False, insert=False, update=False, delete=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that may be served, or the row type of a function."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    updatable: int = 0
    privileges: Mapping[str, Privileges] = field(default_factory=dict[str, Privileges])

    def visible(self, role: str) -> frozenset[str]:
        """Columns the role may read; for it no other column exists."""
        return self.privileges.get(role, NOTHING).select


@dataclass(frozen=True, slots=True)
class Argument:
    """A function's input."""

    name: str
    type: str
    has_default: bool
    is_variadic: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function in an exposed schema."""

    schema: str
    name: str
    volatility: str
    is_set: bool
    arguments: tuple[Argument, ...]
    returns: str
    is_void: bool
    rows: Relation | None
    """Columns of the answer when it is composite; None for scalars."""
    roles: frozenset[str]
    handler: Handler | None = None
    """The media type its result is, when its return type is a domain named like one."""
    timeout_ms: int | None = None
    """Its own ``statement_timeout``: it must hold for the statement that calls it."""
    isolation: str = ""
    """Its own ``default_transaction_isolation``: it must hold for the transaction."""


@dataclass(slots=True)
class Snapshot:
    """One state of the schema."""

    epoch: int
    fingerprint: str
    schemas: tuple[str, ...]
    relations: dict[tuple[str, str], Relation]
    by_oid: dict[int, Relation]
    functions: dict[tuple[str, str], list[Function]]
    types: dict[str, str] = field(default_factory=dict[str, str])
    """Name of a type in a request → the type as SQL writes it."""
    computed: dict[int, dict[str, Computed]] = field(default_factory=dict[int, dict[str, Computed]])
    """Relation → name → function of one of its rows."""
    handlers: dict[int, dict[str, Handler]] = field(default_factory=dict[int, dict[str, Handler]])
    """Relation (0: any row) → media type → aggregate."""
    geojson_schema: str | None = None
    """Where PostGIS lives."""
    from_source: dict[int, list[ForeignKey]] = field(default_factory=dict[int, list[ForeignKey]])
    to_target: dict[int, list[ForeignKey]] = field(default_factory=dict[int, list[ForeignKey]])
    plans: dict[Any, Any] = field(default_factory=dict[Any, Any])
    """Compiled shapes; they live and die with the snapshot they were planned on."""
    called: str = ""
    """The name by which clients know the first schema, where a tenant has one of its own in a shared database."""

    def schema_named(self, name: str) -> str | None:
        """The exposed schema a client means."""
        return name if name in self.schemas else self.schemas[0] if self.called and name == self.called else None


class EveryRole(Mapping[str, Privileges]):
    """Privileges of roles nobody asked the catalogue about: planning leaves them to PostgreSQL, whose refusal is 42501."""

    def __init__(self, columns: Collection[str]) -> None:
        self._all = Privileges(frozenset(columns), has_table_select=True, insert=True, update=True, delete=True)

    def __getitem__(self, role: str) -> Privileges:
        return self._all

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Everyone(frozenset[str]):
    """The roles that may call a function, left to PostgreSQL in the same way."""

    def __contains__(self, role: object) -> bool:
        return True


LARGE_BYTES = 200_000


async def build_snapshot(raw: bytes, related: bytes, **options: Any) -> Snapshot:
    """``parse_snapshot``; of a large schema beside the event loop, so that requests go on meanwhile."""
    parse = partial(parse_snapshot, raw, related, **options)
    return await asyncio.to_thread(parse) if len(raw) + len(related) > LARGE_BYTES else parse()


def parse_snapshot(
    raw: bytes,
    related: bytes,
    *,
    schemas: Collection[str],
    open_relations: Collection[str],
    epoch: int,
    is_managed: bool = True,
    require_rls: bool = True,
    are_roles_known: bool = True,
    called: str = "",
) -> Snapshot:
    """Build a snapshot of the catalogue's two answers, leaving out what is not protected.

    Not managed: only PostgreSQL's own schemas are hidden, and ``require_rls`` says whether only protected relations are
    served. Roles that are not known (a token may name any) may do everything as far as planning goes.
    """
    data = orjson.loads(raw)
    is_hidden = is_system_schema if is_managed else is_catalogue_schema
    exposed = tuple(name for name in schemas if not is_hidden(name))
    opened = {entry if "." in entry else f"public.{entry}" for entry in open_relations}
    relations: dict[tuple[str, str], Relation] = {}
    casts = _casts(data["casts"])
    for item in data["relations"]:
        is_safe = not require_rls or (item["protected"] if item["kind"] in "rp" else item["kind"] == "v" and item["invoker"])
        if item["schema"] in exposed and (is_safe or f"{item['schema']}.{item['name']}" in opened):
            relations[item["schema"], item["name"]] = _relation(item, casts, are_roles_known=are_roles_known)
    found = parse_relationships(
        related, [relation.oid for relation in relations.values()], everyone=None if are_roles_known else Everyone()
    )
    for name, relation in relations.items():
        if relation.oid in found.view_keys:
            relations[name] = replace(relation, primary_key=found.view_keys[relation.oid])
    by_oid = {relation.oid: relation for relation in relations.values()}
    functions: dict[tuple[str, str], list[Function]] = {}
    for item in data["functions"]:
        if item["schema"] in exposed:
            functions.setdefault((item["schema"], item["name"]), []).append(_function(item, by_oid, casts, are_roles_known=are_roles_known))
    fingerprint = hashlib.sha256(raw + related).hexdigest()
    snapshot = Snapshot(
        epoch, fingerprint, exposed, relations, by_oid, functions, found.types, found.computed, from_source=found.from_source,
        to_target=found.to_target, geojson_schema=data["geojson"], called=called,
    )  # fmt: skip
    for schema, name, oid, media, is_binary in data["handlers"]:
        target = by_oid.get(oid)
        if schema in exposed and (target is not None or oid == 0):
            row_type = None if target is None else (target.schema, target.name)
            snapshot.handlers.setdefault(oid, {})[media.lower()] = Handler(media, schema, name, is_binary, row_type)
    return snapshot


def _casts(items: list[tuple[str, str, str, str]]) -> dict[str, Casts]:
    """Domain → its casts."""
    named: dict[str, dict[str, str]] = {}
    for domain, direction, schema, function in items:
        named.setdefault(domain, {})[direction] = qualified(schema, function)
    return {domain: Casts(**directions) for domain, directions in named.items()}


def _columns(items: list[list[str]] | None, casts: dict[str, Casts]) -> dict[str, Column]:
    return {
        name: Column(name, type_, category, type_name, default[0] if default else None, casts.get(type_))
        for name, type_, category, type_name, *default in items or []
    }


def _relation(item: dict[str, Any], casts: dict[str, Casts], *, are_roles_known: bool) -> Relation:
    primary = next((tuple(columns) for kind, columns in item["keys"] if kind == "p"), ())
    privileges = {
        str(role): Privileges(frozenset(p["select"]), has_table_select=p["all"], insert=p["insert"], update=p["update"], delete=p["delete"])
        for role, p in (item["privileges"] or {}).items()
    }
    uniques = tuple(tuple(columns) for _, columns in item["keys"])
    columns = _columns(item["columns"], casts)
    held: Mapping[str, Privileges] = privileges if are_roles_known else EveryRole(columns)
    return Relation(item["oid"], item["schema"], item["name"], item["kind"], columns, primary, uniques, item["updatable"], held)


def _function(item: dict[str, Any], by_oid: dict[int, Relation], casts: dict[str, Casts], *, are_roles_known: bool) -> Function:
    names, modes, types = item["names"] or [], item["modes"], item["types"] or []
    inputs: list[Argument] = []
    outputs: dict[str, Column] = {}
    first_default = item["arguments"] - item["defaults"]
    for index, type_ in enumerate(types):
        mode = modes[index] if modes else "i"
        name = names[index] if index < len(names) else ""
        if mode in "ibv":
            inputs.append(Argument(name, type_, len(inputs) >= first_default, mode == "v"))
        if mode in "obt":
            outputs[name] = Column(name, type_, "", type_)
    rows: Relation | None = None
    if item["return_kind"] == "c":
        rows = by_oid.get(item["return_relation"])
        rows = rows or Relation(0, item["schema"], item["name"], "t", _columns(item["return_columns"], casts))
    elif outputs:  # output arguments make a row, even of one column
        rows = Relation(0, item["schema"], item["name"], "t", outputs)
    settings = dict(setting.split("=", 1) for setting in item["settings"] or [])
    isolation = settings.get("default_transaction_isolation", "")
    domain = item["return_domain"]
    return Function(
        item["schema"],
        item["name"],
        item["volatility"],
        item["set"],
        tuple(inputs),
        item["returns"],
        item["return_name"] == "void",
        rows,
        frozenset(item["roles"]) if are_roles_known else Everyone(),
        Handler(domain, is_binary=item["return_name"] == "bytea") if domain is not None and "/" in domain else None,
        milliseconds(settings["statement_timeout"]) if "statement_timeout" in settings else None,
        isolation if isolation in ISOLATION_LEVELS else "",
    )


class SnapshotStore:
    """Holds the snapshot of each tenant. A reload is swapped in whole; tenants with equal schemas share one, plans included."""

    def __init__(self, load: Callable[[Any], Awaitable[Snapshot]]) -> None:
        self._load = load
        self._held: dict[Any, Snapshot] = {}
        self._loading: dict[Any, asyncio.Task[Snapshot]] = {}

    def held(self, tenant: Any) -> Snapshot | None:
        """The snapshot at hand."""
        return self._held.get(tenant)

    def tenants(self) -> list[Any]:
        """Whose snapshots are held."""
        return list(self._held)

    async def get(self, tenant: Any) -> Snapshot:
        """The snapshot, loaded when there is none."""
        return self._held.get(tenant) or await self._shared_load(tenant)

    async def newer(self, tenant: Any, epoch: int) -> Snapshot:
        """A snapshot of another epoch than the one a request was refused for; what others loaded meanwhile is good enough.

        When nothing newer is to be had, whatever was loaded after this call.
        """
        held = self._held.get(tenant)
        if held is not None and held.epoch != epoch:
            return held
        if tenant in self._loading:
            snapshot = await self._shared_load(tenant)
            if snapshot.epoch != epoch:
                return snapshot
        return await self._shared_load(tenant)

    async def reload(self, tenant: Any) -> Snapshot:
        """Load again; a load that began before this call may have read too early, so it is waited for and another one made."""
        if tenant in self._loading:
            with contextlib.suppress(FluxbaseError):
                await self._shared_load(tenant)
        return await self._shared_load(tenant)

    async def _shared_load(self, tenant: Any) -> Snapshot:
        """Everybody who asks while a load is under way waits for the same; a caller who leaves does not end it."""
        task = self._loading.get(tenant)
        if task is None:
            task = self._loading[tenant] = asyncio.ensure_future(self._reload(tenant))
            task.add_done_callback(lambda done: self._finished(tenant, done))
        return await asyncio.shield(task)

    def _finished(self, tenant: Any, task: asyncio.Task[Snapshot]) -> None:
        del self._loading[tenant]
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody may be left

    async def _reload(self, tenant: Any) -> Snapshot:
        snapshot = await self._load(tenant)
        old = self._held.get(tenant)
        if old is not None and old.fingerprint == snapshot.fingerprint:
            old.epoch = snapshot.epoch  # the same schema under a newer epoch: compiled statements stay good
            return old
        twin = next((each for each in self._held.values() if each.fingerprint == snapshot.fingerprint), None)
        if twin is not None:
            snapshot = replace(twin, epoch=snapshot.epoch)
        self._held[tenant] = snapshot
        return snapshot

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""The schema as planning sees it: built from the catalogue, immutable, swapped whole.

A relation is *served* only when its rows are protected: a table with row security enabled and forced, a view with the
invoker's rights, or one on the administrator's list (DESIGN invariant 1, independent of event triggers).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.data.catalog import Computed, ForeignKey, Relationships, parse_relationships
from fluxbase.data.media import Handler
from fluxbase.db.settings import ISOLATION_LEVELS, milliseconds
from fluxbase.db.sql import qualified
from fluxbase.kernel.ids import is_catalogue_schema, is_system_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


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
    fingerprint = _fingerprint(data, relations, by_oid, found, (exposed, called))
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


def _fingerprint(
    data: dict[str, Any], relations: Mapping[tuple[str, str], Relation], by_oid: Mapping[int, Relation], found: Relationships, names: Any
) -> str:
    """Equal for equal schemas of different databases: what the catalogue says, with names where it has its own numbers (OIDs)."""

    def name_of(oid: int) -> list[str] | None:
        return [by_oid[oid].schema, by_oid[oid].name] if oid in by_oid else None

    keys = [
        [name_of(key.source), name_of(key.target), replace(key, source=0, target=0)] for each in found.from_source.values() for key in each
    ]
    computed = [
        [name_of(oid), name_of(each.target), replace(each, target=0, roles=frozenset()), sorted(each.roles)]
        for oid, named in found.computed.items()
        for each in named.values()
    ]
    parts = [
        names, data["casts"], data["geojson"], found.types,
        [{**item, "oid": 0} for item in data["relations"] if (item["schema"], item["name"]) in relations],
        [{**item, "return_relation": name_of(item["return_relation"])} for item in data["functions"]],
        sorted([schema, name, name_of(oid), *more] for schema, name, oid, *more in data["handlers"]),
        sorted([name_of(oid), columns] for oid, columns in found.view_keys.items() if oid in by_oid),
        sorted(keys, key=repr), sorted(computed, key=repr),
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps(parts, default=sorted, option=orjson.OPT_SORT_KEYS)).hexdigest()


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

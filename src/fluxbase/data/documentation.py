# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON have no types; each is checked where it is used.
"""What a role may use, described: relations, columns and functions with their comments, types and verbs.

Both OpenAPI documents are written from this. Nothing a role may not use is in it (threats E41, E44).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.data.snapshot import Argument, Function, Relation, Snapshot

Json = dict[str, Any]

_PLAIN = re.compile(r"^[\w $-]+$")
_LITERAL = re.compile(r"^'((?:[^']|'')*)'(?:::.*)?$", re.DOTALL)
_NUMBER = re.compile(r"^'?(-?\d+(?:\.\d+)?)'?(?:::[\w ]+)?$")
_TYPES = {
    "boolean": "boolean", "smallint": "integer", "integer": "integer", "bigint": "integer", "numeric": "number", "real": "number",
    "double precision": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DescribedColumn:
    """One column as a client sees it."""

    name: str
    schema: Json
    """JSON Schema of its value: type, format, enum, default, maxLength, description."""
    is_required: bool
    """Never null in an answer."""
    is_needed: bool
    """An insert must give it."""

    @property
    def filter_name(self) -> str | None:
        """The query parameter that filters by it; quoted where the name has reserved characters."""
        return self.name if _PLAIN.match(self.name) else None if '"' in self.name else f'"{self.name}"'


@dataclass(frozen=True, slots=True)
class DescribedRelation:
    """A table or view with the columns of each verb; an empty list means that the verb is not there."""

    relation: Relation
    summary: str | None
    description: str | None
    reads: tuple[DescribedColumn, ...]
    inserts: tuple[DescribedColumn, ...]
    updates: tuple[DescribedColumn, ...]
    can_delete: bool


@dataclass(frozen=True, slots=True)
class DescribedFunction:
    """All overloads of one name."""

    schema: str
    name: str
    summary: str | None
    description: str | None
    overloads: tuple[Function, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """One exposed schema as a role sees it."""

    schema: str
    summary: str | None
    description: str | None
    relations: tuple[DescribedRelation, ...]
    functions: tuple[DescribedFunction, ...]


def split_comment(comment: str | None) -> tuple[str | None, str | None]:
    """First line and the rest."""
    if not comment or not comment.strip():
        return None, None
    first, _, rest = comment.strip().partition("\n")
    return first.strip(), rest.strip() or None


def describe(snapshot: Snapshot, catalogue: bytes, schema: str, role: str | None) -> Description:
    """One schema for a role, or whole for ``role`` None. ``catalogue`` is the answer of ``catalog/documentation.sql``."""
    data = orjson.loads(catalogue)
    comments: dict[tuple[str, str], str] = {(s, name): text for s, name, text in data["functions"]}
    relations = [
        described
        for (where, _), relation in sorted(snapshot.relations.items())
        if where == schema
        and (described := _relation(snapshot, relation, data["relations"].get(f"{where}.{relation.name}"), role)) is not None
    ]
    functions: list[DescribedFunction] = []
    for (where, name), overloads in sorted(snapshot.functions.items()):
        usable = tuple(each for each in overloads if role is None or role in each.roles)
        if where == schema and usable:
            functions.append(DescribedFunction(schema, name, *split_comment(comments.get((schema, name))), usable))
    return Description(schema, *split_comment(data["schemas"].get(schema)), tuple(relations), tuple(functions))


def _relation(snapshot: Snapshot, relation: Relation, more: Mapping[str, Any] | None, role: str | None) -> DescribedRelation | None:
    if more is None:
        return None
    columns: dict[str, Any] = more["columns"]
    keys = {
        key.source_columns[0]: (snapshot.by_oid[key.target], key.target_columns[0])
        for key in snapshot.from_source.get(relation.oid, ())
        if len(key.source_columns) == 1 and (role is None or key.target_columns[0] in snapshot.by_oid[key.target].visible(role))
    }
    visible = frozenset(relation.columns) if role is None else relation.visible(role)
    is_table = relation.kind in "rp"
    privileges = None if role is None else relation.privileges.get(role)
    described = {
        name: DescribedColumn(
            name, _column_schema(relation, name, columns[name], keys.get(name)), columns[name]["required"], columns[name]["needed"]
        )
        for name in relation.columns
        if name in columns
    }
    reads = tuple(column for name, column in described.items() if name in visible)
    inserts = tuple(column for name, column in described.items() if columns[name]["insert"])
    updates = tuple(column for name, column in described.items() if columns[name]["update"])
    can_delete = (is_table or bool(relation.updatable & 16)) and (role is None or (privileges is not None and privileges.delete))
    found = DescribedRelation(
        relation, *split_comment(more["comment"]), reads,
        inserts if is_table or relation.updatable & 8 else (), updates if is_table or relation.updatable & 4 else (), can_delete,
    )  # fmt: skip
    return found if found.reads or found.inserts or found.updates or found.can_delete else None


def type_schema(sql_type: str, item: str | None = None) -> Json:
    """Type and format of an SQL type; a JSON column may hold anything."""
    if item is None and sql_type.endswith("[]"):
        item = sql_type.removesuffix("[]")
    if item is not None:
        inner = type_schema(item)
        return {"type": "array", "format": sql_type, "items": {"type": inner["type"]} if "type" in inner else {}}
    if sql_type in ("json", "jsonb"):
        return {"format": sql_type}
    return {"type": _TYPES.get(sql_type, "string"), "format": sql_type}


def _column_schema(relation: Relation, name: str, column: Mapping[str, Any], target: tuple[Relation, str] | None) -> Json:
    schema = type_schema(column["format"], column["item"])
    if column["enum"]:
        schema.get("items", schema)["enum"] = column["enum"]
    if column["max_length"] is not None:
        schema["maxLength"] = column["max_length"]
    default = _default(column["default"], schema)
    if default is not None:
        schema["default"] = default
    notes: list[str] = []
    if name in relation.primary_key:
        notes.append("This is a Primary Key.<pk/>")
    if target is not None:
        other, its = target
        notes.append(f"This is a Foreign Key to `{other.name}.{its}`.<fk table='{other.name}' column='{its}'/>")
    parts = [column["comment"], "Note:\n" + "\n".join(notes) if notes else None]
    description = "\n\n".join(part for part in parts if part)
    if description:
        schema["description"] = description
    return schema


def _default(sql: str | None, schema: Json) -> Any:
    """The default as a value of the column's type: literals as such, other expressions only where text is allowed."""
    if sql is None:
        return None
    kind = schema.get("type")
    if kind in ("integer", "number"):
        match = _NUMBER.match(sql)
        number = None if match is None else orjson.loads(match[1])
        return number if kind == "number" or isinstance(number, int) else None
    if kind == "boolean":
        return {"true": True, "false": False}.get(sql)
    if kind == "array":
        return None
    literal = _LITERAL.match(sql)
    if literal is None:
        return None if "enum" in schema or kind is None else sql
    text = literal[1].replace("''", "'")
    if kind is None:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
    return text if "enum" not in schema or text in schema["enum"] else None


def argument_schema(argument: Argument) -> Json:
    """Type and format of a function's argument in a JSON body."""
    return type_schema(argument.type)

"""The data plane's part of ``/api/v1/openapi.json``: OpenAPI 3.1 paths and schemas of tables and functions. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluxbase.data.documentation import Json, argument_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fluxbase.data.documentation import DescribedColumn, DescribedFunction, DescribedRelation, Description

_RESERVED = frozenset(
    {
        "select",
        "order",
        "limit",
        "offset",
        "count",
        "and",
        "or",
        "group_by",
        "cursor",
        "cursor_column",
        "truncate",
        "on_conflict",
        "columns",
    }
)


def native_document(descriptions: Iterable[Description]) -> tuple[Json, Json]:
    """Paths and component schemas; the first schema is the default one, whose tables have short paths."""
    paths: Json = {}
    schemas: Json = {}
    for index, description in enumerate(descriptions):
        prefix = "" if index == 0 else f"{description.schema}."
        for relation in description.relations:
            _relation(relation, prefix, paths, schemas)
        for function in description.functions:
            namespace = "default" if index == 0 else quote(description.schema, safe="")
            paths[f"/api/v1/rpc/{namespace}/{quote(function.name, safe='')}"] = {"post": _function(function, schemas, prefix)}
    return paths, schemas


def component_name(name: str) -> str:
    """A name that OpenAPI allows as a component's key; other characters become their code."""
    return re.sub(r"[^A-Za-z0-9._-]", lambda match: f"_{ord(match[0]):x}_", name)


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(columns: tuple[DescribedColumn, ...], *, with_required: bool) -> Json:
    found: Json = {"type": "object", "properties": {column.name: _nullable(column) for column in columns}}
    required = [column.name for column in columns if column.is_needed]
    if with_required and required:
        found["required"] = required
    return found


def _nullable(column: DescribedColumn) -> Json:
    """OpenAPI 3.1: null is a type; an enum must name it too."""
    schema = dict(column.schema)
    if not column.is_required and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _parameter(name: str, text: str, kind: str = "string", where: str = "query") -> Json:
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": {"type": kind}}


def _filters(described: DescribedRelation) -> list[Json]:
    return [
        _parameter(name, f"<operator>.<value>, for example eq.1; {column.schema.get('format', 'any')}")
        for column in described.reads
        if (name := column.filter_name) is not None and name not in _RESERVED
    ]


def _paging() -> list[Json]:
    return [
        _parameter("select", "Columns, and embedded relations as relation(columns)"),
        _parameter("order", "column.asc or column.desc, with nullsfirst or nullslast"),
        _parameter("limit", "Most rows", "integer"),
        _parameter("offset", "Rows to leave out", "integer"),
        _parameter("count", "exact, planned or estimated: the total in Content-Range"),
        _parameter("or", "(a.eq.1,b.gt.2)"),
        _parameter("and", "(a.eq.1,b.gt.2)"),
    ]


def _answer(schema: Json | None, text: str = "OK") -> Json:
    return {"description": text} if schema is None else {"description": text, "content": {"application/json": {"schema": schema}}}


def _body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _relation(described: DescribedRelation, prefix: str, paths: Json, schemas: Json) -> None:
    relation = described.relation
    name = component_name(prefix + relation.name)
    table = f"/api/v1/tables/{quote(relation.schema, safe='')}/{quote(relation.name, safe='')}"
    base = f"/api/v1/tables/{quote(relation.name, safe='')}" if not prefix else table
    row = _reference(name) if described.reads else {"type": "object"}
    if described.reads:
        schemas[name] = _object(described.reads, with_required=False)
        if described.summary:
            schemas[name]["description"] = "\n\n".join(filter(None, (described.summary, described.description)))
    if described.inserts and relation.kind in "rp":
        schemas[f"{name}.insert"] = _object(described.inserts, with_required=True)
    if described.updates and relation.kind in "rp":
        schemas[f"{name}.update"] = _object(described.updates, with_required=False)
    rows: Json = {"type": "array", "items": row}

    def operation(verb: str, parameters: list[Json], responses: Json, body: Json | None = None) -> Json:
        found: Json = {
            "tags": [prefix + relation.name], "operationId": component_name(f"{verb}.{prefix}{relation.name}"), "parameters": parameters,
            "responses": {**responses, "default": {"$ref": "#/components/responses/Error"}},
        }  # fmt: skip
        if body is not None:
            found["requestBody"] = _body(body)
        for key, text in (("summary", described.summary), ("description", described.description)):
            if text:
                found[key] = text
        return found

    filters = _filters(described)
    path: Json = {}
    one: Json = {}
    key = _parameter("id", f"The primary key {', '.join(relation.primary_key)}", where="path")
    if described.reads:
        path["get"] = operation("list", [*filters, *_paging()], {"200": _answer(rows)})
        paths[f"{base}/query"] = {"post": operation("query", [], {"200": _answer(rows)}, _reference("Query"))}
        one["get"] = operation("get", [key, _paging()[0]], {"200": _answer(row)})
    is_table = relation.kind in "rp"  # views are read only in this dialect
    if described.inserts and is_table:
        wanted = _reference(f"{name}.insert")
        inserted = {"oneOf": [row, rows]}
        path["post"] = operation(
            "insert", [_parameter("select", "Columns of the answer"), _parameter("on_conflict", "Columns of a unique key, for upserts")],
            {"201": _answer(inserted, "Created")}, {"oneOf": [wanted, {"type": "array", "items": wanted}]},
        )  # fmt: skip
    if described.updates and is_table:
        path["patch"] = operation("update", filters, {"200": _answer(rows)}, _reference(f"{name}.update"))
        for verb in ("patch", "put"):
            one[verb] = operation(f"{verb}_one", [key], {"200": _answer(row)}, _reference(f"{name}.update"))
    if described.can_delete and is_table:
        affected: Json = {"type": "object", "properties": {"affected": {"type": "integer"}, "records": rows}}
        path["delete"] = operation("delete", filters, {"200": _answer(affected)})
        one["delete"] = operation("delete_one", [key], {"204": _answer(None, "Deleted")})
    paths[base] = path
    if len(relation.primary_key) == 1 and relation.primary_key[0] in relation.columns and one:
        paths[f"{table}/{{id}}"] = one


def _function(described: DescribedFunction, schemas: Json, prefix: str) -> Json:
    first = described.overloads[0]
    bodies: list[Json] = []
    for overload in described.overloads:
        named = [argument for argument in overload.arguments if argument.name]
        params: Json = {"type": "object", "properties": {argument.name: argument_schema(argument) for argument in named}}
        required = [argument.name for argument in named if not argument.has_default and not argument.is_variadic]
        if required:
            params["required"] = required
        bodies.append({"type": "object", "properties": {"params": params, "async": {"type": "boolean"}}})
    result: Any = {}
    if first.rows is not None and component_name(prefix + first.rows.name) in schemas:
        row = _reference(component_name(prefix + first.rows.name))
        result = {"type": "array", "items": row} if first.is_set else row
    answer: Json = {
        "type": "object", "required": ["execution_id", "status"],
        "properties": {"execution_id": {"type": "string", "format": "uuid"}, "status": {"type": "string"}, "result": result},
    }  # fmt: skip
    body = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    found: Json = {
        "tags": ["rpc"], "operationId": component_name(f"call.{prefix}{described.name}"),
        "requestBody": {"required": False, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _answer(answer), "202": _answer(answer, "Begun in the background"), "default": {"$ref": "#/components/responses/Error"},
        },
    }  # fmt: skip
    for key, text in (("summary", described.summary), ("description", described.description)):
        if text:
            found[key] = text
    return found


QUERY_SCHEMA: Json = {
    "type": "object",
    "description": "A query in the body of POST …/query, for filters that are too long for a URL.",
    "properties": {
        "select": {"type": "string"},
        "filters": {
            "type": "array",
            "items": {
                "type": "object", "required": ["column", "operator"],
                "properties": {"column": {"type": "string"}, "operator": {"type": "string"}, "value": {}},
            },
        },
        "orFilters": {"type": "array", "items": {"type": "string"}},
        "andFilters": {"type": "array", "items": {"type": "string"}},
        "betweenFilters": {
            "type": "array",
            "items": {
                "type": "object", "required": ["column", "min", "max"],
                "properties": {"column": {"type": "string"}, "min": {}, "max": {}, "negated": {"type": "boolean"}},
            },
        },
        "order": {
            "type": "array",
            "items": {
                "type": "object", "required": ["column"],
                "properties": {"column": {"type": "string"}, "direction": {"enum": ["asc", "desc"]}, "nulls": {"enum": ["first", "last"]}},
            },
        },
        "limit": {"type": "integer"}, "offset": {"type": "integer"}, "count": {"enum": ["exact", "planned", "estimated"]},
    },
}  # fmt: skip

"""The Swagger 2.0 document of ``/rest/v1/``, in the shape that clients of PostgREST read (contract-supabase 1.11). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.data.documentation import Json, argument_schema

if TYPE_CHECKING:
    from fluxbase.data.documentation import DescribedColumn, DescribedFunction, DescribedRelation, Description
    from fluxbase.data.snapshot import Argument

_MEDIA = [
    "application/json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.object+json",
    "text/csv",
]
_RESERVED = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict", "and", "or"})
"""Columns of these names cannot be filtered by a plain parameter, so none is documented."""


def swagger(description: Description, *, public_url: str, version: str) -> Json:
    """The whole document. ``public_url`` is that of the surface and decides host, basePath and schemes."""
    scheme, _, rest = public_url.partition("://")
    host, slash, path = rest.partition("/")
    document: Json = {
        "swagger": "2.0",
        "info": {
            "title": description.summary or "Fluxbase",
            "description": description.description or "Tables, views and functions that this role may use.",
            "version": version,
        },
        "host": host,
        "basePath": f"{slash}{path}".rstrip("/") or "/",
        "schemes": [scheme],
        "consumes": _MEDIA,
        "produces": _MEDIA,
        "paths": {"/": _root()},
        "definitions": {},
        "parameters": _shared_parameters(),
        "securityDefinitions": {
            "JWT": {"type": "apiKey", "name": "Authorization", "in": "header", "description": "Bearer and a token or key"},
            "apikey": {"type": "apiKey", "name": "apikey", "in": "header", "description": "An anon, service, publishable or secret key"},
        },
        "security": [{"JWT": []}, {"apikey": []}, {}],
        "externalDocs": {"description": "The query language", "url": "https://postgrest.org/en/stable/references/api.html"},
    }
    for relation in description.relations:
        _add_relation(document, relation)
    for function in description.functions:
        document["paths"][f"/rpc/{function.name}"] = _function(function, document["definitions"])
    return document


def _root() -> Json:
    return {
        "get": {
            "tags": ["Introspection"],
            "summary": "OpenAPI description (this document)",
            "produces": ["application/openapi+json", "application/json"],
            "responses": {"200": {"description": "OK"}},
        }
    }


def _shared_parameters() -> Json:
    def prefer(*values: str) -> Json:
        return {"name": "Prefer", "description": "Preference", "required": False, "in": "header", "type": "string", "enum": list(values)}

    def query(name: str, text: str) -> Json:
        return {"name": name, "description": text, "required": False, "in": "query", "type": "string"}

    counts = ("count=exact", "count=planned", "count=estimated")
    returns = ("return=representation", "return=minimal", "return=headers-only")
    return {
        "preferParams": prefer(*counts),
        "preferReturn": prefer(*returns),
        "preferCount": prefer(*counts),
        "preferPost": prefer(*returns, "resolution=ignore-duplicates", "resolution=merge-duplicates"),
        "select": query("select", "Filtering Columns"),
        "on_conflict": query("on_conflict", "On Conflict"),
        "columns": query("columns", "Keys of the body that are used"),
        "order": query("order", "Ordering"),
        "range": {"name": "Range", "description": "Limiting and Pagination", "required": False, "in": "header", "type": "string"},
        "rangeUnit": {
            "name": "Range-Unit", "description": "Limiting and Pagination", "required": False, "in": "header", "type": "string",
            "default": "items",
        },
        "offset": query("offset", "Limiting and Pagination"),
        "limit": query("limit", "Limiting and Pagination"),
    }  # fmt: skip


def _reference(place: str, name: str) -> dict[str, str]:
    """A JSON pointer into the document (RFC 6901), as a URI fragment."""
    from urllib.parse import quote

    return {"$ref": f"#/{place}/{quote(name.replace('~', '~0').replace('/', '~1'), safe='~')}"}


def _definition(relation: DescribedRelation) -> Json:
    columns: dict[str, DescribedColumn] = {}
    for column in (*relation.reads, *relation.inserts, *relation.updates):
        columns.setdefault(column.name, column)
    definition: Json = {"type": "object", "properties": {name: column.schema for name, column in columns.items()}}
    required = [name for name, column in columns.items() if column.is_required]
    if required:
        definition["required"] = required
    if relation.summary:
        definition["description"] = "\n\n".join(filter(None, (relation.summary, relation.description)))
    return definition


def _add_relation(document: Json, described: DescribedRelation) -> None:
    name = described.relation.name
    parameters: Json = document["parameters"]
    document["definitions"][name] = _definition(described)
    row = _reference("definitions", name)
    filters: list[dict[str, str]] = []
    for column in described.reads:
        shown = column.filter_name
        if shown is None or shown in _RESERVED:
            continue
        key = f"rowFilter.{name}.{column.name}"
        parameters[key] = {"name": shown, "required": False, "in": "query", "type": "string"}
        if "format" in column.schema:
            parameters[key]["format"] = column.schema["format"]
        if "description" in column.schema:
            parameters[key]["description"] = column.schema["description"]
        filters.append(_reference("parameters", key))

    def shared(*names: str) -> list[dict[str, str]]:
        return [_reference("parameters", each) for each in names]

    def operation(uses: list[dict[str, str]], responses: Json) -> Json:
        found: Json = {"tags": [name], "parameters": uses, "responses": responses}
        for key, text in (("summary", described.summary), ("description", described.description)):
            if text:
                found[key] = text
        return found

    path: Json = {}
    if described.reads:
        path["get"] = operation(
            filters + shared("select", "order", "range", "rangeUnit", "offset", "limit", "preferCount"),
            {"200": {"description": "OK", "schema": {"type": "array", "items": row}}, "206": {"description": "Partial Content"}},
        )
    if described.inserts or described.updates:
        parameters[f"body.{name}"] = {"name": name, "description": name, "required": False, "in": "body", "schema": row}
    body = shared(f"body.{name}")
    if described.inserts:
        path["post"] = operation(
            body + shared("select", "columns", "on_conflict", "preferPost"),
            {"201": {"description": "Created"}, "200": {"description": "OK"}},
        )
    if described.can_delete:
        path["delete"] = operation(filters + shared("preferReturn"), {"204": {"description": "No Content"}})
    if described.updates:
        path["patch"] = operation(filters + body + shared("preferReturn"), {"204": {"description": "No Content"}})
    document["paths"][f"/{name}"] = path


def _function(described: DescribedFunction, definitions: Json) -> Json:
    operation: Json = {"tags": [f"(rpc) {described.name}"], "produces": _MEDIA}
    for key, text in (("summary", described.summary), ("description", described.description)):
        if text:
            operation[key] = text
    first = described.overloads[0]
    answer: Json = {"description": "OK"}
    if first.rows is not None and first.rows.oid and first.rows.name in definitions:
        row = _reference("definitions", first.rows.name)
        answer["schema"] = {"type": "array", "items": row} if first.is_set else row
    responses = {"204": {"description": "No Content"}} if first.is_void else {"200": answer}
    arguments: dict[str, Argument] = {}
    for overload in described.overloads:
        for argument in overload.arguments:
            arguments.setdefault(argument.name, argument)
    required = [name for name in arguments if name and all(_needs(overload.arguments, name) for overload in described.overloads)]
    body: Json = {"type": "object", "properties": {name: argument_schema(argument) for name, argument in arguments.items() if name}}
    if required:
        body["required"] = required
    if list(arguments) == [""]:
        body = argument_schema(arguments[""])
    paths: Json = {}
    if any(overload.volatility != "v" for overload in described.overloads) and "" not in arguments:
        uses = [_query_argument(argument, is_required=name in required) for name, argument in arguments.items()]
        paths["get"] = {**operation, "parameters": uses, "responses": responses}
    uses = [{"name": "args", "in": "body", "required": True, "schema": body}, _reference("parameters", "preferParams")]
    paths["post"] = {**operation, "parameters": uses, "responses": responses}
    return paths


def _needs(arguments: tuple[Argument, ...], name: str) -> bool:
    return any(argument.name == name and not argument.has_default and not argument.is_variadic for argument in arguments)


def _query_argument(argument: Argument, *, is_required: bool) -> dict[str, Any]:
    schema = argument_schema(argument)
    found: Json = {"name": argument.name, "in": "query", "required": is_required, "type": schema.get("type", "string")}
    if argument.is_variadic:
        found |= {"type": "array", "items": {"type": "string"}, "collectionFormat": "multi"}
    elif found["type"] == "array":
        found |= {"type": "string", "format": schema["format"], "description": "An array literal: {1,2}"}
    else:
        found["format"] = schema["format"]
    return found

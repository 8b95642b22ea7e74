"""The control plane's part of the native document, and what describes our own surface: generic paths, security, error shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.kernel.permissions import authorise
from fluxbase.web.documents.answers import responses_of
from fluxbase.web.middleware.idempotency import UNSAFE, WITHOUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.routing import Route

Json = dict[str, Any]
_CREDENTIALS: list[dict[str, list[str]]] = [{"bearer": []}, {"apikey": []}, {"clientKey": []}, {"serviceKey": []}]

SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token or a key"},
    "apikey": {"type": "apiKey", "in": "header", "name": "apikey"},
    "clientKey": {"type": "apiKey", "in": "header", "name": "X-Client-Key"},
    "serviceKey": {"type": "apiKey", "in": "header", "name": "X-Service-Key"},
}


def _error(required: list[str], properties: dict[str, str], description: str) -> Json:
    types: dict[str, Json] = {
        "text": {"type": "string"}, "text?": {"type": ["string", "null"]}, "any": {}, "number": {"type": "integer"},
    }  # fmt: skip
    return {
        "type": "object", "description": description, "required": required,
        "properties": {name: types[kind] for name, kind in properties.items()},
    }  # fmt: skip


ERROR_SCHEMAS: Json = {
    "Error": _error(
        ["error", "code", "request_id"],
        {
            "error": "text",
            "code": "text",
            "message": "text",
            "details": "any",
            "hint": "text",
            "request_id": "text",
            "retry_after": "number",
        },
        "Errors under /api/v1.",
    ),
    "RestError": _error(
        ["code", "message", "details", "hint"],
        {"code": "text", "message": "text", "details": "any", "hint": "text?"},
        "Errors under /rest/v1: a PGRST code, a SQLSTATE or one of ours.",
    ),
    "AuthError": _error(["code", "error_code", "msg"], {"code": "number", "error_code": "text", "msg": "text"}, "Errors under /auth/v1."),
}


def _response(name: str) -> Json:
    return {"description": "An error", "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


RESPONSES: Json = {name: _response(name) for name in ERROR_SCHEMAS}


PARAMETERS: Json = {
    "IdempotencyKey": {
        "name": "Idempotency-Key", "in": "header", "required": False,
        "description": "The request is carried out once for each key of a caller; sent again within 24 hours it gets the first answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
    },
}  # fmt: skip


def key_parameter(verb: str, access: Access = Access.OPTIONAL) -> list[Json]:
    """The parameter of operations that read an Idempotency-Key."""
    return [{"$ref": "#/components/parameters/IdempotencyKey"}] if verb.upper() in UNSAFE and access not in WITHOUT else []


def with_key_parameter(paths: Json) -> Json:
    """The data plane's paths, whose every unsafe operation reads the key."""
    return {
        path: {
            verb: {**operation, "parameters": [*operation.get("parameters", []), *key_parameter(verb)]} for verb, operation in item.items()
        }
        for path, item in paths.items()
    }


def may_use(route: Route, method: str, principal: Principal, instance: TenantId) -> bool:
    """Whether a route is shown to a caller: exactly when Authorise would let him in."""
    try:
        authorise(route.access, route.permissions.get(method), principal, address="", instance=instance)
    except FluxbaseError:
        return False
    return True


def control_document(app: FastAPI, routes: Iterable[Route], principal: Principal, instance: TenantId) -> tuple[Json, Json]:
    """Paths and component schemas that FastAPI knows, without the routes the caller may not use."""
    whole: Json = app.openapi()
    known = {(method, _shape(route.pattern)): route for route in routes for method in route.methods}
    paths: Json = {}
    for path, item in whole.get("paths", {}).items():
        for verb, operation in item.items():
            route = known.get((verb.upper(), _shape(path)))
            if route is None or not may_use(route, verb.upper(), principal, instance):
                continue
            shape = "AuthError" if path.startswith("/auth/v1") else "Error"
            parameters = [*operation.get("parameters", []), *key_parameter(verb, route.access)]
            paths.setdefault(path, {})[verb] = {
                "tags": ["server"], **operation, "security": security_of(route.access), "parameters": parameters,
                "responses": {**responses_of(route.name), "default": {"$ref": f"#/components/responses/{shape}"}},
            }  # fmt: skip
    return paths, _used(paths, whole.get("components", {}).get("schemas", {}))


def _used(paths: Json, schemas: Json) -> Json:
    """Of FastAPI's schemas those that the paths reach; the name of a hidden route's body is hidden too."""
    found: Json = {}
    todo: list[Any] = [paths]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            reference: Any = value.get("$ref")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - parsed JSON
            name = reference.rpartition("/")[2] if isinstance(reference, str) else ""
            if name in schemas and name not in found:
                found[name] = schemas[name]
                todo.append(schemas[name])
            todo.extend(value.values())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        elif isinstance(value, list):
            todo.extend(value)  # pyright: ignore[reportUnknownArgumentType]
    return found


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def security_of(access: Access) -> list[dict[str, list[str]]]:
    """Security requirements of a route; ``{}`` means that none is needed."""
    if access in (Access.PUBLIC, Access.LOOPBACK):
        return []
    if access is Access.ENTRY:
        return [{"apikey": []}, {}]
    return [*_CREDENTIALS, {}] if access is Access.OPTIONAL else _CREDENTIALS


def _text(name: str, where: str = "path") -> Json:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


def _operation(summary: str, parameters: list[Json], answers: dict[str, str], *, has_body: bool = False, error: str = "RestError") -> Json:
    responses: Json = {status: {"description": text} for status, text in answers.items()}
    responses["default"] = {"$ref": f"#/components/responses/{error}"}
    found: Json = {"tags": ["rest"], "summary": summary, "parameters": parameters, "responses": responses}
    if has_body:
        found["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return found


def _native(summary: str, parameters: list[Json], *statuses: str, has_body: bool = False) -> Json:
    return {**_operation(summary, parameters, dict.fromkeys(statuses, "OK"), has_body=has_body, error="Error"), "tags": ["tables"]}


def own_paths() -> Json:
    """The documents themselves, and both dialects in general: each table and function has its own paths beside these."""
    relation, function = [_text("relation")], [_text("function")]
    table = [_text("schema"), _text("table")]
    row = [*table, _text("id")]
    rows = {"200": "Rows", "206": "Some of the rows"}
    return {
        "/rest/v1/": {"get": _operation("The Swagger 2.0 document of this role", [], {"200": "The document"})},
        "/rest/v1/{relation}": {
            "get": _operation("Rows of a table or view", [*relation, _text("select", "query"), _text("order", "query")], rows),
            "post": _operation("Insert or upsert", relation, {"201": "Created", "200": "Updated"}, has_body=True),
            "patch": _operation("Update the filtered rows", relation, {"204": "Done", "200": "The rows"}, has_body=True),
            "put": _operation("Upsert a row by its primary key", relation, {"204": "Done", "200": "Changed", "201": "New"}, has_body=True),
            "delete": _operation("Delete the filtered rows", relation, {"204": "Done", "200": "The rows"}),
        },
        "/rest/v1/rpc/{function}": {
            "get": _operation("Call a function that only reads", function, {"200": "The result", "204": "Nothing"}),
            "post": _operation("Call a function", function, {"200": "The result", "204": "Nothing"}, has_body=True),
        },
        "/api/v1/tables/{schema}/{table}": {
            "get": _native("Rows of a table; with a table and an id in the path, one row", table, "200"),
            "post": _native("Insert one row or many", table, "201", has_body=True),
            "patch": _native("Update the filtered rows", table, "200", has_body=True),
            "put": _native("With a table and an id in the path, update that row", table, "200", has_body=True),
            "delete": _native("Delete the filtered rows; with a table and an id in the path, that row", table, "200", "204"),
        },
        "/api/v1/tables/{schema}/{table}/{id}": {
            "get": _native("One row by its primary key", row, "200"),
            "put": _native("Update it", row, "200", has_body=True),
            "patch": _native("Update it", row, "200", has_body=True),
            "delete": _native("Delete it", row, "204"),
        },
        "/api/v1/tables": {"get": _native("Tables and views this role may use", [], "200")},
        "/api/v1/tables/{schema}/{table}/query": {"post": _native("Rows, the query in the body", table, "200", has_body=True)},
        "/api/v1/tables/{schema}/{table}/export": {"get": _native("Rows as a file", [*table, _text("format", "query")], "200")},
        "/api/v1/tables/{schema}/{table}/bulk": {
            "post": _native("Insert a list of rows", table, "201", has_body=True),
            "patch": _native("Update each row of the body by its primary key", table, "200", has_body=True),
            "delete": _native("Delete the rows whose keys the body lists", table, "200", has_body=True),
        },
        "/api/v1/rpc/{namespace}/{function}": {
            "post": _native("Call a function, at once or in the background", [_text("namespace"), *function], "200", "202", has_body=True)
        },
        "/api/v1/rpc/procedures": {"get": _native("Functions this role may call", [_text("namespace", "query")], "200")},
        "/api/v1/rpc/executions/{id}": {"get": _native("An execution of yours in the background", [_text("id")], "200")},
        "/api/v1/rpc/executions/{id}/logs": {"get": _native("Its log", [_text("id"), _text("after", "query")], "200")},
        "/api/v1/openapi.json": {"get": {**_operation("This document", [], {"200": "The document"}, error="Error"), "tags": ["server"]}},
        "/docs": {"get": {**_operation("The page that shows this document", [], {"200": "HTML"}, error="Error"), "tags": ["server"]}},
    }  # fmt: skip

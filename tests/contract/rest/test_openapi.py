"""The OpenAPI documents are true: valid, literal where it matters, each documented path and filter answers, nothing else shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator

from fluxbase.app import open_program
from fluxbase.kernel.access import Access
from fluxbase.kernel.permissions import PLATFORM
from fluxbase.web.routing import Route
from tests.support.server import Server, start_server

SCHEMA = """
create type mood as enum ('calm', 'loud');
create domain code as varchar(8);
create table shelf (id int generated always as identity primary key, label text not null);
comment on table shelf is E'Shelves of the library\\nEach has a label.\\nAnd a place.';
create table book (
  id int primary key, title varchar(80) not null default 'untitled', mood mood default 'calm', moods mood[], shelf_id int references shelf,
  price numeric default 9.5, is_lent boolean not null default false, "odd, name" text, data jsonb default '{"a": 1}', code code,
  shout text generated always as (title || '!') stored, secret text
);
comment on column book.title is 'As printed';
create view book_titles with (security_invoker = true) as select title from book;
create policy everybody on shelf using (true) with check (true);
create policy everybody on book using (true) with check (true);
revoke all on book from anon;
grant select (id, title, mood, moods, shelf_id, price, is_lent, "odd, name", data, code, shout) on book to anon;
create table vault (id int primary key);
revoke all on vault from anon;
create policy everybody on vault using (true);
create function books_after(year int, mood mood default 'calm') returns setof book language sql stable as 'select * from book';
comment on function books_after(int, mood) is E'Books of a time\\nNewest first.';
create function lend(variadic ids int[]) returns void language sql as '';
create function vault_only() returns int language sql as 'select 1';
revoke execute on function vault_only() from public, anon;
create function takes_json(json) returns json language sql as 'select $1';
"""


@pytest.fixture(scope="module")
def library() -> Iterator[Server]:
    """An own server: the document shows everything that is there."""
    server = start_server(env={"FLUXBASE_SERVER_PUBLIC_URL": "https://api.example.com/base", "FLUXBASE_SERVER_ALLOWED_HOSTS": "127.0.0.1"})
    server.sql(SCHEMA)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def swagger(library: Server) -> dict[str, Any]:
    """The Swagger document of anon."""
    return library.get("/rest/v1/").json()


@pytest.fixture(scope="module")
def openapi(library: Server) -> dict[str, Any]:
    """The native document of anon."""
    return library.get("/api/v1/openapi.json").json()


def test_swagger_answer(library: Server, swagger: dict[str, Any]) -> None:
    """Media type, members, host and basePath of the public URL."""
    answer = library.get("/rest/v1/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/openapi+json; charset=utf-8")
    assert answer.headers["cache-control"] == "private, no-store"
    assert {
        "swagger",
        "info",
        "host",
        "basePath",
        "schemes",
        "consumes",
        "produces",
        "paths",
        "definitions",
        "parameters",
        "externalDocs",
    } <= set(swagger)
    assert (swagger["swagger"], swagger["host"], swagger["basePath"], swagger["schemes"]) == (
        "2.0",
        "api.example.com",
        "/base/rest/v1",
        ["https"],
    )
    assert {"title", "description", "version"} <= set(swagger["info"])
    head = library.request("HEAD", "/rest/v1/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", answer.headers["content-length"])


def test_documents_are_valid(library: Server) -> None:
    """Both documents pass the reference validator, for anon and for the service key."""
    for key in ("anon", "service"):
        OpenAPIV2SpecValidator(library.get("/rest/v1/", key=key).json()).validate()
        OpenAPIV31SpecValidator(library.get("/api/v1/openapi.json", key=key).json()).validate()


def test_definition_is_literal(swagger: dict[str, Any]) -> None:
    """Types, formats, enum, defaults, maxLength, comments and key notes of a table, column by column."""
    assert swagger["definitions"]["book"] == {
        "type": "object",
        "required": ["id", "title", "is_lent"],
        "properties": {
            "id": {"type": "integer", "format": "integer", "description": "Note:\nThis is a Primary Key.<pk/>"},
            "title": {"type": "string", "format": "character varying", "maxLength": 80, "default": "untitled", "description": "As printed"},
            "mood": {"type": "string", "format": "public.mood", "enum": ["calm", "loud"], "default": "calm"},
            "moods": {"type": "array", "format": "public.mood[]", "items": {"type": "string", "enum": ["calm", "loud"]}},
            "shelf_id": {
                "type": "integer",
                "format": "integer",
                "description": "Note:\nThis is a Foreign Key to `shelf.id`.<fk table='shelf' column='id'/>",
            },
            "price": {"type": "number", "format": "numeric", "default": 9.5},
            "is_lent": {"type": "boolean", "format": "boolean", "default": False},
            "odd, name": {"type": "string", "format": "text"},
            "data": {"format": "jsonb", "default": {"a": 1}},
            "code": {"type": "string", "format": "character varying", "maxLength": 8},
            "shout": {"type": "string", "format": "text"},
        },
    }


def test_paths_are_literal(swagger: dict[str, Any]) -> None:
    """Summary and description come from the comment; verbs are those of the role; references lead to parameters."""
    get = swagger["paths"]["/shelf"]["get"]
    assert (get["tags"], get["summary"], get["description"]) == (["shelf"], "Shelves of the library", "Each has a label.\nAnd a place.")
    assert get["parameters"] == [
        {"$ref": f"#/parameters/{name}"}
        for name in (
            "rowFilter.shelf.id",
            "rowFilter.shelf.label",
            "select",
            "order",
            "range",
            "rangeUnit",
            "offset",
            "limit",
            "preferCount",
        )
    ]
    assert get["responses"]["200"]["schema"] == {"type": "array", "items": {"$ref": "#/definitions/shelf"}}
    assert set(swagger["paths"]["/shelf"]) == {"get", "post", "patch", "delete"}
    assert set(swagger["paths"]["/book"]) == {"get"}
    assert swagger["parameters"]["rowFilter.shelf.label"] == {
        "name": "label",
        "required": False,
        "in": "query",
        "type": "string",
        "format": "text",
    }
    assert swagger["parameters"]["body.shelf"]["schema"] == {"$ref": "#/definitions/shelf"}
    assert {"preferParams", "preferReturn", "preferCount", "preferPost", "on_conflict"} <= set(swagger["parameters"])


def test_functions_are_literal(swagger: dict[str, Any]) -> None:
    """A function that reads has GET and POST, a volatile one POST alone; arguments with defaults are not required."""
    path = swagger["paths"]["/rpc/books_after"]
    assert (path["get"]["summary"], path["get"]["description"]) == ("Books of a time", "Newest first.")
    assert path["get"]["parameters"] == [
        {"name": "year", "in": "query", "required": True, "type": "integer", "format": "integer"},
        {"name": "mood", "in": "query", "required": False, "type": "string", "format": "mood"},
    ]
    body = path["post"]["parameters"][0]
    assert body["schema"]["required"] == ["year"]
    assert body["schema"]["properties"]["year"] == {"type": "integer", "format": "integer"}
    assert set(swagger["paths"]["/rpc/lend"]) == {"post"}
    assert swagger["paths"]["/rpc/lend"]["post"]["responses"] == {"204": {"description": "No Content"}}


def test_only_what_the_role_may_use(library: Server) -> None:
    """Tables, columns, functions and routes that anon may not use appear in neither document, not even in a note."""
    for path in ("/rest/v1/", "/api/v1/openapi.json"):
        text = library.get(path).text
        assert [word for word in ("vault", "secret", "admin/status") if word in text.replace("publishable or secret key", "")] == []
        assert "vault" in library.get(path, key="service").text
    assert "/api/v1/admin/status" in library.get("/api/v1/openapi.json", key="service").json()["paths"]


def test_notes_follow_grants(library: Server) -> None:
    """A foreign key to a table the role may not read leaves no note with its name."""
    library.sql("create table leaf (id int primary key, vault_id int references vault); create policy p on leaf using (true)")
    try:
        assert "description" not in library.get("/rest/v1/").json()["definitions"]["leaf"]["properties"]["vault_id"]
    finally:
        library.sql("drop table leaf")


def test_a_new_table_and_a_new_grant_show_at_once(library: Server) -> None:
    """The document follows the schema without a restart: table, comment, grant and drop."""
    library.sql("create table fresh (id int primary key); create policy p on fresh using (true)")
    assert "fresh" in library.get("/rest/v1/").json()["definitions"]
    library.sql("comment on table fresh is 'Quite new'")
    assert library.get("/rest/v1/").json()["definitions"]["fresh"]["description"] == "Quite new"
    library.sql("revoke all on fresh from anon")
    assert "fresh" not in library.get("/rest/v1/").json()["definitions"]
    library.sql("drop table fresh")
    assert "fresh" not in library.get("/rest/v1/", key="service").json()["definitions"]


def _swagger_calls(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for verb in item:
            yield verb.upper(), "/rest/v1" + path


def _native_calls(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for verb in item:
            if verb == "put" and path.endswith("{schema}/{table}"):
                yield "PUT", "/api/v1/tables/book/1"  # two segments: a table and an id
                continue
            yield (
                verb.upper(),
                path.replace("{relation}", "book")
                .replace("{function}", "takes_json")
                .replace("{id}", "1")
                .replace("{schema}", "public")
                .replace("{table}", "book"),
            )


@pytest.mark.parametrize("kind", ["swagger", "openapi"])
def test_every_documented_path_answers(library: Server, kind: str) -> None:
    """Each path and verb reaches its handler: no 404 of a route, no 405, no 5xx."""
    document = library.get("/rest/v1/" if kind == "swagger" else "/api/v1/openapi.json", key="service").json()
    calls = list(_swagger_calls(document) if kind == "swagger" else _native_calls(document))
    assert len(calls) > 10
    wrong: list[tuple[str, str, int, str]] = []
    for verb, path in calls:
        answer = library.request(verb, path, key="service", json=[] if verb == "POST" else {} if verb in ("PATCH", "PUT") else None)
        code = answer.json().get("code") if answer.status_code in (404, 405) else None
        is_row_or_argument = code in ("PGRST202", "42883", "PGRST105") or (code == "NOT_FOUND" and "route" not in answer.text)
        is_row_or_argument = is_row_or_argument or "Filters must include" in answer.text
        is_row_or_argument = is_row_or_argument or (
            answer.status_code == 404 and "PGRST125" not in answer.text and '"path"' not in answer.text
        )
        if answer.status_code >= 500 or (answer.status_code in (404, 405) and not is_row_or_argument):
            wrong.append((verb, path, answer.status_code, answer.text[:200]))
    assert wrong == []


def test_every_documented_filter_works(library: Server, swagger: dict[str, Any], openapi: dict[str, Any]) -> None:
    """Each row filter of each document selects by its column: 200, and 400 for a name that is not documented."""
    asked = 0
    for path, item in swagger["paths"].items():
        for reference in item.get("get", {}).get("parameters", ()):
            name = reference.get("$ref", "").rpartition("/")[2]
            if name.startswith("rowFilter."):
                asked += 1
                parameter = swagger["parameters"][re.sub(r"%([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), name)]
                answer = library.get(f"/rest/v1{path}?{quote(parameter['name'])}=not.is.null")
                assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8"), (
                    path,
                    name,
                    answer.text,
                )
    for path, item in openapi["paths"].items():
        if path.startswith("/api/v1/tables/") and "{id}" not in path:
            for parameter in item.get("get", {}).get("parameters", ()):
                if parameter.get("description", "").startswith("<operator>"):
                    asked += 1
                    assert library.get(f"{path}?{quote(parameter['name'])}=not.is.null").status_code == 200
    assert asked >= 20
    assert library.get("/rest/v1/book?secret=not.is.null").status_code in (400, 401)


async def _routes(data_dir: Path) -> list[Route]:
    async with open_program(data_dir) as program:
        program.build_data_plane()
        return program.routes()


def test_every_route_is_documented(library: Server) -> None:
    """Each pattern and verb of the route table has a path in the native document of an administrator or of a user."""
    new = {"email": f"{uuid4().hex}@example.com", "password": "long-unlikely-words-93"}
    user = library.post("/api/v1/auth/signup", json=new, key=None, headers={"apikey": library.anon_key}).json()["access_token"]
    keys = ("service", "anon", user)
    documents = [library.get("/api/v1/openapi.json", key=key).json()["paths"] for key in keys]
    documented = {
        (verb.upper(), re.sub(r"\{[^}]*\}", "x", path).rstrip("/")) for paths in documents for path, item in paths.items() for verb in item
    }
    with ThreadPoolExecutor(1) as pool:
        routes = pool.submit(lambda: asyncio.run(_routes(library.data_dir))).result(60)
    missing: list[str] = []
    for route in routes:
        shape = re.compile(re.escape(route.pattern.rstrip("/")).replace(r"\{\}", "[^/]+") + "$")
        for method in route.methods - {"HEAD", "OPTIONS"}:
            if (route.name == "rest.root" and method != "GET") or (route.name == "rest.rpc" and method not in ("GET", "POST")):
                continue  # answered with 405 by the handler, in PostgREST's words
            permission = route.permissions.get(method)
            is_of_administrators = permission is not None and permission.kinds == PLATFORM
            if route.access is Access.PLATFORM or is_of_administrators or "/auth/impersonate" in route.pattern:
                continue  # shown to a platform administrator alone
            if not any(verb == method and shape.match(path) for verb, path in documented):
                missing.append(f"{method} {route.pattern}")
    assert missing == []


def test_media_types_of_the_root(library: Server) -> None:
    """OpenAPI, JSON and anything are served; CSV is 406 PGRST107; other verbs are 405, OPTIONS names the three."""
    for accept in ("application/openapi+json", "application/json", "*/*"):
        assert library.get("/rest/v1/", headers={"accept": accept}).status_code == 200
    answer = library.get("/rest/v1/", headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST107")
    answer = library.post("/rest/v1/", json={})
    assert (answer.status_code, answer.json()["code"]) == (405, "PGRST117")
    answer = library.request("OPTIONS", "/rest/v1/")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (200, "OPTIONS,GET,HEAD", b"")


def test_a_bad_token_and_a_revoked_session_learn_nothing(server: Server) -> None:
    """Asking for a document is a request under an identity: a bad token is 401, and so is a session on the denylist."""
    session = "3f6c2a51-9d0e-4a53-8a0c-0f1b8f6f7a10"
    token = server.token("5b1f0e6a-2f3c-4d5e-8f70-a1b2c3d4e5f6", session_id=session)
    assert server.get("/rest/v1/", key=token).status_code == 200
    server.root_sql(f"insert into auth.denylist (key, reason, expires_at) values ('session:{session}', 'test', now() + interval '1 hour')")
    for path in ("/rest/v1/", "/api/v1/openapi.json"):
        assert server.get(path, key=token).status_code == 401
        assert server.get(path, key="x.y.z").status_code == 401


def test_page_runs_under_its_own_policy(library: Server) -> None:
    """/docs is one page whose script and style are allowed by hash, without unsafe-inline and without another host."""
    import base64
    import hashlib

    answer = library.get("/docs", key=None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert re.findall(r"https?://|style=| on[a-z]+=|innerHTML|eval\(", answer.text) == []
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(("mode", "shows"), [("disabled", None), ("ignore-privileges", True)])
def test_modes(mode: str, shows: bool | None) -> None:
    """disabled is 404 PGRST126 on both documents; ignore-privileges shows what the role may not use."""
    server = start_server(env={"FLUXBASE_DATA_OPENAPI_MODE": mode})
    try:
        server.sql("create table vault (id int primary key); revoke all on vault from anon; create policy p on vault using (true)")
        answer = server.get("/rest/v1/")
        if shows is None:
            assert (answer.status_code, answer.json()["code"]) == (404, "PGRST126")
            assert server.get("/api/v1/openapi.json").status_code == 404
        else:
            assert "vault" in answer.json()["definitions"]
            assert set(answer.json()["paths"]["/vault"]) == {"get", "post", "patch", "delete"}
    finally:
        server.stop()


def test_a_thousand_tables_do_not_hold_requests() -> None:
    """While the document of 1,000 tables is built, other requests are answered."""
    server = start_server()
    try:
        columns = ", ".join(f"c{i} text default 'x'" for i in range(10))
        server.sql(
            f"do $$ begin for i in 1..1000 loop execute format('create table t%s (id int primary key, {columns.replace(chr(39), chr(39) * 2)})', i); end loop; end $$"
        )
        server.sql("create policy p on t1 using (true)")
        assert server.get("/rest/v1/t1").status_code == 200
        with ThreadPoolExecutor(1) as pool:
            document = pool.submit(server.get, "/rest/v1/")
            answered = 0
            while not document.done():
                assert server.get("/rest/v1/t1?id=eq.1").status_code == 200
                answered += 1
            answer = document.result()
        assert len(answer.json()["definitions"]) == 1000
        assert answered >= 3
        assert server.get("/rest/v1/").content == answer.content
    finally:
        server.stop()

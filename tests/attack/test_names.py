"""Invariant 7 (threat E40): names in a request never become SQL; two oracles watch, the answer and PostgreSQL's own log.

PostgreSQL logs every statement while this file runs. A marker stands in every name that is sent; parsed, no statement of the log
may refer to a column, relation, function, type or operator that carries it. It may be a constant, or an alias the caller chose.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from pglast import ast, parse_sql
from pglast.visitors import Visitor

from tests.support.server import Server

MARKER = "zqmark"
BREAKERS = [
    f"{MARKER}", f'{MARKER}"', f'{MARKER}" from tasks; drop table tasks; --', f"{MARKER}'", f"{MARKER}') or 1=1 --", f"{MARKER};select pg_sleep(9)",
    f"{MARKER}/**/", f"{MARKER}$$", f"{MARKER}\\", f"{MARKER}\u0022\u02ba", f"{MARKER}%22", f"pg_catalog.{MARKER}", f"tasks.{MARKER}", f'id"::text,"{MARKER}',
    f"{MARKER}\n--", f"id/*{MARKER}*/", f"{MARKER}" * 20, f"({MARKER})", f"\u202e{MARKER}",
]  # fmt: skip
PLACES: dict[str, tuple[str, str, object, dict[str, str]]] = {
    "table": ("GET", "/rest/v1/NAME", None, {}),
    "native_table": ("GET", "/api/v1/tables/NAME", None, {}),
    "native_schema": ("GET", "/api/v1/tables/NAME/tasks", None, {}),
    "column": ("GET", "/rest/v1/tasks?select=NAME", None, {}),
    "alias": ("GET", "/rest/v1/tasks?select=NAME:id", None, {}),
    "cast": ("GET", "/rest/v1/tasks?select=id::NAME", None, {}),
    "json_path": ("GET", "/rest/v1/tasks?select=data->NAME", None, {}),
    "json_path_text": ("GET", "/rest/v1/tasks?select=data->>NAME&data->>NAME=eq.1", None, {}),
    "filter": ("GET", "/rest/v1/tasks?NAME=eq.1", None, {}),
    "operator": ("GET", "/rest/v1/tasks?id=NAME.1", None, {}),
    "value": ("GET", "/rest/v1/tasks?title=eq.NAME", None, {}),
    "list": ("GET", "/rest/v1/tasks?title=in.(NAME,NAME)", None, {}),
    "full_text": ("GET", "/rest/v1/tasks?title=fts(NAME).x", None, {}),
    "logic": ("GET", "/rest/v1/tasks?or=(NAME.eq.1,id.eq.1)", None, {}),
    "order": ("GET", "/rest/v1/tasks?order=NAME", None, {}),
    "order_json": ("GET", "/rest/v1/tasks?order=data->NAME", None, {}),
    "order_direction": ("GET", "/rest/v1/tasks?order=id.NAME", None, {}),
    "embed": ("GET", "/rest/v1/tasks?select=id,NAME(id)", None, {}),
    "embed_hint": ("GET", "/rest/v1/tasks?select=id,tasks!NAME(id)", None, {}),
    "function": ("POST", "/rest/v1/rpc/NAME", {}, {}),
    "argument": ("GET", "/rest/v1/rpc/task_count?NAME=1", None, {}),
    "argument_key": ("POST", "/rest/v1/rpc/task_count", {"NAME": 1}, {}),
    "body_key": ("POST", "/rest/v1/tasks", {"NAME": 1}, {}),
    "columns": ("POST", "/rest/v1/tasks?columns=NAME", {"id": 9}, {}),
    "on_conflict": ("POST", "/rest/v1/tasks?on_conflict=NAME", {"id": 9}, {"prefer": "resolution=merge-duplicates"}),
    "profile": ("GET", "/rest/v1/tasks", None, {"accept-profile": "NAME"}),
    "content_profile": ("POST", "/rest/v1/tasks", {"id": 9}, {"content-profile": "NAME"}),
    "timezone": ("GET", "/rest/v1/tasks", None, {"prefer": "timezone=NAME"}),
    "accept": ("GET", "/rest/v1/tasks", None, {"accept": "application/vnd.pgrst.NAME"}),
    "request_header": ("GET", "/rest/v1/tasks", None, {"x-NAME": "NAME"}),
}


@pytest.fixture(scope="module")
def logged(server: Server) -> Iterator[Server]:
    """The shipped server; PostgreSQL logs every statement, parameters apart."""
    server.sql(
        "drop table if exists tasks; create table tasks (id int primary key, title text, data jsonb); create policy everybody on tasks using (true) "
        "with check (true); insert into tasks values (1, 'one', '{}'); create or replace function task_count() returns bigint language sql stable return 1::bigint"
    )
    server.root_sql("alter system set log_statement = 'all'")
    server.root_sql("select pg_reload_conf()")
    yield server
    server.root_sql("alter system reset log_statement")
    server.root_sql("select pg_reload_conf()")


def statements(server: Server, since: int) -> tuple[list[str], int]:
    """The SQL that PostgreSQL was given since a place in its log; and the new place."""
    text = (server.data_dir / "log" / "postgres.log").read_text(errors="replace")
    entries = re.split(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] ", text[since:], flags=re.MULTILINE)
    return [found[1] for entry in entries if (found := re.match(r"LOG:\s+(?:execute [^:]+|statement): (.*)", entry, re.DOTALL))], len(text)


class Names(Visitor):
    """Collects what a statement refers to. Aliases it gives and constants are not references."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def visit(self, _: object, node: ast.Node) -> None:
        """Columns, functions, types, operators, relations."""
        parts: object = ()
        match node:
            case ast.ColumnRef():
                parts = node.fields
            case ast.FuncCall():
                parts = node.funcname
            case ast.TypeName():
                parts = node.names
            case ast.A_Expr():
                parts = node.name
            case ast.RangeVar():
                self.found += [name for name in (node.schemaname, node.relname) if name]
            case _:
                pass
        self.found += [part.sval for part in parts or () if isinstance(part, ast.String)]  # type: ignore[attr-defined]


def names_of(statement: str) -> list[str]:
    """Every name that one statement refers to. A statement that does not parse, or is two, is a broken one."""
    tree = parse_sql(statement)
    assert len(tree) == 1
    visitor = Names()
    visitor(tree)
    return visitor.found


@pytest.mark.parametrize("place", PLACES)
def test_no_name_of_a_request_becomes_sql(logged: Server, place: str) -> None:
    """Whatever stands where a name belongs: no 5xx, no time spent, nothing changed, and no statement refers to it."""
    method, path, body, headers = PLACES[place]
    _, since = statements(logged, 0)
    started = time.monotonic()
    for name in BREAKERS:
        text = re.sub(r"[^\x20-\x7e]", "", name)
        options: dict[str, object] = {} if body is None else {"json": {k.replace("NAME", name): v for k, v in body.items()}}  # type: ignore[attr-defined]
        sent = {re.sub(r"[^a-z-]", "", k.replace("NAME", name)): v.replace("NAME", text) for k, v in headers.items()}
        answer = logged.request(method, path.replace("NAME", quote(name, safe="")), headers=sent, **options)  # type: ignore[arg-type]
        assert answer.status_code < 500, (name, answer.text)
    assert time.monotonic() - started < 9 + len(BREAKERS)
    seen, _ = statements(logged, since)
    assert seen or place not in {"value", "list", "embed", "body_key"}, "the log sees our statements"
    suspects = [statement for statement in seen if MARKER in statement.lower()]
    assert [name for statement in suspects for name in names_of(statement) if MARKER in name.lower()] == []
    assert logged.sql("select count(*) from tasks where id = 1") == [(1,)]


@pytest.mark.twin("data-plane:quoting")
def test_catalogue_names_are_quoted_too(twin: Server) -> None:
    """A table that is really called ``od"d`` is read like any other; without quoting the statement breaks."""
    twin.sql(
        'drop table if exists "od""d"; create table "od""d" (id int); create policy everybody on "od""d" using (true); insert into "od""d" values (42)'
    )
    assert twin.get("/rest/v1/od%22d").json() == [{"id": 42}]
    assert twin.get("/rest/v1/od%22d", headers={"x-twin-without": "data-plane:quoting"}).status_code >= 400

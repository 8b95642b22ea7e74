"""What PostgREST answers over a database with its own roles and grants: literal request, literal status, headers, bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contract.byo.conftest import sign
from tests.support.server import Server

USER = sign({"role": "web_user", "sub": "ada"})
JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Case:
    """One request and its whole answer."""

    path: str
    status: int
    body: str
    key: str | None = None
    method: str = "GET"
    json: Any = None
    send: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=dict[str, str])


def error(code: str, message: str, details: str = "null", hint: str = "null") -> str:
    """An error's bytes: members in PostgREST's order."""
    return f'{{"code":"{code}","details":{details},"hint":{hint},"message":"{message}"}}'


CASES: dict[str, Case] = {
    "rows of an anonymous caller": Case(
        "books?select=id,title&order=id&limit=2", 200, '[{"id":1,"title":"Orlando"}, \n {"id":2,"title":"Ficciones"}]',
        headers={"content-range": "0-1/*", "content-type": JSON, "vary": "Accept, Prefer, Range"},
    ),
    "embed": Case("books?select=id,authors(name)&id=eq.2", 200, '[{"id":2,"authors":{"name":"Borges"}}]', key=USER),
    "a view without security_invoker": Case("book_list?id=eq.1", 200, '[{"id":1,"title":"Orlando","author":"Woolf"}]'),
    "row security by the claims": Case("diaries?select=id", 200, '[{"id":1}]', key=USER),
    "scalar function": Case("rpc/add?a=1&b=2", 200, "3"),
    "no grant for the anonymous role": Case(
        "loans", 401, error("42501", "permission denied for table loans"),
        headers={"www-authenticate": "Bearer", "proxy-status": "PostgREST; error=42501", "content-type": JSON},
    ),
    "no grant for a role": Case(
        "loans", 403, error("42501", "permission denied for table loans"), key=sign({"role": "web_slow"}),
        headers={"proxy-status": "PostgREST; error=42501"},
    ),
    "no right to call": Case("rpc/members_only", 401, error("42501", "permission denied for function members_only")),
    "the role that may call": Case("rpc/members_only", 200, '"welcome"', key=USER),
    "a duplicate key shows its detail": Case(
        "books", 409,
        error("23505", 'duplicate key value violates unique constraint \\"books_pkey\\"', '"Key (id)=(1) already exists."'),
        key=USER, method="POST", json={"id": 1, "title": "x"},
    ),
    "a check shows the failing row": Case(
        "books", 400,
        error("23514", 'new row for relation \\"books\\" violates check constraint \\"books_year_check\\"',
              '"Failing row contains (9, x, null, -5)."'),
        key=USER, method="POST", json={"id": 9, "title": "x", "year": -5},
    ),
    "a foreign key shows its detail": Case(
        "books", 409,
        error("23503", 'insert or update on table \\"books\\" violates foreign key constraint \\"books_author_id_fkey\\"',
              '"Key (author_id)=(7) is not present in table \\"authors\\"."'),
        key=USER, method="POST", json={"id": 9, "title": "x", "author_id": 7},
    ),
    "a bad literal": Case("books?id=eq.x", 400, error("22P02", 'invalid input syntax for type integer: \\"x\\"')),
    "an unknown column": Case("books?select=nope", 400, error("42703", "column books.nope does not exist")),
    "an unknown table, hint over all objects": Case(
        "loan", 404,
        error("PGRST205", "Could not find the table 'api.loan' in the schema cache", hint='"Perhaps you meant the table \'api.loans\'"'),
    ),
    "an unknown relationship": Case(
        "books?select=id,author(name)", 400,
        error("PGRST200", "Could not find a relationship between 'books' and 'author' in the schema cache",
              '"Searched for a foreign key relationship between \'books\' and \'author\' in the schema \'api\', but no matches were found."',
              '"Perhaps you meant \'authors\' instead of \'author\'."'),
    ),
    "an unknown schema": Case(
        "books", 406, error("PGRST106", "Invalid schema: private", hint='"Only the following schemas are exposed: api"'),
        send={"accept-profile": "private"},
    ),
    "a deeper path": Case("a/b/c", 404, error("PGRST125", "Invalid path specified in request URL")),
    "not one row": Case(
        "books?select=id", 406, error("PGRST116", "Cannot coerce the result to a single JSON object", '"The result contains 3 rows"'),
        send={"accept": "application/vnd.pgrst.object+json"},
    ),
    "aggregates are off": Case("books?select=count()", 400, error("PGRST123", "Use of aggregate functions is not allowed")),
    "raise": Case(
        "rpc/refuse", 400, error("P0001", "No more loans", '"Three are out"', '"Return one"'), method="POST", json={"how": "plain"}
    ),
    "raise with a status": Case(
        "rpc/refuse", 418, error("PT418", "Short and stout", '"d"', '"h"'), method="POST", json={"how": "teapot"}
    ),
    "raise that decides the whole answer": Case(
        "rpc/refuse", 402, error("L01", "Closed", '"Sunday"', '"Monday"'), method="POST", json={"how": "whole"},
        headers={"x-opens": "9", "proxy-status": "PostgREST; error=L01"},
    ),
    "raise that is malformed": Case(
        "rpc/refuse", 500,
        error("PGRST121", "Could not parse JSON in the \\\"RAISE SQLSTATE 'PGRST'\\\" error",
              '"Invalid JSON value for MESSAGE: \'not json\'"',
              '"MESSAGE must be a JSON object with obligatory keys: \'code\', \'message\' and optional keys: \'details\', \'hint\'."'),
        method="POST", json={"how": "malformed"},
    ),
    "the pre-request function refuses": Case(
        "books", 400, error("P0001", "Banned", hint='"Write to the library"'), send={"x-banned": "1"}
    ),
    "a role's own statement_timeout": Case(
        "rpc/nap", 500, error("57014", "canceling statement due to statement timeout"), key=sign({"role": "web_slow"}),
        method="POST", json={"seconds": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_answer(byo: Server, name: str) -> None:
    """Status, bytes and the headers that PostgREST sends."""
    case = CASES[name]
    answer = byo.request(
        case.method, f"/rest/v1/{case.path}", key=case.key, headers=case.send, **({} if case.json is None else {"json": case.json})
    )
    assert (answer.status_code, answer.text) == (case.status, case.body)
    assert {name: answer.headers.get(name) for name in case.headers} == case.headers
    if answer.status_code >= 400 and "www-authenticate" not in case.headers and answer.status_code != 401:
        assert "www-authenticate" not in answer.headers


def test_identity_in_sql(byo: Server) -> None:
    """Role, claims, headers, cookies, method, path, search path and app.settings reach SQL as PostgREST sets them."""
    answer = byo.request(
        "GET", "/rest/v1/rpc/whoami", key=USER, headers={"cookie": "a=b; c=d", "x-shelf": "3"}
    ).json()  # fmt: skip
    assert (answer["role"], answer["session"]) == ("web_user", "authenticator")
    assert answer["claims"] == {"role": "web_user", "sub": "ada"}
    assert (answer["method"], answer["path"]) == ("GET", "/rpc/whoami")
    assert (answer["headers"]["x-shelf"], answer["headers"]["authorization"]) == ("3", f"Bearer {USER}")
    assert "cookie" not in answer["headers"]
    assert answer["cookies"] == {"a": "b", "c": "d"}
    assert (answer["greeting"], answer["checked"]) == ("hello", "web_user")
    assert answer["search_path"] == '"api","public"'


def test_isolation_of_a_role(byo: Server) -> None:
    """A role's default_transaction_isolation is its transactions', and no other role's."""
    assert byo.request("GET", "/rest/v1/rpc/whoami", key=sign({"role": "web_serial"})).json()["isolation"] == "serializable"
    assert byo.request("GET", "/rest/v1/rpc/whoami", key=USER).json()["isolation"] == "read committed"


def test_a_write_and_its_rollback(byo: Server) -> None:
    """Writes commit; a read cannot write (405)."""
    made = byo.request(
        "POST", "/rest/v1/loans?select=book_id,member", key=USER, json={"book_id": 1, "member": "ada"},
        headers={"prefer": "return=representation"},
    )  # fmt: skip
    assert (made.status_code, made.text) == (201, '[{"book_id":1,"member":"ada"}]')
    gone = byo.request("DELETE", "/rest/v1/loans?member=eq.ada", key=USER)
    assert (gone.status_code, gone.content) == (204, b"")


def test_openapi_follows_privileges(byo: Server) -> None:
    """The root document shows what the caller's role may use, and only that."""
    anonymous, user = (byo.request("GET", "/rest/v1/", key=key) for key in (None, USER))
    assert anonymous.headers["content-type"] == "application/openapi+json; charset=utf-8"
    assert {"/books", "/authors", "/book_list"} <= set(anonymous.json()["paths"])
    assert not {"/loans", "/diaries", "/rpc/members_only"} & set(anonymous.json()["paths"])
    assert {"/loans", "/diaries", "/rpc/members_only"} <= set(user.json()["paths"])

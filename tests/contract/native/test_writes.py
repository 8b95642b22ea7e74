"""contract-native 2.5, writing: insert, upsert, update, delete, by filter and by id, bulk, and what each refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.case import ANY, EMPTY, Case
from tests.contract.native.runner import check_native
from tests.support.server import Server

T = "/api/v1/tables"
JSON = {"content-type": "application/json; charset=utf-8"}
FIVE = {"id": 5, "name": "Egg"}


def write(method: str, sentence: str, path: str, body: Any, status: int, wanted: Any = ANY, prefer: str | None = None, **more: Any) -> Case:
    """A request that changes something. ``body`` None sends none."""
    head = f"{method} {T}/{path}" + (f"\nPrefer: {prefer}" if prefer else "")
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    return Case("2.5", sentence, f"{head}\n\n{text}", status, body=wanted, **more)


def counted(number: int) -> dict[str, str | None]:
    """The headers of a change."""
    return {"x-affected-count": str(number), "content-range": f"*/{number}"}


def left(path: str, rows: Any) -> tuple[str, Any]:
    """What the service role reads afterwards."""
    return (f"GET {T}/{path}", rows)


ONE = "insert one: 201 and the row"
MANY = "insert many: 201, array, X-Affected-Count, Content-Range */n"
SHORT = "insert: return=minimal, return=headers-only"
UPDATE = "update by filter: 200 and the rows"
DELETE = "delete by filter: 200, affected and records"
NO_FILTER = "delete without a filter: 400"
UPDATE_ID = "update by id: 200; no row 403, 401 for anon"
DELETE_ID = "delete by id: 204; no row 403"
UPSERT = "Prefer: resolution=merge-duplicates, ignore-duplicates"
BAD = "not null, check, bad type: 400"
BATCH = "at most 1000 rows in a batch"
BULK = "bulk: POST, PATCH, DELETE"
VIEW = "a view written: 405"
ALL_SHOPS = [{"id": 1, "name": "North"}, {"id": 2, "name": "South"}]
UNCHANGED = left("shops?order=id", ALL_SHOPS)

CASES = (
    write("POST", ONE, "shops", {"id": 5, "name": "East"}, 201, {"id": 5, "name": "East"}, headers={**JSON, "x-affected-count": None}),
    write("POST", ONE, "public/shops", {"id": 5, "name": "East"}, 201, {"id": 5, "name": "East"}),
    write("POST", ONE, "items?select=id,kind", FIVE, 201, {"id": 5, "kind": "thing"}),
    write("POST", ONE, "archive/items", {"id": 9}, 201, {"id": 9, "name": None}, then=left("archive/items/9", {"id": 9, "name": None})),
    write("POST", ONE, "items", {**FIVE, "tags": ["a"], "data": {"b": [1]}, "embedding": [0.5, 0.5]}, 201,
          then=left("items/5?select=tags,data,embedding", {"tags": ["a"], "data": {"b": [1]}, "embedding": "[0.5,0.5]"})),
    write("POST", MANY, "shops", [{"id": 5, "name": "East"}, {"id": 6, "name": "West"}], 201,
          [{"id": 5, "name": "East"}, {"id": 6, "name": "West"}], headers={**JSON, **counted(2)}),
    write("POST", MANY, "shops", [], 201, [], headers=counted(0)),
    write("POST", MANY, "items?select=id,price", [{"id": 5, "name": "E"}, {"id": 6, "name": "F", "price": 2}], 201,
          [{"id": 5, "price": None}, {"id": 6, "price": 2}]),
    write("POST", SHORT, "shops", [{"id": 5, "name": "East"}], 201, EMPTY, "return=minimal", headers=counted(1)),
    write("POST", SHORT, "shops", [{"id": 5, "name": "E"}, {"id": 6, "name": "W"}], 201, {"affected": 2}, "return=headers-only",
          headers=counted(2)),
    write("POST", SHORT, "shops", {"id": 5, "name": "East"}, 201, EMPTY, "return=minimal",
          then=left("shops/5", {"id": 5, "name": "East"})),
    write("PATCH", UPDATE, "shops?id=gte.1&select=id,name", {"name": "X"}, 200, [{"id": 1, "name": "X"}, {"id": 2, "name": "X"}],
          headers=counted(2)),
    write("PATCH", UPDATE, "shops?id=eq.9", {"name": "X"}, 200, [], headers=counted(0)),
    write("PATCH", UPDATE, "shops?id=eq.1", {"name": "X"}, 200, EMPTY, "return=minimal", headers=counted(1)),
    write("PATCH", UPDATE, "shops?id=eq.1", {"name": "X"}, 200, {"affected": 1}, "return=headers-only"),
    write("PATCH", UPDATE, "shops?or=(id.eq.1,name.eq.South)", {"name": "X"}, 200, headers=counted(2)),
    write("PATCH", UPDATE, "shops?id=eq.1", [{"name": "X"}], 400, ("error", "INVALID_REQUEST_BODY"), then=UNCHANGED),
    write("PATCH", UPDATE, "shops?id=gt.0&limit=1", {"name": "X"}, 400, ("error", "INVALID_INPUT"), then=UNCHANGED),
    write("DELETE", DELETE, "items?id=eq.4&select=id,name", None, 200, {"affected": 1, "records": [{"id": 4, "name": "Drum"}]},
          headers={**JSON, **counted(1)}),
    write("DELETE", DELETE, "items?id=eq.9", None, 200, {"affected": 0, "records": []}),
    write("DELETE", DELETE, "items?id=eq.4", None, 200, EMPTY, "return=minimal", headers=counted(1)),
    write("DELETE", DELETE, "items?id=eq.4", None, 200, {"affected": 1}, "return=headers-only"),
    write("DELETE", NO_FILTER, "shops", None, 400, ("error", "INVALID_INPUT"), then=UNCHANGED),
    write("DELETE", NO_FILTER, "shops?order=id", None, 400, ("error", "INVALID_INPUT"), then=UNCHANGED),
    write("PATCH", NO_FILTER, "shops", {"name": "X"}, 400, ("error", "INVALID_INPUT"), then=UNCHANGED),
    write("DELETE", "unknown parameters without a dot are ignored", "shops?id=1&name=eq.North", None, 400, ("error", "INVALID_INPUT"),
          then=UNCHANGED),
    write("DELETE", "unknown parameters without a dot are ignored", "shops?ident=1&name=eq.North", None, 400, ("error", "INVALID_INPUT"),
          then=UNCHANGED),
    write("PATCH", UPDATE_ID, "public/shops/1", {"name": "X"}, 200, {"id": 1, "name": "X"}, headers=JSON),
    write("PUT", UPDATE_ID, "public/shops/1", {"name": "X"}, 200, {"id": 1, "name": "X"}, then=left("shops/1", {"id": 1, "name": "X"})),
    write("PATCH", UPDATE_ID, "shops/1", {"name": "X"}, 200, {"id": 1, "name": "X"}),
    write("PATCH", UPDATE_ID, "shops/1", {}, 200, {"id": 1, "name": "North"}),
    write("PATCH", UPDATE_ID, "shops/9", {"name": "X"}, 403, ("error", "RLS_POLICY_VIOLATION"), key="user"),
    write("PATCH", UPDATE_ID, "shops/9", {"name": "X"}, 401, ("error", "RLS_POLICY_VIOLATION")),
    write("PATCH", UPDATE_ID, "notes/1", {"text": "X"}, 200, {"id": 1, "owner": "00000000-0000-0000-0000-0000000000aa", "text": "X"}, key="user"),
    write("PATCH", UPDATE_ID, "notes/2", {"text": "X"}, 403, ("error", "RLS_POLICY_VIOLATION"), key="user",
          then=left("notes/2?select=text", {"text": "theirs"})),
    write("PATCH", UPDATE_ID, "notes/2", {"text": "X"}, 401, ("error", "RLS_POLICY_VIOLATION"), key="anon"),
    write("DELETE", DELETE_ID, "public/items/4", None, 204, EMPTY, then=left("items?id=eq.4", [])),
    write("DELETE", DELETE_ID, "items/9", None, 403, ("error", "RLS_POLICY_VIOLATION"), key="user"),
    write("DELETE", DELETE_ID, "items/9", None, 401, ("error", "RLS_POLICY_VIOLATION")),
    write("DELETE", DELETE_ID, "notes/2", None, 403, ("error", "RLS_POLICY_VIOLATION"), key="user",
          then=left("notes/2?select=id", {"id": 2})),
    write("POST", "unknown column: 400", "shops", {"id": 5, "nope": 1}, 400, ("error", "INVALID_INPUT")),
    write("PATCH", "unknown column: 400", "shops?id=eq.1", {"nope": 1}, 400, ("error", "INVALID_INPUT")),
    write("POST", "unknown table: 404", "nope", {"id": 5}, 404, ("error", "NOT_FOUND")),
    write("POST", VIEW, "item_names", FIVE, 405, ("error", "INVALID_INPUT"), headers={"allow": "GET, HEAD"}),
    write("PATCH", VIEW, "item_names?id=eq.1", {"name": "X"}, 405, ("error", "INVALID_INPUT")),
    write("DELETE", VIEW, "item_names?id=eq.1", None, 405, ("error", "INVALID_INPUT")),
    write("POST", "duplicate: 409 DUPLICATE_KEY", "shops", {"id": 1, "name": "X"}, 409, ("error", "DUPLICATE_KEY"), then=UNCHANGED),
    write("POST", "foreign key: 409", "items", {**FIVE, "shop_id": 99}, 409, ("error", "FOREIGN_KEY_VIOLATION")),
    write("DELETE", "foreign key: 409", "shops?id=eq.1", None, 409, ("error", "FOREIGN_KEY_VIOLATION"), then=UNCHANGED),
    write("POST", BAD, "shops", {"id": 5}, 400, ("error", "NOT_NULL_VIOLATION")),
    write("POST", BAD, "items", {"id": 5, "name": "x" * 50}, 400, ("error", "CHECK_VIOLATION")),
    write("POST", BAD, "shops", {"id": "five", "name": "X"}, 400, ("error", "INVALID_FORMAT")),
    write("POST", BAD, "shops", "{nope", 400, ("error", "INVALID_REQUEST_BODY")),
    write("POST", BAD, "shops", "5", 400, ("error", "INVALID_REQUEST_BODY")),
    write("POST", UPSERT, "shops", {"id": 1, "name": "X"}, 201, {"id": 1, "name": "X"}, "resolution=merge-duplicates"),
    write("POST", UPSERT, "shops", [{"id": 1, "name": "X"}, {"id": 5, "name": "Y"}], 201, [{"id": 1, "name": "X"}, {"id": 5, "name": "Y"}],
          "resolution=merge-duplicates", headers=counted(2)),
    write("POST", UPSERT, "shops", {"id": 1, "name": "X"}, 201, None, "resolution=ignore-duplicates", then=UNCHANGED),
    write("POST", UPSERT, "shops", [{"id": 1, "name": "X"}, {"id": 5, "name": "Y"}], 201, [{"id": 5, "name": "Y"}],
          "resolution=ignore-duplicates", headers=counted(1)),
    write("POST", "on_conflict", "items?on_conflict=code&select=id,name", {"id": 9, "name": "New", "code": "a1"}, 201, {"id": 9, "name": "New"},
          "resolution=merge-duplicates"),
    write("POST", "on_conflict", "items?on_conflict=nope", {"id": 9, "name": "New"}, 400, ("error", "INVALID_INPUT"), "resolution=merge-duplicates"),
    write("POST", "Prefer: missing=default", "items?select=id,kind", [FIVE, {"id": 6, "name": "F", "kind": "toy"}], 201,
          [{"id": 5, "kind": "thing"}, {"id": 6, "kind": "toy"}], "missing=default"),
    write("POST", BATCH, "shops", [{"id": n, "name": "n"} for n in range(10, 1010)], 201, ANY, "return=minimal", headers=counted(1000)),
    write("POST", BATCH, "shops", [{"id": n, "name": "n"} for n in range(10, 1011)], 400, ("error", "VALIDATION_FAILED"), then=UNCHANGED),
    write("POST", BULK, "shops/bulk", [{"id": 5, "name": "East"}], 201, [{"id": 5, "name": "East"}], headers=counted(1)),
    write("POST", BULK, "public/shops/bulk", {"id": 5, "name": "East"}, 400, ("error", "INVALID_REQUEST_BODY"), then=UNCHANGED),
    write("PATCH", BULK, "shops/bulk", [{"id": 1, "name": "X"}, {"id": 2, "name": "Y"}, {"id": 9, "name": "Z"}], 200,
          [{"id": 1, "name": "X"}, {"id": 2, "name": "Y"}], headers=counted(2)),
    write("PATCH", BULK, "shops/bulk?id=eq.2", {"name": "Y"}, 200, [{"id": 2, "name": "Y"}]),
    write("PATCH", BULK, "shops/bulk", [{"name": "X"}], 400, ("error", "INVALID_INPUT"), then=UNCHANGED),
    write("DELETE", BULK, "items/bulk?select=id", {"ids": [1, 2]}, 200, {"affected": 2, "records": [{"id": 1}, {"id": 2}]}),
    write("DELETE", BULK, "items/bulk?select=id", [4, 77], 200, {"affected": 1, "records": [{"id": 4}]}),
    write("DELETE", BULK, "items/bulk", None, 400, ("error", "INVALID_INPUT")),
    write("DELETE", BULK, "items/bulk", {"ids": []}, 400, ("error", "INVALID_INPUT")),
    write("DELETE", BULK, "items/bulk", {"ids": list(range(1001))}, 400, ("error", "VALIDATION_FAILED")),
    write("PUT", "update by id: 200; no row 403, 401 for anon", "shops", {"id": 1}, 405, ("error", "INVALID_INPUT")),
    write("POST", "update by id: 200; no row 403, 401 for anon", "shops/1", {"id": 1}, 405, ("error", "INVALID_INPUT")),
    Case("2.5", "tables: a credential is required", f'POST {T}/shops\n\n{{"id":5,"name":"E"}}', 401, body=("error", "MISSING_AUTHENTICATION"),
         key="none", then=UNCHANGED),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_write(native: Server, case: Case) -> None:
    """The literal request has the literal answer, and the table is as it says afterwards."""
    check_native(native, case)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_planned_again_keeps_its_filter(native: Server, method: str) -> None:
    """After DDL the first request is planned twice; the second plan has the filter of the first."""
    native.sql("create table twice (id int primary key, n int); create policy a on twice using (true) with check (true)")
    try:
        native.sql("insert into twice values (1, 1), (2, 2), (3, 3)")
        native.request("GET", f"{T}/twice")
        native.sql("alter table twice add column more int")
        answer = native.request(method, f"{T}/twice?id=eq.1&n=lt.3", json={"n": 9} if method == "PATCH" else None)
        assert (answer.status_code, answer.headers["x-affected-count"]) == (200, "1"), answer.text
        assert native.sql("select n from twice where id > 1 order by id") == [(2,), (3,)]
    finally:
        native.sql("drop table twice")

"""contract-native 2.5, reading: select, filters, operators, order, pages, counts, groups, and the body of ``…/query``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.case import ANY, Case
from tests.contract.native.runner import check_native, encoded
from tests.support.server import Server

T = "/api/v1/tables"


def get(sentence: str, path: str, body: Any = ANY, status: int = 200, **more: Any) -> Case:
    """A GET of the tables' surface."""
    return Case("2.5", sentence, f"GET {T}/{encoded(path)}", status, body=body, **more)


def ids(*wanted: int) -> list[dict[str, int]]:
    """Rows of ``select=id``."""
    return [{"id": each} for each in wanted]


def refused(sentence: str, path: str, code: str = "INVALID_INPUT", status: int = 400) -> Case:
    """A request that is refused; the error shape is checked by the runner below."""
    return Case(
        "2.5", sentence, f"GET {T}/{encoded(path)}", status, {"content-type": "application/json; charset=utf-8"}, body=("error", code)
    )


COLUMNS = "select: columns and *"
AGGREGATES = "select: count(*), sum(c), avg(c), min(c), max(c)"
EMBED = "select: embedding"
NEW = "filter: <column>=<op>.<value>"
OLD = "filter: the old form <column>.<op>=<value>"
PATH = "filter: JSON path"
ANDED = "filter: repeated keys are ANDed"
TREE = "and= with nested trees"
ORDER = "order: direction and nulls"
VECTOR_ORDER = "order: by vector distance"
PAGE = "limit and offset, capped"
COUNT = "count: exact, planned, estimated in Content-Range"
CURSOR = "cursor and cursor_column"
IGNORED = "unknown parameters without a dot are ignored"
COMPARE = "operators: eq, neq, gt, gte, lt, lte"
LIKE = "operators: like, ilike"
IN = "operators: in, nin with (a,b) or a JSON array"
IS = "operators: is, isnot"
CONTAIN = "operators: cs, cd, ov"
RANGE = "operators: sl, sr, adj, nxr, nxl"
TEXT = "operators: fts, plfts, wfts"
NOT = "operators: not."
VECTOR = "operators: vec_l2, vec_cos, vec_ip"
BETWEEN = "between: two filters or an or="
SEGMENTS = "tables: two segments are schema and table, else table and id"

QUERY_CASES = (
    get(COLUMNS, "shops?order=id", [{"id": 1, "name": "North"}, {"id": 2, "name": "South"}]),
    get(COLUMNS, "shops?select=*&id=eq.1", [{"id": 1, "name": "North"}]),
    get(COLUMNS, "shops?select=name&id=eq.1", [{"name": "North"}]),
    refused(COLUMNS, "shops?select=id,nope"),
    get(AGGREGATES, "items?select=count(*)", [{"count": 4}]),
    get(AGGREGATES, "items?select=count(*),sum(price),avg(price),min(price),max(price)",
        [{"count": 4, "sum_price": 35.5, "avg_price": 11.8333333333333333, "min_price": 5.5, "max_price": 20}], key="user"),
    get(AGGREGATES, "items?select=count(price)", [{"count": 3}], key="user"),
    get(AGGREGATES, "items?select=count(*),count(price)", [{"count": 4, "count_price": 3}], key="user"),
    get(AGGREGATES, "items?select=total:sum(price)", [{"total": 35.5}], key="user"),
    refused(AGGREGATES, "items?select=sum(price)"),
    refused(AGGREGATES, "items?select=sum(*)"),
    get("count is a number and aggregates are named count, sum_<c> …", "items?select=count(*)&sold=is.false", [{"count": 2}]),
    get(EMBED, "items?select=id,shops(name)&id=eq.1", [{"id": 1, "shops": {"name": "North"}}]),
    get(EMBED, "shops?select=id,items(id)&items.price=gt.15&id=eq.1", [{"id": 1, "items": [{"id": 2}]}]),
    get(NEW, "items?select=id&id=eq.2", ids(2)),
    get(NEW, "items?select=id&name=eq.Axe", ids(1)),
    refused(NEW, "items?price=1.5"),
    refused(NEW, "items?id=nope.1"),
    get(OLD, "items?select=id&price.gt=10", ids(2)),
    get(OLD, "items?select=id&id.in=(1,2)&order=id", ids(1, 2)),
    get(OLD, "items?select=id&id.not.eq=1&order=id", ids(2, 3, 4)),
    get(PATH, "items?select=id&data->size->cm->0=eq.7", ids(2)),
    get(PATH, "items?select=id&data->size->cm->>1=eq.5", ids(1)),
    get(PATH, "items?select=id&data->>on=eq.true", ids(1)),
    get(ANDED, "items?select=id&price=gte.5.5&price=lt.20&order=id", ids(1, 3)),
    get("or=", "items?select=id&or=(id.eq.1,price.gt.15)&order=id", ids(1, 2)),
    get("or=", "items?select=id&or=(id.nin.(1,2,3),price.isnot.null)&order=id", ids(1, 2, 3, 4)),
    refused("or=", "items?or=(id.eq.1"),
    get(TREE, "items?select=id&and=(or(price.lt.6,price.gt.15),or(kind.eq.tool,kind.eq.toy))&order=id", ids(2, 3)),
    get(TREE, "items?select=id&and=(price.gt.5,price.lt.15)&order=id", ids(1, 3)),
    get(TREE, 'items?select=id&or=(name.eq."A,(x",and(not.or(id.gt.1),id.in.(1,2)))', ids(1)),
    get(ORDER, "items?select=id&order=price.desc.nullslast,id", ids(2, 1, 3, 4)),
    get(ORDER, "items?select=id&order=price.asc.nullsfirst", ids(4, 3, 1, 2)),
    get(ORDER, "items?select=id&order=kind.asc,id.desc", ids(3, 1, 4, 2)),
    refused(ORDER, "items?order=price.upwards"),
    get(VECTOR_ORDER, "items?select=id&order=embedding.vec_cos.[1,0].asc&limit=2", ids(1, 3)),
    get(VECTOR_ORDER, "items?select=id&order=embedding.vec_l2.[0,1].asc&limit=2", ids(2, 3)),
    get(VECTOR_ORDER, "items?select=id&order=embedding.vec_ip.[0,1].desc.nullslast,id&limit=3", ids(1, 3, 2)),
    refused(VECTOR_ORDER, "items?order=embedding.vec_cos.[1,x].asc"),
    refused(VECTOR_ORDER, "items?order=embedding.vec_cos.[1,2,3].asc"),
    get(PAGE, "items?select=id&order=id&limit=2&offset=1", ids(2, 3)),
    get(PAGE, "items?select=id&order=id&limit=5000", ids(1, 2, 3, 4)),
    get(PAGE, "items?select=id&offset=9000&limit=1000", []),
    refused(PAGE, "items?select=id&offset=9001&limit=1000"),
    refused(PAGE, "items?offset=10001"),
    get(PAGE, "items?select=id&offset=20000&limit=1", [], key="service"),
    refused(PAGE, "items?limit=-1"),
    refused(PAGE, "items?limit=ten"),
    get(COUNT, "items?select=id&count=exact&limit=2&order=id", ids(1, 2), headers={"content-range": "0-1/4"}),
    get(COUNT, "items?select=id&count=exact&offset=2&order=id", ids(3, 4), headers={"content-range": "2-3/4"}),
    get(COUNT, "items?select=id&count=exact&id=eq.9", [], headers={"content-range": "*/0"}),
    get(COUNT, "items?select=id&count=exact&offset=9", [], headers={"content-range": "*/4"}),
    get(COUNT, "items?select=id&id=eq.1", ids(1), headers={"content-range": None}),
    refused(COUNT, "items?count=many"),
    get("group_by", "items?select=kind,count(*)&group_by=kind&order=kind", [{"kind": "tool", "count": 2}, {"kind": "toy", "count": 2}],
        key="user"),
    get("group_by", "items?select=count(*),sum(price)&group_by=kind&order=sum_price.desc",
        [{"kind": "toy", "count": 2, "sum_price": 20}, {"kind": "tool", "count": 2, "sum_price": 15.5}], key="user"),
    get("group_by", "items?group_by=kind&order=kind", [{"kind": "tool"}, {"kind": "toy"}]),
    get("group_by", "items?select=*&group_by=kind,sold&order=kind,sold.desc.nullslast&limit=1", [{"kind": "tool", "sold": True}]),
    refused("group_by", "items?select=name,count(*)&group_by=kind"),
    refused("group_by", "items?group_by=nope"),
    get(CURSOR, "items?select=id&cursor_column=id&limit=2", ids(1, 2), headers={"x-next-cursor": "eyJjIjoiaWQiLCJ2IjoyLCJrIjpudWxsfQ"}),
    get(CURSOR, "items?select=id&cursor_column=id&limit=2&cursor=eyJjIjoiaWQiLCJ2IjoyLCJrIjpudWxsfQ", ids(3, 4)),
    get(CURSOR, "items?select=id&cursor_column=id&cursor=Mw==", ids(4)),
    get(CURSOR, "items?select=id&cursor=Mw&order=id.desc", ids(2, 1)),
    get(CURSOR, "items?select=id,kind&cursor_column=kind&limit=3", ANY, headers={"x-next-cursor": "eyJjIjoia2luZCIsInYiOiJ0b3kiLCJrIjoyfQ"}),
    get(CURSOR, "items?select=id,kind&cursor_column=kind&limit=3&cursor=eyJjIjoia2luZCIsInYiOiJ0b3kiLCJrIjoyfQ", [{"id": 4, "kind": "toy"}]),
    refused(CURSOR, "items?cursor=%21%21"),
    refused(CURSOR, "items?cursor_column=nope"),
    refused(CURSOR, "items?cursor_column=id&order=name"),
    refused(CURSOR, "pairs?cursor_column=a"),
    get("truncate", "items?select=id,name,data&truncate=2&id=eq.1", [{"id": 1, "name": "Ax", "data": {"size": {"cm": [30, 5]}, "on": True}}]),
    get("truncate", "shops?truncate=1&id=eq.1", [{"id": 1, "name": "N"}]),
    get(IGNORED, "items?select=id&id=eq.1&_=123&utm=x", ids(1)),
    get(COMPARE, "items?select=id&id=neq.1&order=id", ids(2, 3, 4)),
    get(COMPARE, "items?select=id&price=gt.10", ids(2)),
    get(COMPARE, "items?select=id&price=gte.10&order=id", ids(1, 2)),
    get(COMPARE, "items?select=id&price=lt.10", ids(3)),
    get(COMPARE, "items?select=id&price=lte.10&order=id", ids(1, 3)),
    refused(COMPARE, "items?id=eq.abc", "INVALID_FORMAT"),
    get(LIKE, "items?select=id&name=like.A%25", ids(1)),
    get(LIKE, "items?select=id&name=ilike.%25ELL", ids(2)),
    get(LIKE, "items?select=id&name=like.A*", []),
    get(IN, "items?select=id&id=in.(1,3)&order=id", ids(1, 3)),
    get(IN, 'items?select=id&name=in.["Axe","Cup"]&order=id', ids(1, 3)),
    get(IN, "items?select=id&id=nin.(1,3)&order=id", ids(2, 4)),
    get(IN, 'items?select=id&name=in.("Axe","x,y")', ids(1)),
    get(IN, "items?select=id&id=in.()", []),
    refused(IN, "items?id=in.1"),
    get(IS, "items?select=id&price=is.null", ids(4)),
    get(IS, "items?select=id&sold=is.true", ids(1)),
    get(IS, "items?select=id&sold=is.false&order=id", ids(2, 4)),
    get(IS, "items?select=id&price=isnot.null&order=id", ids(1, 2, 3)),
    refused(IS, "items?sold=is.unknown"),
    get(CONTAIN, "items?select=id&tags=cs.(iron)&order=id", ids(1, 2)),
    get(CONTAIN, 'items?select=id&tags=cs.["iron","wood"]', ids(1)),
    get(CONTAIN, "items?select=id&tags=cd.{iron,clay}&order=id", ids(2, 3)),
    get(CONTAIN, "items?select=id&tags=ov.(wood,clay)&order=id", ids(1, 3)),
    get(CONTAIN, 'items?select=id&data=cs.{"on":true}', ids(1)),
    get(CONTAIN, "items?select=id&data->size->cm=cs.[7]", ids(2)),
    get(CONTAIN, "items?select=id&shown=ov.[4,6)&order=id", ids(1, 2)),
    get(RANGE, "items?select=id&shown=sl.[6,7)", ids(1)),
    get(RANGE, "items?select=id&shown=sr.[6,10)", ids(3)),
    get(RANGE, "items?select=id&shown=adj.[9,11)", ids(2)),
    get(RANGE, "items?select=id&shown=nxr.[1,9)&order=id", ids(1, 2)),
    get(RANGE, "items?select=id&shown=nxl.[5,6)&order=id", ids(2, 3)),
    get(TEXT, "items?select=id&words=fts.iron axe".replace(" ", "%20"), ids(1)),
    get(TEXT, "items?select=id&words=plfts.loud%20bell", ids(2)),
    get(TEXT, "items?select=id&words=wfts.clay%20or%20bell&order=id", ids(2, 3)),
    get(TEXT, "items?select=id&name=fts.axe", ids(1)),
    get(NOT, "items?select=id&id=not.eq.1&order=id", ids(2, 3, 4)),
    get(NOT, "items?select=id&id=not.in.(1,2)&order=id", ids(3, 4)),
    get(NOT, "items?select=id&price=not.isnot.null", ids(4)),
    get(VECTOR, "items?select=id&embedding=vec_cos.0.3,[1,0]", ids(1)),
    get(VECTOR, "items?select=id&embedding=vec_l2.0.7,[0,1]&order=id", ids(2, 3)),
    get(VECTOR, "items?select=id&embedding=vec_ip.-0.7,[0,1]&order=id", ids(2, 3)),
    get(VECTOR, "items?select=id&or=(id.eq.4,embedding.vec_cos.0.01,[1,0])", ANY, 400),
    refused(VECTOR, "items?embedding=vec_cos.[1,0]"),
    refused(VECTOR, "items?name=vec_cos.1,[1,0]"),
    get(BETWEEN, "items?select=id&price=gte.6&price=lte.20&order=id", ids(1, 2)),
    get(BETWEEN, "items?select=id&or=(price.lt.6,price.gt.15)&order=id", ids(2, 3)),
    get(BETWEEN, "items?select=id&price=between.(6,20)&order=id", ids(1, 2)),
    get(BETWEEN, "items?select=id&price=not.between.6,15&order=id", ids(2, 3)),
    get("list: 200 and an array", "items?select=id&id=eq.9", [], headers={"content-type": "application/json; charset=utf-8"}),
    get("get by id: 200 or 404", "public/shops/1", {"id": 1, "name": "North"}),
    get("get by id: 200 or 404", "public/shops/1?select=name", {"name": "North"}),
    refused("get by id: 200 or 404", "public/shops/9", "NOT_FOUND", 404),
    refused("get by id: 200 or 404", "public/pairs/1"),
    get(SEGMENTS, "shops/2", {"id": 2, "name": "South"}),
    get(SEGMENTS, "public/shops?select=id&order=id", ids(1, 2)),
    get(SEGMENTS, "archive/items?select=name&id=eq.1", [{"name": "Old axe"}]),
    get(SEGMENTS, "archive/items/2", {"id": 2, "name": "Old bell"}),
    refused(SEGMENTS, "auth/sessions", "NOT_FOUND", 404),
    refused(SEGMENTS, "pg_catalog/pg_class/1", "NOT_FOUND", 404),
    refused("unknown column: 400", "items?nope=eq.1"),
    refused("unknown table: 404", "nope", "NOT_FOUND", 404),
    get("export: CSV and JSON", "shops/export?format=csv&order=id", b"id,name\n1,North\n2,South",
        headers={"content-type": "text/csv; charset=utf-8", "content-disposition": "attachment; filename*=UTF-8''shops.csv"}),
    get("export: CSV and JSON", "archive/items/export?select=id&id=lte.1", ids(1),
        headers={"content-disposition": "attachment; filename*=UTF-8''items.json"}),
    refused("export: CSV and JSON", "shops/export?format=xml"),
    Case("2.5", "tables: a credential is required", f"GET {T}/shops", 401, body=("error", "MISSING_AUTHENTICATION"), key="none"),
    Case("2.5", "errors: one shape, error is a sentence", "GET /api/v1/nowhere", 404, body=("error", "NOT_FOUND")),
)  # fmt: skip


@pytest.mark.parametrize("case", QUERY_CASES, ids=str)
def test_query_string(native: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check_native(native, case)


def query(sentence: str, body: dict[str, Any], wanted: Any = ANY, status: int = 200, table: str = "items", **more: Any) -> Case:
    """A ``POST …/query``."""
    return Case("2.5", sentence, f"POST {T}/{table}/query\n\n{json.dumps(body)}", status, body=wanted, **more)


def filters(*items: tuple[str, str, Any]) -> list[dict[str, Any]]:
    """The member ``filters``."""
    return [{"column": column, "operator": operator, "value": value} for column, operator, value in items]


MEMBERS = "POST query: select, filters, order, limit, offset, count"
BY_ID = [{"column": "id", "direction": "asc"}]
BODY_CASES = (
    query(MEMBERS, {"select": "id", "filters": filters(("kind", "eq", "tool")), "order": BY_ID}, ids(1, 3)),
    query(MEMBERS, {"select": "id", "filters": filters(("id", "in", [1, 2])), "order": [{"column": "id", "direction": "desc"}]}, ids(2, 1)),
    query(MEMBERS, {"select": "id", "filters": filters(("sold", "is", None))}, ids(3)),
    query(MEMBERS, {"select": "id", "filters": filters(("sold", "eq", False), ("price", "not.is", None))}, ids(2)),
    query(MEMBERS, {"select": "id", "filters": filters(("name", "in", ["Axe", 'a",b\\']))}, ids(1)),
    query(MEMBERS, {"select": "id", "filters": filters(("tags", "cs", ["iron", "wood"]))}, ids(1)),
    query(MEMBERS, {"select": "id", "filters": filters(("data", "cs", {"on": True}))}, ids(1)),
    query(MEMBERS, {"select": "id", "filters": filters(("data->size->cm->>0", "eq", 7))}, ids(2)),
    query(MEMBERS, {"select": "id", "filters": filters(("price", "between", [6, 20])), "order": BY_ID}, ids(1, 2)),
    query(MEMBERS, {"select": "id", "limit": 2, "offset": 1, "count": "exact", "order": BY_ID}, ids(2, 3),
          headers={"content-range": "1-2/4", "content-type": "application/json; charset=utf-8"}),
    query(MEMBERS, {"select": "id", "order": [{"column": "price", "direction": "desc", "nulls": "first"}]}, ids(4, 2, 1, 3)),
    query(MEMBERS, {"select": "id", "filters": filters(("id", "eq", 2))}, ids(2), table="archive/items"),
    query(MEMBERS, {"limit": 9001, "offset": 1000}, ("error", "INVALID_INPUT"), 400),
    query(MEMBERS, {"filters": "id"}, ("error", "INVALID_REQUEST_BODY"), 400),
    query(MEMBERS, {"filters": [{"column": 5, "operator": "eq", "value": 1}]}, ("error", "INVALID_REQUEST_BODY"), 400),
    query(MEMBERS, {"filters": filters(("nope", "eq", 1))}, ("error", "INVALID_INPUT"), 400),
    Case("2.5", MEMBERS, f"POST {T}/items/query\n\n[]", 400, body=("error", "INVALID_REQUEST_BODY")),
    query("POST query: orFilters, andFilters", {"select": "id", "orFilters": ["id.eq.1,price.gt.15"], "order": BY_ID}, ids(1, 2)),
    query("POST query: orFilters, andFilters", {"select": "id", "orFilters": ["(id.eq.1,id.eq.2)"], "andFilters": ["(price.gt.10)"]}, ids(2)),
    query("POST query: betweenFilters", {"select": "id", "betweenFilters": [{"column": "price", "min": 6, "max": 20}], "order": BY_ID}, ids(1, 2)),
    query("POST query: betweenFilters", {"select": "id", "betweenFilters": [{"column": "price", "min": 6, "max": 15, "negated": True}],
                                         "order": BY_ID}, ids(2, 3)),
    query("POST query: betweenFilters", {"betweenFilters": [{"column": "price"}]}, ("error", "INVALID_REQUEST_BODY"), 400),
    query("POST query: groupBy", {"select": "kind, count(*)", "groupBy": ["kind"], "order": [{"column": "kind", "direction": "asc"}]},
          [{"kind": "tool", "count": 2}, {"kind": "toy", "count": 2}], key="user"),
    query("POST query: vectorOp and vectorValue",
          {"select": "id", "limit": 2, "order": [{"column": "embedding", "direction": "asc", "vectorOp": "vec_cos", "vectorValue": [1, 0]}]},
          ids(1, 3)),
    query("POST query: vectorOp and vectorValue",
          {"select": "id", "limit": 1, "order": [{"column": "embedding", "direction": "asc", "vectorOp": "vec_l2", "vectorValue": "[0,1]"}]},
          ids(2)),
    query("POST query: vectorOp and vectorValue",
          {"order": [{"column": "embedding", "direction": "asc", "vectorOp": "<=>", "vectorValue": [1, 0]}]}, ("error", "INVALID_INPUT"), 400),
)  # fmt: skip


@pytest.mark.parametrize("case", BODY_CASES, ids=str)
def test_query_body(native: Server, case: Case) -> None:
    """The literal body has the literal answer."""
    check_native(native, case)

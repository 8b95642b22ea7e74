"""The unmodified PyPI package ``supabase`` against the started program."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from postgrest.exceptions import APIError
from postgrest.types import CountMethod
from supabase import Client, ClientOptions, create_client

from tests.clients.conftest import USER
from tests.support.server import Server

Connect = Callable[[str | None], Client]


@pytest.fixture(scope="module")
def connect(library: Server) -> Connect:
    """A client with the anon key, speaking for a token when one is given."""

    def make(token: str | None = None) -> Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return create_client(library.url, library.anon_key, ClientOptions(headers=headers, auto_refresh_token=False, persist_session=False))

    return make


def test_select_filters_and_order(connect: Connect) -> None:
    """Filters, order and limit of supabase-py give the rows that SQL gives."""
    table = connect(None).table("cl_books")
    assert [r["id"] for r in table.select("id").lt("id", 100).gte("price", 12).order("price", desc=True).execute().data] == [5, 2, 4]
    table = connect(None).table("cl_books")
    assert [r["id"] for r in table.select("id").in_("title", ["Notes", "Sums"]).order("id").execute().data] == [1, 5]
    table = connect(None).table("cl_books")
    assert [r["id"] for r in table.select("id").or_("id.eq.1,and(author_id.eq.2,stock.gt.5)").order("id").execute().data] == [1, 3]
    table = connect(None).table("cl_books")
    assert [r["id"] for r in table.select("id").lt("id", 100).is_("translator_id", "null").order("id").limit(2).execute().data] == [2, 4]


def test_contains_and_text_search(connect: Connect) -> None:
    """Array containment, JSON containment and full text search reach PostgreSQL's operators."""
    assert [r["id"] for r in connect(None).table("cl_authors").select("id").contains("languages", ["fr"]).order("id").execute().data] == [
        1,
        2,
    ]
    assert [r["id"] for r in connect(None).table("cl_authors").select("id").contains("facts", {"city": "Paris"}).execute().data] == [2]
    found = connect(None).table("cl_books").select("id").lt("id", 100).text_search("title", "notes").execute()
    assert [r["id"] for r in found.data] == [1]


def test_embeds(connect: Connect) -> None:
    """To-one, to-many and many-to-many embeds come back nested."""
    answer = (
        connect(None).table("cl_books").select("title,author:cl_authors!cl_books_author_fkey(name),cl_genres(id)").eq("id", 2).execute()
    )
    assert answer.data == [{"title": "Sketch", "author": {"name": "Ada"}, "cl_genres": [{"id": 1}]}]


def test_range_and_count(connect: Connect) -> None:
    """range() with an exact count gives the page and the total."""
    page = connect(None).table("cl_books").select("id", count=CountMethod.exact).lt("id", 100).order("id").range(1, 2).execute()
    assert ([r["id"] for r in page.data], page.count) == ([2, 3], 5)


def test_single_and_maybe_single(connect: Connect) -> None:
    """single() raises PGRST116 without a row, maybe_single() gives None."""
    assert connect(None).table("cl_books").select("title").eq("id", 1).single().execute().data == {"title": "Notes"}
    with pytest.raises(APIError) as refused:
        connect(None).table("cl_books").select("title").eq("id", -1).single().execute()
    assert refused.value.code == "PGRST116"
    assert connect(None).table("cl_books").select("title").eq("id", -1).maybe_single().execute() is None


def test_write_round_trip(connect: Connect, user_token: str) -> None:
    """Insert, upsert, update and delete return the rows they wrote."""
    user = connect(user_token)
    row = {"id": 301, "title": "Py", "price": 4, "author_id": 1}
    assert user.table("cl_books").insert(row).execute().data[0]["stock"] == 0
    assert user.table("cl_books").upsert({**row, "title": "Py 2"}).execute().data[0]["title"] == "Py 2"
    assert user.table("cl_books").update({"stock": 8}).eq("id", 301).execute().data[0]["stock"] == 8
    assert [r["id"] for r in user.table("cl_books").delete().eq("id", 301).execute().data] == [301]


def test_insert_many(connect: Connect, user_token: str) -> None:
    """A list of rows is one statement."""
    rows = [{"id": 310 + n, "title": f"n{n}", "price": 1, "author_id": 1} for n in range(3)]
    assert len(connect(user_token).table("cl_books").insert(rows).execute().data) == 3


def test_policies_decide(connect: Connect, user_token: str, other_token: str) -> None:
    """A private row is seen by its owner alone, and nobody is told that it exists."""
    connect(user_token).table("cl_shelves").insert({"id": 50, "label": "py"}).execute()
    seen = [len(connect(token).table("cl_shelves").select("id").eq("id", 50).execute().data) for token in (user_token, other_token, None)]
    assert seen == [1, 0, 0]
    with pytest.raises(APIError) as refused:
        connect(None).table("cl_books").insert({"title": "x", "price": 1, "author_id": 1}).execute()
    assert refused.value.code == "42501"


def test_rpc(connect: Connect, user_token: str) -> None:
    """Functions are called by POST and GET with named arguments and know the caller."""
    assert connect(None).rpc("cl_add", {"a": 2, "b": 40}).execute().data == 42
    assert connect(None).rpc("cl_add", {"a": 2, "b": 40}, get=True).execute().data == 42
    assert connect(user_token).rpc("cl_who", {}).execute().data == USER


@pytest.mark.parametrize(
    ("table", "columns", "code"),
    [("cl_absent", "*", "PGRST205"), ("cl_books", "absent", "42703"), ("cl_books", "id,cl_shelves(id)", "PGRST200")],
)
def test_errors(connect: Connect, table: str, columns: str, code: str) -> None:
    """Errors arrive as APIError with PostgREST's or PostgreSQL's code."""
    with pytest.raises(APIError) as refused:
        connect(None).table(table).select(columns).execute()
    assert refused.value.code == code


def test_aggregates(connect: Connect) -> None:
    """Aggregates group by the other columns."""
    answer = connect(None).table("cl_books").select("author_id,stock.sum()").lt("id", 100).order("author_id").execute()
    assert [row["author_id"] for row in answer.data] == [1, 2, 3]
    assert answer.data[1] == {"author_id": 2, "sum": 10}


def test_csv(connect: Connect) -> None:
    """csv() gives a header and the rows."""
    assert connect(None).table("cl_genres").select("id,name").order("id").csv().execute().data == "id,name\n1,science\n2,prose"


def test_explain(connect: Connect) -> None:
    """explain() gives the statement's plan."""
    assert "cost=" in connect(None).table("cl_books").select("id").explain().execute()


def test_max_affected(connect: Connect, user_token: str) -> None:
    """max_affected() refuses a wider change, and nothing of it is kept."""
    with pytest.raises(APIError) as refused:
        connect(user_token).table("cl_books").update({"stock": 99}).lt("id", 100).max_affected(1).execute()
    assert refused.value.code == "PGRST124"
    assert connect(None).table("cl_books").select("id").eq("stock", 99).execute().data == []


def test_other_schema(connect: Connect) -> None:
    """schema() speaks to another exposed schema, and to no other."""
    assert connect(None).schema("cl_archive").table("cl_scrolls").select("title").execute().data == [{"title": "Iliad"}]
    with pytest.raises(APIError) as refused:
        connect(None).schema("auth").table("sessions").select("*").execute()
    assert refused.value.code == "PGRST106"


def test_rpc_forms(connect: Connect) -> None:
    """Arrays, variadic arguments, sets with filters, and nothing at all."""
    client = connect(None)
    assert client.rpc("cl_sum", {"list": [1, 2, 3]}).execute().data == 6
    assert client.rpc("cl_join", {"words": ["a", "b"]}).execute().data == "a-b"
    assert [r["id"] for r in client.rpc("cl_cheap", {"max_price": 12}).lt("id", 100).order("id").execute().data] == [1, 3, 4]
    assert client.rpc("cl_names").execute().data == ["Ada", "Blaise", "Carl"]


def test_upsert_on_conflict(connect: Connect, user_token: str) -> None:
    """upsert() ignores or merges duplicates of the named key."""
    user = connect(user_token)
    row = {"label": "py-upsert", "owner": USER}
    assert len(user.table("cl_shelves").upsert(row, on_conflict="owner,label").execute().data) == 1
    assert user.table("cl_shelves").upsert(row, on_conflict="owner,label", ignore_duplicates=True).execute().data == []


@pytest.mark.parametrize("method", [CountMethod.exact, CountMethod.planned, CountMethod.estimated])
def test_counts(connect: Connect, method: CountMethod) -> None:
    """Every kind of count gives a number."""
    assert (connect(None).table("cl_books").select("id", count=method).execute().count or 0) >= 0

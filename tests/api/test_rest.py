"""The trunk of the query language over a socket: literal request, literal status, headers and body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import Server

SCHEMA = """
drop table if exists film_actor, film, director, actor cascade;
create table director (id int primary key, name text not null);
create table film (id int primary key, title text not null, year int, director_id int references director, data jsonb);
create table actor (id int primary key, name text);
create table film_actor (film_id int references film, actor_id int references actor, primary key (film_id, actor_id));
create policy a on director using (true) with check (true);
create policy a on film using (true) with check (true);
create policy a on actor using (true) with check (true);
create policy a on film_actor using (true) with check (true);
insert into director values (1, 'Varda'), (2, 'Akerman');
insert into film values (1, 'Cleo', 1962, 1, '{"tags":{"mood":"calm"},"stars":[5,4]}'), (2, 'Vagabond', 1985, 1, null),
  (3, 'Jeanne', 1975, 2, '{"tags":{"mood":"slow"}}'), (4, 'Untitled', null, null, null);
insert into actor values (1, 'Marchand'), (2, 'Bonnaire'), (3, 'Seyrig');
insert into film_actor values (1, 1), (2, 2), (3, 3), (3, 2);
create or replace function add(a int, b int) returns int language sql immutable as $$ select a + b $$;
create or replace function films_after(y int) returns setof film language sql stable as $$ select * from film where year > y $$;
create or replace function nothing() returns void language sql volatile as $$ select $$;
"""


@pytest.fixture(scope="module")
def films(server: Server) -> Iterator[Server]:
    """A small related schema."""
    server.sql(SCHEMA)
    yield server
    server.sql("drop function films_after(int), add(int, int), nothing(); drop table film_actor, film, director, actor cascade")


READS: dict[str, tuple[str, Any]] = {
    "eq": ("film?select=id&id=eq.1", [{"id": 1}]),
    "neq and order": ("film?select=id&id=neq.1&order=id.desc", [{"id": 4}, {"id": 3}, {"id": 2}]),
    "gt lt": ("film?select=id&year=gt.1962&year=lt.1985", [{"id": 3}]),
    "in": ("film?select=id&id=in.(1,3)&order=id", [{"id": 1}, {"id": 3}]),
    "empty in": ("film?select=id&id=in.()", []),
    "is null": ("film?select=id&year=is.null", [{"id": 4}]),
    "not is null": ("film?select=id&year=not.is.null&order=id&limit=1", [{"id": 1}]),
    "like": ("film?select=id&title=like.V*", [{"id": 2}]),
    "ilike": ("film?select=id&title=ilike.*LEO", [{"id": 1}]),
    "match": ("film?select=id&title=match.^J", [{"id": 3}]),
    "any": ("film?select=id&title=like(any).{C*,V*}&order=id", [{"id": 1}, {"id": 2}]),
    "or": ("film?select=id&or=(id.eq.1,title.eq.Jeanne)&order=id", [{"id": 1}, {"id": 3}]),
    "nested tree": ("film?select=id&or=(id.eq.1,and(year.gte.1970,year.lt.1980))&order=id", [{"id": 1}, {"id": 3}]),
    "not tree": ("film?select=id&not.or=(id.eq.1,id.eq.2)&order=id", [{"id": 3}, {"id": 4}]),
    "alias and cast": ("film?select=key:id::text&id=eq.1", [{"key": "1"}]),
    "json path": ("film?select=data->tags->>mood&id=eq.1", [{"mood": "calm"}]),
    "json filter": ("film?select=id&data->tags->>mood=eq.slow", [{"id": 3}]),
    "json index": ("film?select=first:data->stars->0&id=eq.1", [{"first": 5}]),
    "order nulls": ("film?select=id&order=year.asc.nullsfirst&limit=1", [{"id": 4}]),
    "limit offset": ("film?select=id&order=id&limit=1&offset=2", [{"id": 3}]),
    "to-one": ("film?select=id,director(name)&id=eq.1", [{"id": 1, "director": {"name": "Varda"}}]),
    "to-one null": ("film?select=id,director(name)&id=eq.4", [{"id": 4, "director": None}]),
    "to-many": ("director?select=name,film(id)&id=eq.1&film.order=id", [{"name": "Varda", "film": [{"id": 1}, {"id": 2}]}]),
    "many-to-many": ("film?select=id,actor(name)&id=eq.3&actor.order=id", [{"id": 3, "actor": [{"name": "Bonnaire"}, {"name": "Seyrig"}]}]),
    "nested": ("director?select=name,film(title,actor(name))&id=eq.2&film.actor.order=id.desc&film.actor.limit=1",
               [{"name": "Akerman", "film": [{"title": "Jeanne", "actor": [{"name": "Seyrig"}]}]}]),
    "inner": ("director?select=name,film!inner(id)&film.year=gt.1980", [{"name": "Varda", "film": [{"id": 2}]}]),
    "embed alias and hint": ("film?select=id,by:director!film_director_id_fkey(name)&id=eq.3", [{"id": 3, "by": {"name": "Akerman"}}]),
    "embed limit": ("director?select=id,film(id)&film.limit=1&film.order=id.desc&order=id", [{"id": 1, "film": [{"id": 2}]}, {"id": 2, "film": [{"id": 3}]}]),
    "rpc get": ("rpc/add?a=1&b=2", 3),
    "rpc rows": ("rpc/films_after?y=1970&select=id&order=id&id=gt.2", [{"id": 3}]),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_read(films: Server, name: str) -> None:
    """The literal rows of the literal request."""
    path, expected = READS[name]
    answer = films.get(f"/rest/v1/{path}")
    assert (answer.status_code, answer.json()) == (200, expected)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_count_and_range(films: Server) -> None:
    """Exact count, Range and Content-Range as the contract says."""
    answer = films.get("/rest/v1/film?select=id&order=id", headers={"prefer": "count=exact", "range": "0-1"})
    assert (answer.status_code, answer.headers["content-range"]) == (206, "0-1/4")
    answer = films.get("/rest/v1/film?select=id", headers={"prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (200, "0-3/4")
    answer = films.get("/rest/v1/film?select=id&id=eq.99", headers={"prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (200, "*/0")
    answer = films.get("/rest/v1/film?offset=100", headers={"prefer": "count=exact"})
    assert (answer.status_code, answer.json()["code"]) == (416, "PGRST103")
    head = films.request("HEAD", "/rest/v1/film?select=id", headers={"prefer": "count=exact"})
    assert (head.status_code, head.headers["content-range"], head.content) == (200, "0-3/4", b"")


def test_single_object(films: Server) -> None:
    """Exactly one row or 406 PGRST116."""
    accept = {"accept": "application/vnd.pgrst.object+json"}
    assert films.get("/rest/v1/film?select=id&id=eq.1", headers=accept).json() == {"id": 1}
    answer = films.get("/rest/v1/film?select=id", headers=accept)
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")


def test_write_cycle(films: Server) -> None:
    """Insert, bulk, upsert, update, delete with each return preference."""
    answer = films.post("/rest/v1/actor", json={"id": 10, "name": "A"})
    assert (answer.status_code, answer.content) == (201, b"")
    answer = films.post(
        "/rest/v1/actor?select=id", json=[{"id": 11, "name": "B"}, {"id": 12, "name": "C"}], headers={"prefer": "return=representation"}
    )
    assert (answer.status_code, answer.json()) == (201, [{"id": 11}, {"id": 12}])
    answer = films.post(
        "/rest/v1/actor", json={"id": 10, "name": "A2"}, headers={"prefer": "resolution=merge-duplicates,return=representation"}
    )
    assert (answer.status_code, answer.json()) == (200, [{"id": 10, "name": "A2"}])
    answer = films.post(
        "/rest/v1/actor", json={"id": 10, "name": "A3"}, headers={"prefer": "resolution=ignore-duplicates,return=representation"}
    )
    assert (answer.status_code, answer.json()) == (201, [])
    answer = films.post("/rest/v1/actor", json={"id": 13}, headers={"prefer": "return=headers-only"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/actor?id=eq.13")
    answer = films.request("PATCH", "/rest/v1/actor?id=eq.11", json={"name": "B2"}, headers={"prefer": "return=representation"})
    assert (answer.status_code, answer.json()) == (200, [{"id": 11, "name": "B2"}])
    answer = films.request("PATCH", "/rest/v1/actor?id=eq.11", json={"name": "B3"})
    assert (answer.status_code, answer.content) == (204, b"")
    answer = films.request("DELETE", "/rest/v1/actor?id=gte.10", headers={"prefer": "return=representation,count=exact"})
    assert answer.status_code == 200
    assert [row["id"] for row in answer.json()] == [10, 11, 12, 13]


def test_singular_write_is_rolled_back(films: Server) -> None:
    """A write that changes two rows where one object was demanded is 406 and leaves nothing."""
    answer = films.request(
        "PATCH", "/rest/v1/actor?id=lte.2", json={"name": "both"},
        headers={"accept": "application/vnd.pgrst.object+json", "prefer": "return=representation"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")
    assert films.sql("select count(*) from actor where name = 'both'") == [(0,)]


def test_rpc_post_and_void(films: Server) -> None:
    """Named arguments by POST; void is 204; an unknown function is 404 PGRST202."""
    assert films.post("/rest/v1/rpc/add", json={"a": 2, "b": 3}).json() == 5
    assert films.post("/rest/v1/rpc/nothing", json={}).status_code == 204
    answer = films.post("/rest/v1/rpc/add", json={"x": 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202")


def test_profiles(films: Server) -> None:
    """Only exposed schemas; system schemas never."""
    for schema in ("auth", "fluxbase", "pg_catalog", "nope"):
        answer = films.get("/rest/v1/film", headers={"accept-profile": schema})
        assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")


def test_native_dialect(films: Server) -> None:
    """The same engine in the native shapes."""
    base = "/api/v1/tables"
    assert films.get(f"{base}/film?select=id&id=eq.1").json() == [{"id": 1}]
    assert films.get(f"{base}/public/film/1").json()["title"] == "Cleo"
    assert films.get(f"{base}/film/99").status_code == 404
    answer = films.get(f"{base}/film?select=id&count=exact&limit=2&order=id.asc.nullslast")
    assert (answer.status_code, answer.headers["content-range"]) == (200, "0-1/4")
    assert films.post(f"{base}/actor", json={"id": 20, "name": "N"}).json() == {"id": 20, "name": "N"}
    answer = films.post(f"{base}/actor", json=[{"id": 21, "name": "O"}])
    assert (answer.status_code, answer.json(), answer.headers["x-affected-count"]) == (201, [{"id": 21, "name": "O"}], "1")
    assert films.request("PATCH", f"{base}/actor/20", json={"name": "P"}).json()["name"] == "P"
    assert films.request("DELETE", f"{base}/actor").status_code == 400
    answer = films.request("DELETE", f"{base}/actor?id=gte.20")
    assert answer.json()["affected"] == 2
    query = {
        "select": "id",
        "filters": [{"column": "id", "operator": "in", "value": [1, 2]}],
        "order": [{"column": "id", "direction": "desc"}],
    }
    assert films.post(f"{base}/film/query", json=query).json() == [{"id": 2}, {"id": 1}]
    answer = films.post("/api/v1/rpc/default/add", json={"params": {"a": 1, "b": 1}})
    assert (answer.json()["status"], answer.json()["result"]) == ("completed", 2)


@pytest.mark.parametrize("header", ["authorization", "apikey", "x-client-key", "x-service-key"])
@pytest.mark.parametrize("name", ["anon_key", "service_key", "publishable_key", "secret_key"])
def test_every_key_in_every_header(films: Server, header: str, name: str) -> None:
    """JWT keys and their opaque twins are accepted in each header of the contract."""
    value = films.keys[name]
    answer = films.request(
        "GET", "/rest/v1/film?select=id&id=eq.1", key=None, headers={header: f"Bearer {value}" if header == "authorization" else value}
    )
    assert (answer.status_code, answer.json()) == (200, [{"id": 1}])

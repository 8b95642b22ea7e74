"""The flights example: the policies decide who sees what, the seeds load once, the answers are those of its README."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from fluxbase.db.doctor import examine
from fluxbase.db.seeds import SeedError, load_seeds
from fluxbase.db.user_migrations import apply_pending, take_back
from tests.db.migrate_database import Scratch, scratch_cluster

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flights"
ADA, BOB = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Scratch]:
    """One cluster for this file."""
    with scratch_cluster() as scratch:
        yield scratch


class Flights:
    """The example in its own database."""

    def __init__(self, cluster: Scratch) -> None:
        self.cluster, self.database = cluster, cluster.database()
        self.conninfo = cluster.conninfo(self.database, "fluxbase_owner")
        self.applied = apply_pending(self.conninfo, EXAMPLE / "migrations")
        self.seeded = load_seeds(self.conninfo, EXAMPLE / "seeds")

    def ask(self, role: str, sql: str, user: UUID | None = None) -> list[tuple[Any, ...]]:
        """SQL as a client role (and user)."""
        login = "fluxbase_owner" if role == "fluxbase_owner" else "member"
        with psycopg.connect(self.cluster.conninfo(self.database, login), autocommit=True) as connection:
            connection.execute(f"set role {role}")  # type: ignore[arg-type]
            claims = json.dumps({"sub": str(user), "role": role}) if user else ""
            connection.execute("select set_config('test.claims', %s, false)", (claims,))
            cursor = connection.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def flights(cluster: Scratch) -> Flights:
    """Applied and seeded once."""
    return Flights(cluster)


def test_it_is_applied_and_seeded_once(flights: Flights) -> None:
    """The first start loads 3,376 airports and 5,366 routes; the second finds nothing to do."""
    assert len(flights.applied) == 3
    assert [(seeded.table, seeded.rows) for seeded in flights.seeded] == [
        ("public.states", 56),
        ("public.airports", 3376),
        ("public.routes", 5366),
    ]
    assert apply_pending(flights.conninfo, EXAMPLE / "migrations") == []
    assert load_seeds(flights.conninfo, EXAMPLE / "seeds") == []


def test_anon_reads_airports_and_routes_and_writes_nothing(flights: Flights) -> None:
    """Reference data is public to read; a write changes no row or is refused."""
    assert flights.ask("anon", "select count(*) from airports") == [(3376,)]
    assert flights.ask("anon", "select sum(flights) from routes where origin = 'JFK'")[0][0] > 100_000
    assert flights.ask("anon", "update airports set name = 'x' returning iata") == []
    assert flights.ask("anon", "delete from routes returning origin") == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        flights.ask("anon", "insert into routes values ('JFK', 'YAP', 1)")


def test_a_user_has_their_own_trips_and_sees_public_ones(flights: Flights) -> None:
    """Ada's private trip, stops, notes and favourites are invisible to Bob and anon; her public trip shows without its notes."""
    made = "insert into trips (title, is_public) values ('{}', {}) returning id"
    (private,) = flights.ask("authenticated", made.format("secret", "false"), ADA)[0]
    (public,) = flights.ask("authenticated", made.format("shared", "true"), ADA)[0]
    for trip in (private, public):
        flights.ask("authenticated", f"insert into trip_stops values ('{trip}', 'JFK', 1), ('{trip}', 'LAX', 2)", ADA)
        flights.ask("authenticated", f"insert into trip_notes (trip_id, body) values ('{trip}', 'window seat')", ADA)
    flights.ask("authenticated", "insert into favourites (airport) values ('JFK')", ADA)
    seen = "select (select count(*) from trips), (select count(*) from trip_stops), (select count(*) from trip_notes), (select count(*) from favourites)"
    assert flights.ask("authenticated", seen, ADA) == [(2, 4, 2, 1)]
    assert flights.ask("authenticated", seen, BOB) == [(1, 2, 0, 0)]
    assert flights.ask("anon", seen) == [(1, 2, 0, 0)]
    assert flights.ask("authenticated", "select my_trips_count()", ADA) == [(2,)]


@pytest.mark.parametrize(
    "sql",
    [
        f"insert into trips (owner, title) values ('{ADA}', 'as Ada')",
        f"insert into favourites (owner, airport) values ('{ADA}', 'LAX')",
        "insert into trip_stops select id, 'SFO', 9 from trips where is_public",
        "insert into trip_notes (trip_id, body) select id, 'x' from trips where is_public",
    ],
)
def test_a_user_cannot_write_in_anothers_name(flights: Flights, sql: str) -> None:
    """An owner that is not the caller, or a trip that is not theirs, is refused."""
    flights.ask("authenticated", "insert into trips (title, is_public) values ('shared', true)", ADA)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        flights.ask("authenticated", sql, BOB)


def test_a_user_cannot_change_or_give_away(flights: Flights) -> None:
    """Bob changes no row of Ada's public trip, and Ada cannot hand hers over to Bob."""
    (trip,) = flights.ask("authenticated", "insert into trips (title, is_public) values ('shared', true) returning id", ADA)[0]
    assert flights.ask("authenticated", f"update trips set title = 'mine' where id = '{trip}' returning id", BOB) == []
    assert flights.ask("authenticated", f"delete from trips where id = '{trip}' returning id", BOB) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        flights.ask("authenticated", f"update trips set owner = '{BOB}' where id = '{trip}'", ADA)


def test_the_functions_give_the_answers_of_the_readme(flights: Flights) -> None:
    """busiest, airports_near and one_stop, as anon."""
    assert [row[0] for row in flights.ask("anon", "select iata from busiest(3)")] == ["ATL", "ORD", "DFW"]
    assert [row[0] for row in flights.ask("anon", "select iata from airports_near(40.64, -73.78, 18)")] == ["JFK", "LGA"]
    assert flights.ask("anon", "select via, flights from one_stop('ABE', 'LAX') limit 2") == [("ORD", 1425), ("DTW", 997)]
    assert flights.ask("anon", "select count(*) from busiest(-1)") == [(0,)]
    assert flights.ask("anon", "select count(*) from busiest(1000)") == [(100,)]


def test_the_doctor_has_nothing_to_say(flights: Flights) -> None:
    """The example is what doctor calls sound."""
    assert examine(flights.conninfo, schemas=["public"]).findings == ()


def test_it_can_be_taken_back(cluster: Scratch) -> None:
    """The down sections undo everything."""
    own = Flights(cluster)
    take_back(own.conninfo, EXAMPLE / "migrations", 3)
    assert own.ask("fluxbase_owner", "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == [(0,)]


def test_seeds_of_a_table_under_policies_load_without_bypassrls(cluster: Scratch, tmp_path: Path) -> None:
    """On a managed PostgreSQL the loader goes by way of a temporary table, and identity columns continue behind the rows."""
    database = cluster.database()
    admin = cluster.conninfo(database, "root_admin")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "create role plain_owner login; grant all on schema public to plain_owner; grant temporary on database "
            + database
            + " to plain_owner;"  # type: ignore[operator]
            "set role plain_owner; create table public.t (id int generated by default as identity, name text);"
            "create policy owner_passes on public.t to plain_owner using (true) with check (true);"
        )
    (tmp_path / "1_public.t.csv").write_text('id,name\n7,"a, b"\n9,\n')
    conninfo = cluster.conninfo(database, "plain_owner")
    assert [seeded.rows for seeded in load_seeds(conninfo, tmp_path)] == [2]
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("insert into public.t (name) values ('c') returning id").fetchone() == (10,)
        assert connection.execute("select name from public.t order by id limit 2").fetchall() == [("a, b",), (None,)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("1_public.nowhere.csv", "a\n1\n", "no table public.nowhere"),
        ("1_public.airports.csv", "iata\nJFK\n", "not-null|null value"),
        ("airports.csv", "a\n", "NNN_<schema>.<table>.csv"),
        ("1_public.airports.csv", "nothing\nJFK\n", 'column "nothing"'),
    ],
)
def test_a_bad_seed_names_its_file_and_loads_nothing(cluster: Scratch, tmp_path: Path, name: str, text: str, message: str) -> None:
    """A missing table, a wrong row or column, a stray name: one line with the file's name."""
    database = cluster.database()
    conninfo = cluster.conninfo(database, "fluxbase_owner")
    apply_pending(conninfo, EXAMPLE / "migrations")
    (tmp_path / name).write_text(text)
    with pytest.raises(SeedError, match=f"{name}.*({message})"):
        load_seeds(conninfo, tmp_path)

"""PostGIS on the native surface (contract-native 2.5): operators with GeoJSON, geometries written and read as objects.

The embedded PostgreSQL has no PostGIS, so these run on the distribution's, where its packages are installed
(Debian: postgresql and postgresql-postgis), and are skipped with a reason elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.case import ANY, Case
from tests.contract.native.runner import check_native, encoded, leave
from tests.support.debian_postgres import SUPERUSER_PASSWORD, debian_postgres, installed
from tests.support.long import needs_long
from tests.support.server import Server, start_server

pytestmark = needs_long

T = "/api/v1/tables"
SPATIAL = "operators: st_* with GeoJSON"
DISTANCE = "operators: st_dwithin, st_distance"
OBJECTS = "GeoJSON: written and read as objects"
REFUSED = "GeoJSON: an object without coordinates is 400"
SCHEMA = """
create table places (id int primary key, name text, spot extensions.geometry(Geometry, 4326), round extensions.geography(Point, 4326));
create policy everybody on places using (true) with check (true);
"""
DATA = """
truncate places;
insert into places values
  (1, 'square', 'SRID=4326;POLYGON((0 0,4 0,4 4,0 4,0 0))', 'SRID=4326;POINT(0 0)'),
  (2, 'point', 'SRID=4326;POINT(1 1)', 'SRID=4326;POINT(0 1)'),
  (3, 'far', 'SRID=4326;POINT(50 50)', 'SRID=4326;POINT(50 50)'),
  (4, 'line', 'SRID=4326;LINESTRING(-1 2,5 2)', null);
"""
POINT = {"type": "Point", "coordinates": [1, 1]}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}
BESIDE = {"type": "Polygon", "coordinates": [[[4, 0], [8, 0], [8, 4], [4, 4], [4, 0]]]}
OVER = {"type": "Polygon", "coordinates": [[[2, 2], [6, 2], [6, 6], [2, 6], [2, 2]]]}


def get(sentence: str, operator: str, shape: Any, ids: list[int], column: str = "spot") -> Case:
    """Which rows a condition finds."""
    query = encoded(f"select=id&{column}={operator}{json.dumps(shape)}&order=id")
    return Case("2.5", sentence, f"GET {T}/places?{query}", 200, body=[{"id": each} for each in ids])


def write(sentence: str, body: dict[str, Any], status: int, wanted: Any = ANY) -> Case:
    """An insert."""
    return Case("2.5", sentence, f"POST {T}/places\n\n{json.dumps(body)}", status, body=wanted)


CASES = (
    get(SPATIAL, "st_intersects.", POINT, [1, 2]),
    get(SPATIAL, "st_contains.", POINT, [1, 2]),
    get(SPATIAL, "st_within.", SQUARE, [1, 2]),
    get(SPATIAL, "st_touches.", BESIDE, [1]),
    get(SPATIAL, "st_crosses.", SQUARE, [4]),
    get(SPATIAL, "st_overlaps.", OVER, [1]),
    get(SPATIAL, "not.st_intersects.", SQUARE, [3]),
    get(DISTANCE, "st_dwithin.2,", POINT, [1, 2, 4]),
    get(DISTANCE, "st_distance.0.5,", POINT, [1, 2]),
    get(DISTANCE, "st_dwithin.120000,", {"type": "Point", "coordinates": [0, 0]}, [1, 2], "round"),
    Case("2.5", SPATIAL, f"POST {T}/places/query\n\n" + json.dumps(
        {"select": "id", "filters": [{"column": "spot", "operator": "st_contains", "value": POINT}], "order": [{"column": "id"}]}),
        200, body=[{"id": 1}, {"id": 2}]),
    Case("2.5", SPATIAL, f"GET {T}/places?" + encoded('spot=st_within.{"type":"Point"}'), 400, body=("error", "INVALID_INPUT")),
    Case("2.5", SPATIAL, f"GET {T}/places?" + encoded('spot=st_within.{"type":"Polygon","coordinates":[1]}'), 400,
         body=("error", "INVALID_INPUT")),
    Case("2.5", SPATIAL, f"GET {T}/places?" + encoded("name=st_within." + json.dumps(POINT)), 400, body=("error", "INVALID_INPUT")),
    Case("2.5", DISTANCE, f"GET {T}/places?" + encoded("spot=st_dwithin." + json.dumps(POINT)), 400, body=("error", "INVALID_INPUT")),
    Case("2.5", OBJECTS, f"GET {T}/places/2?select=spot", 200, body={"spot": POINT}),
    Case("2.5", OBJECTS, f"GET {T}/places?select=round&id=eq.1", 200, body=[{"round": {"type": "Point", "coordinates": [0, 0]}}]),
    write(OBJECTS, {"id": 9, "name": "new", "spot": SQUARE}, 201, {"id": 9, "name": "new", "spot": SQUARE, "round": None}),
    write(OBJECTS, {"id": 9, "round": "SRID=4326;POINT(1 1)"}, 201, {"id": 9, "name": None, "spot": None, "round": POINT}),
    write(OBJECTS, {"id": 9, "round": POINT}, 400, ("error", "INVALID_INPUT")),
    Case("2.5", OBJECTS, f"PATCH {T}/places/1\n\n" + json.dumps({"spot": POINT}), 200, body=ANY,
         then=(f"GET {T}/places/1?select=spot", {"spot": POINT})),
    write(REFUSED, {"id": 9, "spot": {"type": "Point"}}, 400, ("error", "INVALID_INPUT")),
    write(REFUSED, {"id": 9, "spot": {"type": "Point", "coordinates": "x"}}, 400, ("error", "INVALID_INPUT")),
    write(REFUSED, {"id": 9, "spot": {"type": "Polygon", "coordinates": [1]}}, 400, ("error", "INVALID_INPUT")),
)  # fmt: skip


@pytest.fixture(scope="module")
def places() -> Iterator[Server]:
    """The program on the distribution's PostgreSQL with PostGIS."""
    binaries = installed()
    if binaries is None:
        pytest.skip("the distribution's PostgreSQL is not installed: apt-get install postgresql postgresql-postgis")
    with debian_postgres(binaries) as postgres:
        if not postgres.sql("select 1 from pg_available_extensions where name = 'postgis'"):
            pytest.skip("PostGIS is not installed: apt-get install postgresql-postgis")
        url = postgres.url("postgres", SUPERUSER_PASSWORD, "postgres")
        server = start_server(env={"FLUXBASE_DATABASE_URL": url, "FLUXBASE_DATABASE_CA_FILE": str(postgres.ca_file)})
        try:
            postgres.sql("create extension postgis schema extensions")
            postgres.sql("grant execute on all functions in schema extensions to public")
            server.sql(SCHEMA)
            yield server
        finally:
            server.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_postgis(places: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    places.sql(DATA)
    check_native(places, case, restore=leave)

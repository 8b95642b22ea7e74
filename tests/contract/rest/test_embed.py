"""Section 1.3: embedding."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check
from tests.support.server import Server


def get(sentence: str, path: str, body: object, **headers: str | None) -> Case:
    """A read that answers 200."""
    return Case("1.3", sentence, f"GET {path}", 200, headers, body)


def refused(sentence: str, path: str, code: str, message: str, details: object = None, hint: str | None = None, status: int = 400) -> Case:
    """A request that is refused with these words."""
    return Case("1.3", sentence, f"GET {path}", status, {}, {"code": code, "message": message, "details": details, "hint": hint})


M2M = "embed: many-to-many through a junction whose key has both foreign keys"
VIEW = "embed: through a view"
HINTED = "embed: hint by constraint name"
NAMED = "embed: target named by the constraint or its column"
OVERRIDE = "embed: a computed relationship overrides the foreign key"
NONE_FOUND = "embed: none found is 400 PGRST200 with a hint"
SEVERAL = "embed: several found is 300 PGRST201 with details and hint"
TO_MANY = "spread: to-many gives an array a column, in one order"
PARTS = "embed: order, limit, offset, filters, trees by its path"
WARNED = "embed: the table's name where there is an alias still works, with a warning"

CASES = (
    get("embed: to-one is an object or null", "/films?select=id,directors(name)&id=in.(1,4)&order=id",
        [{"id": 1, "directors": {"name": "Varda"}}, {"id": 4, "directors": None}]),
    get("embed: to-many is an array, empty without rows", "/directors?select=id,films(title)&id=in.(2,3)&order=id",
        [{"id": 2, "films": [{"title": "Jeanne"}]}, {"id": 3, "films": []}]),
    get(M2M, "/films?select=id,actors(name)&id=eq.3&actors.order=id", [{"id": 3, "actors": [{"name": "Bonnaire"}, {"name": "Seyrig"}]}]),
    get(M2M, "/actors?select=name,films(title)&id=eq.2&films.order=id",
        [{"name": "Bonnaire", "films": [{"title": "Vagabond"}, {"title": "Jeanne"}]}]),
    get(M2M, "/actors?select=name,films(title,directors(name))&id=eq.1",
        [{"name": "Marchand", "films": [{"title": "Cleo", "directors": {"name": "Varda"}}]}]),
    get("embed: one-to-one is an object", "/films?select=id,posters(artist)&id=in.(1,3)&order=id",
        [{"id": 1, "posters": {"artist": "Blanc"}}, {"id": 3, "posters": None}]),
    get("embed: one-to-one is an object", "/posters?select=artist,films(title)&film_id=eq.2", [{"artist": "Noir", "films": {"title": "Vagabond"}}]),
    get("embed: alias", "/films?select=id,by:directors(who:name)&id=eq.1", [{"id": 1, "by": {"who": "Varda"}}]),
    get("embed: !hint", "/trips?select=id,cities!trips_from_city_fkey(name)&id=eq.1", [{"id": 1, "cities": {"name": "Lyon"}}]),
    get("embed: !inner", "/films?select=id,directors!inner(name)&directors.name=eq.Akerman", [{"id": 3, "directors": {"name": "Akerman"}}]),
    get("embed: !inner", "/directors?select=id,films!inner(id)&films.year=gt.1980", [{"id": 1, "films": [{"id": 2}]}]),
    get("embed: !inner", "/directors?select=id,films!inner(reviews!inner())&films.reviews.stars=eq.2", [{"id": 2}]),
    get("embed: !left", "/films?select=id,directors!left(name)&directors.name=eq.Akerman&id=gt.2&order=id",
        [{"id": 3, "directors": {"name": "Akerman"}}, {"id": 4, "directors": None}]),
    get("embed: hint and join type in either order", "/trips?select=id,cities!trips_to_city_fkey!inner(name)&cities.name=eq.Metz",
        [{"id": 2, "cities": {"name": "Metz"}}]),
    get("embed: hint and join type in either order", "/trips?select=id,cities!inner!trips_to_city_fkey(name)&cities.name=eq.Metz",
        [{"id": 2, "cities": {"name": "Metz"}}]),
    get("embed: empty parentheses join and show nothing", "/films?select=id,directors!inner()&directors.id=eq.2", [{"id": 3}]),
    get("embed: empty parentheses join and show nothing", "/films?select=directors()&id=eq.1", [{}]),
    get("embed: empty parentheses join and show nothing", "/directors?select=id,films(reviews())&id=eq.1", [{"id": 1}]),
    get("embed: nested", "/directors?select=name,films(title,reviews(stars),actors(name))&id=eq.2&films.actors.order=name",
        [{"name": "Akerman", "films": [{"title": "Jeanne", "reviews": [{"stars": 2}], "actors": [{"name": "Bonnaire"}, {"name": "Seyrig"}]}]}]),
    get(VIEW, "/film_list?select=film,directors(name)&film=eq.1", [{"film": 1, "directors": {"name": "Varda"}}]),
    get(VIEW, "/directors?select=name,film_list(title)&id=eq.2", [{"name": "Akerman", "film_list": [{"title": "Jeanne"}]}]),
    get(VIEW, "/film_index?select=title,directors(name),reviews(stars)&key=eq.2",
        [{"title": "VAGABOND", "directors": {"name": "Varda"}, "reviews": [{"stars": 4}]}]),
    get(VIEW, "/reviews?select=id,film_index(title)&id=eq.4", [{"id": 4, "film_index": {"title": "JEANNE"}}]),
    get(VIEW, "/film_list?select=film,actors(name)&film=eq.1", [{"film": 1, "actors": [{"name": "Marchand"}]}]),
    get(VIEW, "/film_list?select=film,posters(artist)&film=eq.1", [{"film": 1, "posters": {"artist": "Blanc"}}]),
    get("embed: a partitioned table", "/films?select=id,screenings(day)&id=eq.1&screenings.order=day",
        [{"id": 1, "screenings": [{"day": "2001-02-03"}, {"day": "2002-03-04"}]}]),
    get("embed: a partitioned table", "/screenings?select=id,films(title)&id=eq.3", [{"id": 3, "films": {"title": "Vagabond"}}]),
    get("embed: on a function that returns a table", "/rpc/films_after?y=1980&select=title,directors(name),reviews(stars)",
        [{"title": "Vagabond", "directors": {"name": "Varda"}, "reviews": [{"stars": 4}]}]),
    get("embed: computed relationship, to-many", "/films?select=id,praise(stars)&id=in.(1,3)&order=id",
        [{"id": 1, "praise": [{"stars": 5}]}, {"id": 3, "praise": []}]),
    get("embed: computed relationship, to-many", "/films?select=id,good:praise!inner(stars)&good.stars=eq.4", [{"id": 2, "good": [{"stars": 4}]}]),
    get("embed: computed relationship, to-many", "/directors?select=id,films(id,praise(id))&id=eq.1&films.id=eq.1",
        [{"id": 1, "films": [{"id": 1, "praise": [{"id": 1}]}]}]),
    get("embed: computed relationship, to-one by ROWS 1", "/films?select=id,first_review(body)&id=in.(1,4)&order=id",
        [{"id": 1, "first_review": {"body": "great"}}, {"id": 4, "first_review": None}]),
    get("embed: computed relationship, to-one by a composite", "/films?select=id,maker(name)&id=eq.3", [{"id": 3, "maker": {"name": "Akerman"}}]),
    get("embed: computed relationship, to-one by a composite", "/films?select=id,maker(name,films(count))&id=eq.1",
        [{"id": 1, "maker": {"name": "Varda", "films": [{"count": 2}]}}]),
    get(OVERRIDE, "/rooms?select=number,hotels(name)&id=eq.1", [{"number": 101, "hotels": {"name": "Hotel Ritz"}}]),
    get(HINTED, "/trips?select=id,a:cities!trips_from_city_fkey(name),b:cities!trips_to_city_fkey(name)&id=eq.1",
        [{"id": 1, "a": {"name": "Lyon"}, "b": {"name": "Nice"}}]),
    get(HINTED, "/cities?select=name,trips!trips_to_city_fkey(id)&id=eq.2", [{"name": "Nice", "trips": [{"id": 1}]}]),
    get("embed: hint by foreign key column", "/trips?select=id,a:cities!from_city(name),b:cities!to_city(name)&id=eq.2",
        [{"id": 2, "a": {"name": "Nice"}, "b": {"name": "Metz"}}]),
    get("embed: hint by foreign key column", "/cities?select=name,trips!from_city(id)&id=eq.2", [{"name": "Nice", "trips": [{"id": 2}]}]),
    get("embed: hint by junction", "/films?select=id,actors!castings(name)&id=eq.1", [{"id": 1, "actors": [{"name": "Marchand"}]}]),
    get(NAMED, "/films?select=id,films_director_id_fkey(name)&id=eq.1", [{"id": 1, "films_director_id_fkey": {"name": "Varda"}}]),
    get(NAMED, "/films?select=id,director:director_id(name)&id=eq.1", [{"id": 1, "director": {"name": "Varda"}}]),
    get(NAMED, "/films?select=id,director_id(name)&director_id=eq.2", [{"id": 3, "director_id": {"name": "Akerman"}}]),
    get(NAMED, "/trips?select=id,from_city(name),to_city(name)&id=eq.1", [{"id": 1, "from_city": {"name": "Lyon"}, "to_city": {"name": "Nice"}}]),
    get("self-join: the table's name is to-many", "/employees?select=name,employees(name)&id=eq.1&employees.order=id",
        [{"name": "Ada", "employees": [{"name": "Bo"}, {"name": "Cy"}]}]),
    get("self-join: the foreign key column is to-one", "/employees?select=name,boss:boss_id(name)&id=in.(1,4)&order=id",
        [{"name": "Ada", "boss": None}, {"name": "Di", "boss": {"name": "Bo"}}]),
    get("self-join: table!column is to-many by it", "/employees?select=name,team:employees!boss_id(name)&id=eq.2",
        [{"name": "Bo", "team": [{"name": "Di"}]}]),
    get("self-join: table!column is to-many by it", "/employees?select=name,boss:boss_id(name,boss:boss_id(name))&id=eq.4",
        [{"name": "Di", "boss": {"name": "Bo", "boss": {"name": "Ada"}}}]),
    get("spread: to-one lifts columns", "/films?select=title,...directors(director:name,born)&id=eq.1",
        [{"title": "Cleo", "director": "Varda", "born": "1928-05-30"}]),
    get("spread: to-one lifts columns", "/posters?select=artist,...films(id,title)&film_id=eq.2",
        [{"artist": "Noir", "id": 2, "title": "Vagabond"}]),
    get("spread: to-one lifts columns", "/films?select=title,...directors(*)&id=eq.2",
        [{"title": "Vagabond", "id": 1, "name": "Varda", "born": "1928-05-30"}]),
    get("spread: to-one lifts columns", "/films?select=title,...directors(name,films(id))&id=eq.3", [{"title": "Jeanne", "name": "Akerman", "films": [{"id": 3}]}]),
    get("spread: to-one without a row gives nulls", "/films?select=title,...directors(name,born)&id=eq.4",
        [{"title": "Untitled", "name": None, "born": None}]),
    get(TO_MANY, "/films?select=id,...reviews(stars,body)&id=in.(1,4)&order=id&reviews.order=id",
        [{"id": 1, "stars": [5, 3], "body": ["great", "fine"]}, {"id": 4, "stars": [], "body": []}]),
    get(TO_MANY, "/films?select=id,...actors(names:name)&id=eq.3&actors.order=name", [{"id": 3, "names": ["Bonnaire", "Seyrig"]}]),
    get(TO_MANY, "/films?select=id,...reviews!inner(stars)&reviews.stars=eq.2", [{"id": 3, "stars": [2]}]),
    get(TO_MANY, "/films?select=id,...reviews(stars)&reviews=is.null", [{"id": 4, "stars": []}]),
    get("spread: order of a to-many one", "/films?select=id,...reviews(stars,body)&id=eq.1&reviews.order=stars.asc",
        [{"id": 1, "stars": [3, 5], "body": ["fine", "great"]}]),
    get("spread: order of a to-many one", "/films?select=id,...reviews(body)&id=eq.1&reviews.order=stars.asc&reviews.limit=1",
        [{"id": 1, "body": ["fine"]}]),
    get("spread: nested", "/reviews?select=stars,...films(title,...directors(name))&id=eq.4", [{"stars": 2, "title": "Jeanne", "name": "Akerman"}]),
    get("spread: nested", "/directors?select=name,films(title,...posters(artist))&id=eq.1&films.order=id",
        [{"name": "Varda", "films": [{"title": "Cleo", "artist": "Blanc"}, {"title": "Vagabond", "artist": "Noir"}]}]),
    get("spread: nested", "/directors?select=name,...films(title,...posters(artist))&id=eq.1&films.order=id",
        [{"name": "Varda", "title": ["Cleo", "Vagabond"], "artist": ["Blanc", "Noir"]}]),
    get("spread: nested", "/directors?select=name,...films(title,...reviews(stars))&id=eq.1&films.order=id&films.reviews.order=id",
        [{"name": "Varda", "title": ["Cleo", "Vagabond"], "stars": [[5, 3], [4]]}]),
    get("spread: nested", "/actors?select=castings(part,...films(title))&id=eq.1", [{"castings": [{"part": "Cleo", "title": "Cleo"}]}]),
    refused("spread: an alias is refused", "/films?select=d:...directors(name)", "PGRST100",
            '"failed to parse select parameter (d:...directors(name))" (line 1, column 3)', 'unexpected "." expecting a name'),
    refused(NONE_FOUND, "/films?select=id,director(name)", "PGRST200",
            "Could not find a relationship between 'films' and 'director' in the schema cache",
            "Searched for a foreign key relationship between 'films' and 'director' in the schema 'public', but no matches were found.",
            "Perhaps you meant 'directors' instead of 'director'."),
    refused(NONE_FOUND, "/films?select=id,pages(id)", "PGRST200", "Could not find a relationship between 'films' and 'pages' in the schema cache",
            "Searched for a foreign key relationship between 'films' and 'pages' in the schema 'public', but no matches were found.",
            "Perhaps you meant 'posters' instead of 'pages'."),
    refused(NONE_FOUND, "/films?select=id,directors!born(name)", "PGRST200",
            "Could not find a relationship between 'films' and 'directors' in the schema cache",
            "Searched for a foreign key relationship between 'films' and 'directors' using the hint 'born' in the schema 'public', "
            "but no matches were found."),
    refused(SEVERAL, "/trips?select=id,cities(name)", "PGRST201",
            "Could not embed because more than one relationship was found for 'trips' and 'cities'",
            [{"cardinality": "many-to-one", "embedding": "trips with cities",
              "relationship": "trips_from_city_fkey using trips(from_city) and cities(id)"},
             {"cardinality": "many-to-one", "embedding": "trips with cities",
              "relationship": "trips_to_city_fkey using trips(to_city) and cities(id)"}],
            "Try changing 'cities' to one of the following: 'cities!trips_from_city_fkey', 'cities!trips_to_city_fkey'. "
            "Find the desired relationship in the 'details' key.", status=300),
    refused(SEVERAL, "/players?select=id,clubs(id)", "PGRST201",
            "Could not embed because more than one relationship was found for 'players' and 'clubs'",
            [{"cardinality": "many-to-one", "embedding": "players with clubs", "relationship": "players_club_id_fkey using players(club_id) and clubs(id)"},
             {"cardinality": "many-to-many", "embedding": "players with clubs",
              "relationship": "loans using loans_player_id_fkey(player_id) and loans_club_id_fkey(club_id)"}],
            "Try changing 'clubs' to one of the following: 'clubs!players_club_id_fkey', 'clubs!loans'. "
            "Find the desired relationship in the 'details' key.", status=300),
    get(PARTS, "/directors?select=id,films(id,reviews(id))&films.order=id.desc&films.limit=1&films.reviews.order=id.desc&id=eq.1",
        [{"id": 1, "films": [{"id": 2, "reviews": [{"id": 3}]}]}]),
    get(PARTS, "/directors?select=id,films(id)&films.or=(year.lt.1970,year.gt.1980)&films.order=id&films.offset=1&id=eq.1",
        [{"id": 1, "films": [{"id": 2}]}]),
    get("embed: the path uses the alias", "/directors?select=id,old:films(id),new:films(id)&old.year=lt.1970&new.year=gt.1970&id=eq.1",
        [{"id": 1, "old": [{"id": 1}], "new": [{"id": 2}]}], warning=None),
    get(WARNED, "/directors?select=id,f:films(id)&films.year=gt.1980&films.limit=1&id=eq.1", [{"id": 1, "f": [{"id": 2}]}],
        warning="299 Fluxbase \"'films' is embedded as 'f'; use that name in filters, orders and limits\""),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)

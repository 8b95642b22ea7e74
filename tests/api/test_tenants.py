"""/api/v1/admin/tenants: the lifecycle over HTTP (contract-native 1.10, 2.9)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.server import Server

ROOT = "/api/v1/admin/tenants"


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[dict[str, str]]:
    """A tenant made over HTTP."""
    answer = server.post(ROOT, key="service", json={"slug": "http-made", "name": "Made over HTTP", "metadata": {"plan": "pro"}})
    assert answer.status_code == 201, answer.text
    yield answer.json()
    assert server.request("DELETE", f"{ROOT}/http-made?hard=true", key="service").status_code == 204


def test_creating_answers_with_tenant_and_keys(server: Server, made: dict[str, str]) -> None:
    """Members at the top level and under ``tenant``; the keys work at once."""
    assert made["tenant"]["id"] == made["id"]  # type: ignore[index]
    assert (made["slug"], made["status"], made["is_default"], made["metadata"]) == ("http-made", "active", False, {"plan": "pro"})
    assert server.get("/rest/v1/nothing", key=made["anon_key"]).json()["code"] == "PGRST205"


def test_a_taken_slug_is_409(server: Server, made: dict[str, str]) -> None:
    """And nothing is made."""
    answer = server.post(ROOT, key="service", json={"slug": made["slug"]})
    assert (answer.status_code, answer.json()["error"]) == (409, "A tenant with this slug exists.")


@pytest.mark.parametrize(
    "body", [{"slug": "default"}, {"slug": "Not A Slug"}, {"slug": ""}, {}, {"slug": "ok", "surprise": 1}, [], {"slug": 7}]
)
def test_bad_bodies_are_400(server: Server, body: object) -> None:
    """The wrong member is named, the value is not repeated."""
    answer = server.post(ROOT, key="service", json=body)
    assert answer.status_code == 400
    assert "Not A Slug" not in answer.text


SLUGS = {
    "empty": "", "upper case": "Acme", "reserved": "admin", "reserved, for the console": "dashboard", "the default one": "default",
    "200 characters": "a" * 200, "64 characters": "a" * 64, "201 characters": "a" * 201, "a digit first": "1acme", "a hyphen first": "-acme",
    "a hyphen last": "acme-", "two hyphens, as punycode has": "xn--acme", "a trailing dot": "acme.", "dots": "acme.example", "only dots": "..",
    "a Cyrillic look-alike": "\u0430cme", "a full-width look-alike": "\uff41cme", "a dotless i": "ac\u0131me", "a ligature": "o\ufb03ce",
    "a zero-width space": "ac\u200bme", "a right-to-left mark": "acme\u200f", "a combining mark": "acme\u0301", "a line break": "acme\n",
    "a NUL": "ac\0me", "a space": "ac me", "SQL": "a'; drop table platform.tenants; --", "an identifier's quote": 'a"b', "a comment": "a/**/b",
    "a path": "../default", "a percent sign": "a%2e", "an underscore": "ac_me", "a format": "{0}", "a number": 7, "nothing": None, "a list": ["acme"],
}  # fmt: skip


@pytest.mark.parametrize("case", SLUGS)
def test_a_bad_slug_is_refused_and_nothing_is_made(server: Server, case: str) -> None:
    """400 that says what a slug is and repeats no value; no line in the register, no database (issue 4, bad input)."""
    before = server.root_sql("select (select count(*) from platform.tenants), (select count(*) from pg_database)")
    answer = server.post(ROOT, key="service", json={"slug": SLUGS[case], "isolation": "row"})
    value = SLUGS[case]
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in {"Not a slug.", "This slug is reserved.", "The request is not valid."}
    assert not (isinstance(value, str) and len(value) > 6 and value in answer.text)
    assert server.root_sql("select (select count(*) from platform.tenants), (select count(*) from pg_database)") == before


def test_of_many_makers_of_one_slug_one_wins(server: Server) -> None:
    """Eight requests at once: one 201, seven 409, one line in the register."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.post(ROOT, key="service", json={"slug": "raced", "isolation": "row"}), range(8)))
    try:
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
        assert {answer.json()["error"] for answer in answers if answer.status_code == 409} == {"A tenant with this slug exists."}
        assert server.root_sql("select count(*) from platform.tenants where slug = 'raced'") == [(1,)]
    finally:
        server.request("DELETE", f"{ROOT}/raced?hard=true", key="service")


@pytest.mark.parametrize("body", [{"db_mode": "existing"}, {"db_name": "postgres"}, {"db_mode": "existing", "db_name": "fluxbase"}])
def test_an_existing_database_is_not_taken_over(server: Server, body: dict[str, str]) -> None:
    """400 with the way in; nothing is made."""
    answer = server.post(ROOT, key="service", json={"slug": "taker", **body})
    assert (answer.status_code, "is not taken over" in answer.json()["error"]) == (400, True)
    assert server.get(f"{ROOT}/taker", key="service").status_code == 404


def test_a_tenants_administrator_reads_and_renames_his_own(server: Server, made: dict[str, str]) -> None:
    """Its service key by id and slug; the register stays the instance's: status and database cannot be changed, other tenants are 404."""
    own = made["service_key"]
    assert server.get(f"{ROOT}/{made['id']}", key=own).json()["slug"] == "http-made"
    changed = server.request("PATCH", f"{ROOT}/http-made", key=own, json={"metadata": {"plan": "max"}})
    assert (changed.status_code, changed.json()["metadata"]) == (200, {"plan": "max"})
    assert server.request("PATCH", f"{ROOT}/http-made", key="service", json={"metadata": {"plan": "pro"}}).status_code == 200
    assert server.request("PATCH", f"{ROOT}/http-made", key=own, json={"status": "active"}).status_code == 400
    for method in ("GET", "PATCH"):
        absent = server.request(method, f"{ROOT}/nobody", key=own, json={"name": "x"})
        foreign = server.request(method, f"{ROOT}/default", key=own, json={"name": "x"})
        assert (foreign.status_code, foreign.json()["error"]) == (absent.status_code, absent.json()["error"]) == (404, "No such tenant.")
        assert server.request(method, f"{ROOT}/http-made", key=made["anon_key"], json={"name": "x"}).status_code == 404


def test_reading_and_changing(server: Server, made: dict[str, str]) -> None:
    """By id and by slug."""
    assert server.get(f"{ROOT}/{made['id']}", key="service").json()["slug"] == "http-made"
    changed = server.request("PATCH", f"{ROOT}/http-made", key="service", json={"name": "New name"})
    assert (changed.status_code, changed.json()["name"], changed.json()["metadata"]) == (200, "New name", {"plan": "pro"})
    assert {row["slug"] for row in server.get(ROOT, key="service").json()} >= {"default", "http-made"}
    assert server.get(f"{ROOT}/mine", key=made["service_key"]).json()[0]["my_role"] == "tenant_admin"


def test_soft_delete_and_recover(server: Server, made: dict[str, str]) -> None:
    """Deleted it is listed under ``deleted`` only."""
    assert server.request("DELETE", f"{ROOT}/http-made", key="service").status_code == 204
    assert "http-made" not in {row["slug"] for row in server.get(ROOT, key="service").json()}
    assert "http-made" in {row["slug"] for row in server.get(f"{ROOT}/deleted", key="service").json()}
    assert server.post(f"{ROOT}/http-made/recover", key="service").json() == {"status": "recovered"}
    assert server.post(f"{ROOT}/http-made/migrate", key="service").json()["status"] == "skipped"
    assert server.post(f"{ROOT}/http-made/repair", key="service").json()["status"] == "active"


def test_the_default_tenant_is_refused(server: Server) -> None:
    """400, as the contract has it."""
    assert server.request("DELETE", f"{ROOT}/default", key="service").status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("POST", ""), ("GET", "/deleted"), ("DELETE", "/http-made"),
        ("POST", "/http-made/recover"), ("POST", "/http-made/migrate"), ("POST", "/http-made/repair"), ("POST", "/http-made/freeze"), ("POST", "/http-made/thaw"),
    ],
)  # fmt: skip
def test_nobody_but_the_instance_key(server: Server, made: dict[str, str], method: str, path: str) -> None:
    """No credential and anon: refused; a tenant's own service key: refused."""
    assert server.request(method, ROOT + path, key=None).status_code == 401
    assert server.request(method, ROOT + path, key="anon").status_code == 403
    assert server.request(method, ROOT + path, key=made["service_key"]).status_code == 403
    assert server.request(method, ROOT + path, key=made["secret_key"]).status_code == 403

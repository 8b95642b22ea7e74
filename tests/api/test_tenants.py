"""/api/v1/admin/tenants: the lifecycle over HTTP (contract-native 1.10, 2.9)."""

from __future__ import annotations

from collections.abc import Iterator

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
        ("GET", ""), ("POST", ""), ("GET", "/deleted"), ("GET", "/http-made"), ("PATCH", "/http-made"), ("DELETE", "/http-made"),
        ("POST", "/http-made/recover"), ("POST", "/http-made/migrate"), ("POST", "/http-made/repair"), ("POST", "/http-made/freeze"), ("POST", "/http-made/thaw"),
    ],
)  # fmt: skip
def test_nobody_but_the_instance_key(server: Server, made: dict[str, str], method: str, path: str) -> None:
    """No credential and anon: refused; a tenant's own service key: refused."""
    assert server.request(method, ROOT + path, key=None).status_code == 401
    assert server.request(method, ROOT + path, key="anon").status_code == 403
    assert server.request(method, ROOT + path, key=made["service_key"]).status_code == 403
    assert server.request(method, ROOT + path, key=made["secret_key"]).status_code == 403

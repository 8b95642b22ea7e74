"""What one tenant has for itself speaks for nobody else (issue 4.5; threats A4, A5, B28): its secret signs for it alone, its settings
are changed by its own administrators alone, and what is sealed for one place opens at no other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support.server import Server
from tests.support.tenant import cluster_sql

TENANTS = "/api/v1/admin/tenants"
SECRET = "Zr7kQm2xVb9tLp4sWd6fHg1jNc8yRb3v"
OTHER_SECRET = "Qx8mTn3vKc7pLw2sGd9fHb5jYr4zUe6a"
USER = "7d0f4a52-0000-4000-8000-000000000001"
PROTECTED = "/api/v1/auth/sessions"


def make(server: Server, slug: str) -> dict[str, Any]:
    """A tenant with its keys."""
    answer = server.post(TENANTS, key="service", json={"slug": slug, "isolation": "row"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(server: Server, tenant: dict[str, Any], settings: dict[str, object], key: str | None = None, **options: Any) -> Any:
    """PATCH, by the tenant's own service key unless another is given."""
    path = f"{TENANTS}/{tenant['slug']}/settings"
    return server.request("PATCH", path, key=key or tenant["service_key"], json={"settings": settings}, **options)


def foreign_token(secret: str = SECRET, **claims: object) -> str:
    """What another program of the tenant signs: HS256, no key id, nothing that names a tenant."""
    now = int(time.time())
    content = {"sub": USER, "role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + 600, **claims}
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, content, OctKey.import_key(secret), algorithms=["HS256"])


def status(server: Server, token: str, tenant: dict[str, Any] | None, **options: Any) -> int:
    """How a route that reads tables answers the token; 404 (no such table) is a caller that was believed."""
    headers = {} if tenant is None else {"x-fb-tenant": str(tenant["slug"])}
    return server.get("/rest/v1/nothing", key=token, headers={**headers, **options.pop("headers", {})}, **options).status_code


def copied(a: dict[str, Any], b: dict[str, Any]) -> str:
    """What somebody does who can write rows of the database: A's sealed secret in B's place."""
    return (
        "insert into platform.tenant_settings (tenant_id, key, sealed, updated_by) "
        f"select '{b['id']}', key, sealed, 'thief' from platform.tenant_settings where tenant_id = '{a['id']}' and key = 'auth.jwt_secret' "
        "on conflict (tenant_id, key) do update set value = null, sealed = excluded.sealed"
    )


@pytest.fixture(scope="module")
def two(server: Server) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Two tenants; the first has a secret of its own."""
    made = make(server, "secret-a"), make(server, "secret-b")
    assert change(server, made[0], {"auth.jwt_secret": SECRET}).status_code == 200
    yield made
    for tenant in made:
        server.request("DELETE", f"{TENANTS}/{tenant['slug']}?hard=true", key="service")


def test_a_token_of_one_tenants_secret_is_noise_to_the_others(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Believed where the secret is set; 401 at another tenant, at the default one, and with the other's name in a claim."""
    a, b = two
    assert status(server, foreign_token(), a) == 404
    assert [status(server, foreign_token(), b), status(server, foreign_token(), None)] == [401, 401]
    assert [status(server, foreign_token(tenant_id=b["id"]), each) for each in (a, b, None)] == [401, 401, 401]


def test_the_tenants_own_tokens_and_keys_still_work(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Sign-in mints with the secret, names the tenant in the key id, and is noise elsewhere; keys made before stay good."""
    a, b = two
    body = {"email": "own@example.test", "password": "violet tunnel 93 cup"}
    made = server.post("/api/v1/auth/signup", key=None, headers={"apikey": a["anon_key"]}, json=body)
    assert made.status_code == 201, made.text
    token = made.json()["access_token"]
    assert server.get(PROTECTED, key=token).status_code == 200
    assert server.get(PROTECTED, key=token, headers={"x-fb-tenant": b["slug"]}).status_code == 404
    assert status(server, a["anon_key"], None) == 404


def test_a_changed_secret_ends_what_the_old_one_signed(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Refused from the change on, believed again when the secret comes back; the new one's tokens count at once."""
    a, _ = two
    old = foreign_token()
    assert status(server, old, a) == 404
    assert change(server, a, {"auth.jwt_secret": OTHER_SECRET}).status_code == 200
    assert [status(server, old, a), status(server, foreign_token(OTHER_SECRET), a)] == [401, 404]
    assert change(server, a, {"auth.jwt_secret": SECRET}).status_code == 200
    assert [status(server, old, a), status(server, foreign_token(OTHER_SECRET), a)] == [404, 401]


def test_the_secret_is_shown_to_nobody(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Not in the list, not in the key set, not in the database, not in the log."""
    a, _ = two
    listed = server.get(f"{TENANTS}/{a['slug']}/settings", key=a["service_key"])
    keys = server.get("/.well-known/jwks.json", key=None, headers={"x-fb-tenant": a["slug"]})
    stored = str(cluster_sql(server, str(a["db_name"]), "select * from platform.tenant_settings"))
    assert "[secret]" in listed.text
    assert not [text for text in (listed.text, keys.text, stored, server.log) if SECRET in text]


@pytest.mark.parametrize("secret", ["x" * 31, "a" * 64, "", " "])
def test_a_weak_secret_is_refused(server: Server, two: tuple[dict[str, Any], dict[str, Any]], secret: str) -> None:
    """Under 32 characters, or one letter over and over."""
    a, b = two
    answer = change(server, b, {"auth.jwt_secret": secret})
    assert answer.status_code == (400 if secret else 200)
    assert status(server, foreign_token(), b) == 401
    assert status(server, foreign_token(), a) == 404


def test_nobody_elses_administrator_changes_a_tenants_settings(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Another tenant's service key: the 404 of a tenant that is not there. A user, anon and no credential: refused."""
    a, b = two
    wanted = {"auth.signup_enabled": False}
    unknown = server.request("PATCH", f"{TENANTS}/no-such/settings", key=b["service_key"], json={"settings": wanted})
    crossed = change(server, a, wanted, key=b["service_key"])
    assert (crossed.status_code, crossed.json()["code"]) == (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    path = f"{TENANTS}/{a['slug']}/settings"
    assert [server.get(path, key=key).status_code for key in (b["service_key"], foreign_token(), a["anon_key"], None)] == [
        404,
        401,
        403,
        401,
    ]


def test_a_sealed_setting_opens_in_its_own_place_only(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Who can write rows of the database copies A's sealed secret to B: it does not open, B is closed with 503, and A's token stays noise."""
    a, b = two
    cluster_sql(server, str(b["db_name"]), copied(a, b))
    try:
        assert change(server, b, {"mail.app_name": "read it again"}).status_code == 503
        assert status(server, foreign_token(), b) != 404
    finally:
        cluster_sql(server, str(b["db_name"]), f"delete from platform.tenant_settings where tenant_id = '{b['id']}'")
    assert change(server, b, {"mail.app_name": None}).status_code == 200


@pytest.fixture(scope="module")
def twin_tenants(twin: Server) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Two tenants of the twin."""
    made = make(twin, "twin-secret-a"), make(twin, "twin-secret-b")
    yield made
    for tenant in made:
        twin.request("DELETE", f"{TENANTS}/{tenant['slug']}?hard=true", key="service")


@pytest.mark.twin("settings:place")
def test_twin_that_seals_for_no_place_believes_a_copied_secret(twin: Server, twin_tenants: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The same copy, but nothing binds the secret to its tenant: A's token is believed at B."""
    a, b = twin_tenants
    without = {"x-twin-without": "settings:place"}
    assert change(twin, a, {"auth.jwt_secret": SECRET}, headers=without).status_code == 200
    cluster_sql(twin, str(b["db_name"]), copied(a, b))
    assert change(twin, b, {"mail.app_name": "read it again"}, headers=without).status_code == 200
    assert status(twin, foreign_token(), b, headers=without) == 404
    for tenant in (a, b):
        assert change(twin, tenant, {"auth.jwt_secret": None, "mail.app_name": None}, headers=without).status_code == 200


@pytest.mark.twin("settings:deciders")
def test_twin_that_asks_nobody_who_decides(twin: Server, twin_tenants: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A tenant's own key sends its mail through a server of its choice."""
    a, _ = twin_tenants
    without = {"x-twin-without": "settings:deciders"}
    assert change(twin, a, {"mail.smtp_host": "10.0.0.7"}).status_code == 403
    assert change(twin, a, {"mail.smtp_host": "10.0.0.7"}, headers=without).status_code == 200
    assert change(twin, a, {"mail.smtp_host": None}, key="service").status_code == 200


@pytest.mark.twin("settings:own-tenant")
def test_twin_that_takes_any_tenant_of_the_path(twin: Server, twin_tenants: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """B's key closes A's sign-up."""
    a, b = twin_tenants
    without = {"x-twin-without": "settings:own-tenant"}
    assert change(twin, a, {"auth.signup_enabled": False}, key=b["service_key"]).status_code == 404
    assert change(twin, a, {"auth.signup_enabled": False}, key=b["service_key"], headers=without).status_code == 200
    assert change(twin, a, {"auth.signup_enabled": None}).status_code == 200
